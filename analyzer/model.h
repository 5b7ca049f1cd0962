/*
 * A trained graphical variational autoencoder over a recording's graph
 * (Sage, ASPLOS 2021, DOI 10.1145/3445814.3446700, sections 3 and 4).
 *
 * Trained on some windows of a recording; afterwards immutable, so any number
 * of threads may ask it counterfactuals at once.
 */
#ifndef SAGE_ANALYZER_MODEL_H
#define SAGE_ANALYZER_MODEL_H

#include <stdatomic.h>

#include "analyzer/recording.h"

struct model;

struct model_options {
	unsigned hidden, layers;  /* 10, 5 */
	unsigned epochs, batch;   /* 100, 32 */
	unsigned steps;           /* 1,000: no more, however long the history; 0 = no bound */
	float learning_rate;      /* 1e-2 */
	float alpha, beta, gamma; /* 0.9, 1, 0.5 */
	uint64_t seed;
	unsigned threads;        /* 0 = as many as CPUs */
	const atomic_bool *stop; /* set = give up soon; may be NULL */
};

void model_options_default(struct model_options *o);

/*
 * Train on rows of `r` where use[row] is true ([windows]; NULL = all).
 * `slo` tells which windows count as normal (metric <= 0.8 target).
 * Returns 0, -ENODATA (fewer than 8 usable windows), -ENOMEM, -ECANCELED.
 */
int model_train(struct model **out, const struct recording *r, const struct slo *slo,
	const bool *use, const struct model_options *o);

/* Continue from the weights of `old` on new data; the parts of the graph that
 * did not change keep what they learnt. Same returns. */
int model_retrain(struct model **out, const struct model *old, const struct recording *r,
	const struct slo *slo, const bool *use, const struct model_options *o);

/*
 * The same for what has changed since `old` alone: services and calls that came or lost others,
 * those whose latencies no longer follow from their causes as model_expect() knew them, and all
 * causal descendants of these. The rest stays as it is, to the bit, and takes no time. Where more
 * than half changed, all learns. *share: of the parameters, what learnt. -EALREADY: nothing did
 * change. Else the same returns.
 */
int model_retrain_changed(struct model **out, const struct model *old, const struct recording *r,
	const struct slo *slo, const bool *use, const struct model_options *o, double *share);

/* Note how well latencies follow from their causes in windows not learnt from; before others know
 * the model. Returns 0 or -ENOMEM. */
int model_expect(struct model *m, const struct recording *r, const bool *held);

void model_free(struct model *m);

/* Number of trainable parameters. */
size_t model_parameters(const struct model *m);

/* Mean squared error, in z-scored units, of e2e latency on the given rows, decoding
 * everything from abducted Z (the cascade). The held-out check. */
double model_error(const struct model *m, const struct recording *r, const bool *use);

/* An error of one model in the units of another of the same target. */
double model_error_in(const struct model *units, const struct model *m, double error);

/* What an intervention sets to normal at one service. */
struct intervention {
	uint32_t service;       /* entity number */
	enum resource resource; /* RESOURCE_NONE = everything of the service: X, X^net of its
				   callee edges, Z; RESOURCE_CODE = only Z; else X of that class */
};

/*
 * The SLO metric in window `row`, had the interventions been made: abduct Z by the encoder,
 * set, re-decode the causal descendants in topological order. With `draws` > 1 Z is sampled
 * with common random numbers, *out[draws]; with 1 its mean is taken. No intervention
 * returns what was measured. Returns 0, -ENOENT when the model does not know the service
 * or the SLO's entity, -ENODATA when the window lacks the SLO metric.
 */
int model_counterfactual(const struct model *m, const struct recording *r, size_t row,
	const struct intervention *set, size_t interventions, unsigned draws, uint64_t seed,
	float *out);

/* Keep and restore: one blob, for machines of this byte order. model_load() returns 0, -EBADMSG
 * (damaged or of another version) or -ENOMEM. */
int model_save(const struct model *m, void **blob, size_t *size);
int model_load(struct model **out, const void *blob, size_t size);

#endif
