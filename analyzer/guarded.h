/*
 * The default method: candidates are services that themselves moved (robust.h), in the
 * order of evidence times how far the model's counterfactual restores the target.
 *
 * The model alone is asked about windows unlike any it learnt from, the evidence alone
 * cannot tell what would have been; where they disagree, `why` says so.
 */
#ifndef SAGE_ANALYZER_GUARDED_H
#define SAGE_ANALYZER_GUARDED_H

#include "analyzer/diagnosis.h"
#include "analyzer/model.h"

/* Fills all of *d but `seconds`; release with diagnosis_clear(). Returns 0 or -ENOMEM. */
int guarded_search(struct diagnosis *d, const struct recording *r, const struct slo *slo,
	double from_s, double to_s, const bool *use, const struct model *m);

#endif
