/*
 * Ranking before a model exists: whose own time rose, along the way of the requests
 * that missed their target, by medians against normal windows.
 *
 * Needs tens of windows, no training, and whatever part of the metrics there is. The
 * guarded method takes its candidates and its evidence from here. One thread at a time; the
 * recording is only read.
 */
#ifndef SAGE_ANALYZER_ROBUST_H
#define SAGE_ANALYZER_ROBUST_H

#include "analyzer/diagnosis.h"

/*
 * Diagnose the incident [from_s, to_s). Rows outside it where use[row] is true ([windows];
 * NULL = all) and the target was met are the normal ones. Fills all of *d but `seconds`;
 * release with diagnosis_clear(). A candidate's score is the share of the end-to-end rise that
 * it explains. The verdict is `unknown`, with the reason in `why`, when there are
 * fewer than 5 normal windows or nothing moved past its usual range; `healthy` when no window of
 * the incident missed the target: the ranking is then what moved nevertheless.
 * Returns 0 or -ENOMEM.
 */
int robust_rank(struct diagnosis *d, const struct recording *r, const struct slo *slo,
	double from_s, double to_s, const bool *use);

#endif
