/*
 * Shares of guilt: what part of the end-to-end rise each service explains, by the time
 * it added itself and by the gaps on the way of its calls.
 *
 * The half of the robust method that measures; robust.c turns it into an answer.
 * One thread at a time.
 */
#ifndef SAGE_ANALYZER_SUSPICION_H
#define SAGE_ANALYZER_SUSPICION_H

#include "analyzer/exclusive.h"
#include "analyzer/symptom.h"

#define SUSPICION_LENSES 2

struct suspect {
	double own, between; /* shares of the end-to-end rise, 0..1 */
	double measured;     /* its own, before what it waited for failures was put down to them */
	double failures;     /* part of `own`: what callers waited because it failed */
	bool fails;          /* that is most of it */
	double symptom;      /* strongest resource symptom, 0..1 */
	double score;
	enum resource resource;
	uint32_t edge; /* whose gap rose most, or GRAPH_NONE */
	struct symptom moved[RESOURCES];
};

struct suspicion {
	const struct frame *f;
	double target;                      /* in the unit of the lenses */
	uint32_t entry;                     /* where requests come in: an edge or a service */
	uint32_t front;                     /* the service behind it */
	char name[SUSPICION_LENSES][4][32]; /* metric names of the lenses */
	struct traffic traffic;
	struct lens lens[SUSPICION_LENSES];
	struct exclusive seen[SUSPICION_LENSES];
	size_t lenses;           /* 0: this recording has no latencies along the way */
	struct suspect *suspect; /* [entities] services and, as in stolen.h, hosts; owned */
	struct shift rate;       /* requests at the entry */
	double surge;            /* 0..1: how far they rose past their usual range */
};

/* Returns 0 or -ENOMEM. The frame must outlive it. */
int suspicion_open(struct suspicion *s, const struct frame *f, const struct slo *slo);
void suspicion_close(struct suspicion *s);

#endif
