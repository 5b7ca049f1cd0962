/*
 * The published search (Sage 4.4): the services, then the resources, whose return to
 * normal restores the target in the model. Nothing but the model is asked.
 */
#ifndef SAGE_ANALYZER_FAITHFUL_H
#define SAGE_ANALYZER_FAITHFUL_H

#include "analyzer/diagnosis.h"
#include "analyzer/model.h"

/* Fills all of *d but `seconds`; release with diagnosis_clear(). Returns 0 or -ENOMEM. */
int faithful_search(struct diagnosis *d, const struct recording *r, const struct slo *slo,
	double from_s, double to_s, const bool *use, const struct model *m);

#endif
