/*
 * Had these been normal: what-if questions to a trained model about some windows, asked many
 * times. model_counterfactual() asks once; the searches of diagnose.h keep one of these open.
 *
 * One thread; the model and the recording must outlive it. Method: Sage section 4.4
 * (abduction, action, prediction).
 */
#ifndef SAGE_ANALYZER_COUNTERFACTUAL_H
#define SAGE_ANALYZER_COUNTERFACTUAL_H

#include "analyzer/model_parts.h"

struct counterfactual_run {
	const struct model *m;
	const struct recording *r;
	struct model_view view;
	struct model_run run; /* a lane for each draw */
	unsigned draws;
	size_t windows;       /* asked about */
	float *factual;       /* [S][T] windows are lanes; latents are abducted means; owned */
	float *deviation;     /* [entities][T] of abducted latents */
	float *mean, *spread; /* [entities] of latents at normal X */
	float *noise;         /* [tiles][entities][T] common to all questions */
	float observed[KERNELS_TILE]; /* the SLO metric in the windows */
	bool *touched;                /* [nodes] has an intervened ancestor; owned */
	bool *moved;                  /* [S] source that an intervention may change; owned */
	bool *set;                    /* [S] in run.state for this question; owned */
};

int counterfactual_open(struct counterfactual_run *c, const struct model *m,
	const struct recording *r, unsigned draws, uint64_t seed);
void counterfactual_close(struct counterfactual_run *c);

/* Look at 1 to T other windows: abduct their latents. Returns 0 or -ENODATA (SLO metric absent
 * from one). */
int counterfactual_windows(struct counterfactual_run *c, const size_t *row, size_t count);

/*
 * The SLO metric under the interventions, out [windows][draws]. Returns 0 or -ENOENT when the
 * model knows none of a service's entities.
 */
int counterfactual_ask(
	struct counterfactual_run *c, const struct intervention *set, size_t count, float *out);

#endif
