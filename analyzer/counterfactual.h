/*
 * Had these been normal: what-if questions to a trained model about one window, asked many
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
	struct model_run run; /* a row for each draw */
	unsigned draws;
	float *factual;   /* [gvae_state] the window; latents hold the abducted means; owned */
	float *deviation; /* [2][entities] of latents: abducted, and at normal X */
	float *mean;      /* [entities] of latents at normal X */
	float *noise;     /* [draws][entities] common to all questions */
	float measured;   /* the SLO metric in the window */
	bool *touched;    /* [nodes] has an intervened ancestor; owned */
	bool *moved;      /* [gvae_state] source that an intervention may change; owned */
};

int counterfactual_open(struct counterfactual_run *c, const struct model *m,
	const struct recording *r, unsigned draws, uint64_t seed);
void counterfactual_close(struct counterfactual_run *c);

/* Look at another window: abduct its latents. Returns 0 or -ENODATA (SLO metric absent). */
int counterfactual_window(struct counterfactual_run *c, size_t row);

/*
 * The SLO metric under the interventions, out [draws]. Returns 0 or -ENOENT when the model
 * knows none of a service's entities.
 */
int counterfactual_ask(
	struct counterfactual_run *c, const struct intervention *set, size_t count, float *out);

#endif
