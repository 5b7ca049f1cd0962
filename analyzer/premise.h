/*
 * What must hold before anything is blamed: the target was measured and missed, and there are
 * normal windows to compare with. Every method but the published search starts here. Any thread.
 */
#ifndef SAGE_ANALYZER_PREMISE_H
#define SAGE_ANALYZER_PREMISE_H

#include "analyzer/diagnosis.h"
#include "analyzer/frame.h"

struct premise {
	struct shift slo; /* of the target's own metric */
	bool missed;      /* in a window of the incident */
};

/*
 * Returns 1 when there is something to rank, 0 when d->verdict and d->why are final already, or
 * -ENOMEM.
 */
int premise_check(
	struct premise *p, struct diagnosis *d, const struct frame *f, const struct slo *slo);

/* The verdict of a target that no window missed. */
void premise_healthy(struct diagnosis *d, double observed);

#endif
