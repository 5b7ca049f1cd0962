/*
 * Had these been normal: what-if questions to a trained model about some windows, asked many
 * times. model_counterfactual() asks once; the searches of diagnose.h keep one of these open.
 *
 * What all questions share (measured values, abducted latents, their noise, the part of a first
 * layer that no question changes) is worked out when the first of them needs it, by
 * counterfactual_prepare(). After that any number of threads may answer it, each with a workspace
 * of its own. A question costs what it changes: the nodes downstream of its interventions, and of
 * their inputs those that differ from what was measured.
 *
 * The model and the recording must outlive it. Method: Sage section 4.4 (abduction, action,
 * prediction).
 */
#ifndef SAGE_ANALYZER_COUNTERFACTUAL_H
#define SAGE_ANALYZER_COUNTERFACTUAL_H

#include "analyzer/model_parts.h"
#include "analyzer/reach.h"

struct counterfactual_run {
	const struct model *m;
	const struct recording *r;
	struct model_view view;
	struct model_run run; /* its state: windows are lanes; latents are abducted means */
	struct reach_map map;
	uint32_t
		*service; /* [entities of r] the model's number of a service, or GVAE_NONE; owned */
	size_t row[KERNELS_TILE]; /* windows asked about */
	size_t windows;
	float observed[KERNELS_TILE]; /* the SLO metric in them */
	unsigned draws;
	size_t tiles; /* of draws */
	uint64_t seed;
	size_t hidden, outputs; /* units of a node's layer, and its outputs, at most */
	float *deviation;       /* [entities][T] of abducted latents; owner of the floats */
	float *noise;           /* [entities][tiles][T] of latents, common to all questions */
	float *first;           /* [nodes][hidden][T] first layers of what was measured */
	float *normal;          /* [xs][T] */
	float *mean, *spread;   /* [entities] of latents at normal X */
	bool *known;            /* [S] of run.state, in these windows; owned */
	bool *ready;            /* [nodes] of first[], in these windows */
};

int counterfactual_open(struct counterfactual_run *c, const struct model *m,
	const struct recording *r, unsigned draws, uint64_t seed);
void counterfactual_close(struct counterfactual_run *c);

/* Look at 1 to T other windows. Returns 0 or -ENODATA (SLO metric absent from one). */
int counterfactual_windows(struct counterfactual_run *c, const size_t *row, size_t count);

/* What was measured, as a z-score, in the windows asked about: [T]. */
const float *counterfactual_measured(struct counterfactual_run *c, uint32_t column);

/* Room to answer questions; one thread. */
struct counterfactual_work {
	struct reach reach;
	float *y; /* of touched nodes [tiles][outputs][T] each, in one window; owner of the floats
		   */
	float *x; /* [tiles][inputs][T] of one node */
	float *layer, *kept, *weight, *bias;
};

/* Returns 0 or -ENOMEM. */
int counterfactual_work_open(struct counterfactual_work *k, const struct counterfactual_run *c);
void counterfactual_work_close(struct counterfactual_work *k);

/* Have ready what a question needs. Returns 0 or -ENOENT when the model knows none of a service's
 * entities. */
int counterfactual_prepare(struct counterfactual_run *c, struct counterfactual_work *k,
	const struct intervention *set, size_t count);

/*
 * The SLO metric under interventions that were prepared for, by the first `draws` of the draws:
 * out [windows][draws].
 */
void counterfactual_answer(const struct counterfactual_run *c, struct counterfactual_work *k,
	const struct intervention *set, size_t count, unsigned draws, float *out);

#endif
