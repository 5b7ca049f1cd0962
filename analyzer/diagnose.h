/*
 * From a missed target to its cause: the two-level counterfactual search.
 *
 * The caller owns the recording for the time of the call and may be any thread.
 */
#ifndef SAGE_ANALYZER_DIAGNOSE_H
#define SAGE_ANALYZER_DIAGNOSE_H

#include "analyzer/diagnosis.h"
#include "analyzer/model.h"

enum method {
	METHOD_GUARDED,     /* default: counterfactuals among candidates that themselves moved */
	METHOD_FAITHFUL,    /* the published search, nothing else */
	METHOD_ROBUST,      /* before a model exists: self-time shift and robust scores */
	METHOD_AUTOSCALE50, /* from here on: simpler methods to compare with, see baseline.h */
	METHOD_AUTOSCALE70,
	METHOD_THRESHOLDS,
	METHOD_NSIGMA,
	METHOD_EDIAGNOSIS,
	METHOD_RANDOM_WALK,
	METHOD_DEEPEST,
	METHOD_CIRCA,
	METHODS
};

const char *method_name(enum method m);

/* All names, for messages: "guarded, faithful, ...". */
const char *method_names(void);

/* Does it ask a trained model? */
bool method_learns(enum method m);

bool method_parse(const char *name, enum method *out);

/*
 * Diagnose the incident [from_s, to_s) of one SLO. Rows outside it where use[row] is
 * true ([windows]; NULL = all) are its history. `m` may be NULL: the robust method
 * answers then, and says so. Returns 0 with *d filled (release with diagnosis_clear), or
 * -ENOMEM.
 */
int diagnose(struct diagnosis *d, const struct recording *r, const struct slo *slo, double from_s,
	double to_s, const bool *use, const struct model *m, enum method method);

/* An interval in which an SLO was missed. */
struct violation {
	const struct slo *slo;
	double from_s, to_s;
};

/*
 * Find the violations of every SLO of a recording: runs of windows past the target, joined
 * over gaps of two windows, at least two windows long (one if windows are 30 s or longer).
 * *out is owned by the caller (free). Returns how many or -ENOMEM.
 */
long diagnose_find_violations(const struct recording *r, struct violation **out);

#endif
