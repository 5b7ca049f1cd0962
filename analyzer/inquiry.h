/*
 * Diagnoses of one recording: which history each may learn from, and the model
 * trained on it. A model learns from other incidents too; what is normal is told by the
 * windows outside all of them. A model is kept and used again while the history stays the same.
 *
 * One thread at a time; the recording must outlive the inquiry.
 */
#ifndef SAGE_ANALYZER_INQUIRY_H
#define SAGE_ANALYZER_INQUIRY_H

#include "analyzer/diagnose.h"

enum history {
	HISTORY_ALL,  /* every window outside the incident */
	HISTORY_PAST, /* of those, the ones before it */
};

struct inquiry {
	const struct recording *r;
	enum method method; /* asked; may be changed between questions */
	enum history history;
	struct violation *violation; /* [violations] of every target, in order of time; owned */
	size_t violations;
	bool *use, *normal, *trained_on; /* [windows] history, that outside violations; owned */
	const struct slo *trained_for;
	struct model *model; /* NULL: none yet, or history too short for one; owned */
	double training_s;   /* time it took */
};

bool history_parse(const char *name, enum history *out);

/* Returns 0 or -ENOMEM. */
int inquiry_open(
	struct inquiry *q, const struct recording *r, enum method method, enum history history);
void inquiry_close(struct inquiry *q);

/* Train if need be, and diagnose [from_s, to_s). Returns 0 with *d filled, or -ENOMEM. */
int inquiry_diagnose(
	struct inquiry *q, const struct slo *slo, double from_s, double to_s, struct diagnosis *d);

/* The target that was missed by the largest factor in [from_s, to_s); the first when none was.
 * The recording must have one. */
const struct slo *inquiry_worst_slo(const struct inquiry *q, double from_s, double to_s);

#endif
