/*
 * The answer set: of the ranked candidates, those it takes to explain the incident, and no other.
 * One thread.
 */
#ifndef SAGE_ANALYZER_CULPRITS_H
#define SAGE_ANALYZER_CULPRITS_H

#include "analyzer/diagnosis.h"
#include "analyzer/suspicion.h"

#define CULPRITS_LEAST_SCORE 0.15 /* below that nothing is blamed */

/*
 * Mark the culprits among d's candidates, at least one of which there must be. `slo` is the shift
 * of the target's metric. *explained is the share of its rise that is put down to them. Returns 0
 * or -ENOMEM.
 */
int culprits_choose(
	struct diagnosis *d, const struct suspicion *s, const struct shift *slo, double *explained);

#endif
