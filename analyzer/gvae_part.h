/*
 * A part of a network as a network of its own: some of its nets, to be learnt without the others.
 *
 * It has the decoders of the part and the latents that belong to it or are read by its decoders;
 * these come with their encoders and priors, fixed. Columns that no decoder of the part puts out
 * are given as they were measured: they are X columns here, whatever they are in the whole.
 *
 * Legend as in gvae.h. Made and read by one thread; the whole may go before it.
 */
#ifndef SAGE_ANALYZER_GVAE_PART_H
#define SAGE_ANALYZER_GVAE_PART_H

#include "analyzer/gvae.h"

struct gvae_part {
	struct gvae g;    /* its entities and columns have no names: NULL */
	uint32_t *column; /* [g.xs + g.ys] the whole's number of a column; owned */
	uint32_t *net;    /* [nets of g] the whole's number of a net (gvae_net()); owned */
};

/*
 * learn: [nets of the whole]. An entity's encoder and prior go together, and who reads its latent
 * goes with them. Returns 0 or -ENOMEM.
 */
int gvae_part_open(struct gvae_part *p, const struct gvae *whole, const bool *learn);
void gvae_part_close(struct gvae_part *p);

/* The part's weights [p->g.parameters] from the whole's, and back what is not fixed. */
void gvae_part_take(
	const struct gvae_part *p, const struct gvae *whole, float *weights, const float *from);
void gvae_part_give(
	const struct gvae_part *p, const struct gvae *whole, const float *weights, float *to);

#endif
