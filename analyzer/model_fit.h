/*
 * A training: Adam over batches of windows, by as many threads as there are CPUs. Knows networks
 * and rows of z-scores, not where they come from.
 */
#ifndef SAGE_ANALYZER_MODEL_FIT_H
#define SAGE_ANALYZER_MODEL_FIT_H

#include "analyzer/gvae.h"
#include "analyzer/model.h"

/* The windows learnt from. */
struct model_rows {
	size_t count;
	float *z;    /* [count][xs + ys], what was not measured imputed; owned */
	float *mask; /* [count][ys] 1 = measured; owned */
	bool *rare;  /* [count] to be repeated until a quarter of an epoch is of this kind; owned */
};

/* Learn weights [g->parameters], from what they are. Returns 0, -ENOMEM or -ECANCELED. */
int model_fit(const struct gvae *g, float *weights, const struct model_rows *rows,
	const struct model_options *o);

#endif
