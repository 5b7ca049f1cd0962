/*
 * What an answer rests on: the series that moved, as they were measured. Where a suspicion was
 * worked out from other series (a self time nobody measured), those are shown. One thread.
 */
#ifndef SAGE_ANALYZER_EVIDENCE_H
#define SAGE_ANALYZER_EVIDENCE_H

#include "analyzer/diagnosis.h"
#include "analyzer/suspicion.h"

/* Get room for what is found. Returns 0 or -ENOMEM. */
int evidence_begin(struct diagnosis *d);

/* Add how far a metric moved, if it is not listed yet and there is room left. */
void evidence_add(struct diagnosis *d, uint32_t entity, const char *metric, const struct shift *s);

/*
 * Fill in the evidence for the target (whose shift is given) and the first candidates. Returns 0 or
 * -ENOMEM.
 */
int evidence_list(struct diagnosis *d, const struct suspicion *s, const struct shift *slo);

/* The metric that tells of the time between the ends of a call, as far as it was measured. */
const char *evidence_of_gap(const struct suspicion *s, uint32_t edge);

#endif
