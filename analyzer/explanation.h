/*
 * What goes with an answer from evidence: what the target's metric was and would have been, with
 * the answer set and with each candidate alone, and who was ruled out. One thread.
 */
#ifndef SAGE_ANALYZER_EXPLANATION_H
#define SAGE_ANALYZER_EXPLANATION_H

#include "analyzer/diagnosis.h"
#include "analyzer/suspicion.h"

#define EXPLANATION_CANDIDATES 8 /* whose promise is worked out, best first */

/* `share` of the end-to-end rise is found at the culprits, who are chosen. Returns 0 or -ENOMEM. */
int explanation_complete(struct diagnosis *d, const struct suspicion *s, double share);

/* What can be said without a cause: what was measured, and who was looked at. */
int explanation_of_unknown(struct diagnosis *d, const struct suspicion *s);

#endif
