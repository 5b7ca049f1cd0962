/*
 * The causal Bayesian network of an application and the perceptrons on its edges: wiring,
 * columns and the loss with its gradient. Method: Sage (ASPLOS 2021), sections 3.2 to 3.4.
 *
 * Built once from a recording, then only read, by any number of threads. Weights, data and
 * workspaces are separate blocks, so that threads work on rows of their own.
 *
 * Legend: X metrics of an entity, Y latency columns, Z one latent per entity; R rows.
 * An entity is a service (all but `user`) or an edge that has network metrics. A node is one
 * kind of latency at one place with one or two columns, often [p95, p99]; nodes are in
 * topological order, callees first.
 * A source is one number for what feeds a perceptron: 0 .. xs - 1 an X column,
 * xs .. xs + ys - 1 a Y column, then the latents: S in all. State is [tiles][S][T], its rows the
 * lanes of tiles (kernels.h), T = KERNELS_TILE.
 */
#ifndef SAGE_ANALYZER_GVAE_H
#define SAGE_ANALYZER_GVAE_H

#include "analyzer/mlp.h"
#include "analyzer/recording.h"

#define GVAE_NONE UINT32_MAX
#define GVAE_LATENT 2 /* outputs of an encoder or prior: mean, log variance */

struct gvae_column {
	char *entity, *metric; /* owned; whose metric, which may be a host's */
	bool log;              /* log(1 + value) is what is z-scored */
	float center, spread;  /* of the windows learnt from */
	float typical, normal; /* z-scored medians: of all of them, of those well within target */
};

struct gvae_entity {
	char *name;      /* owned */
	uint32_t callee; /* edge: entity it leads to or GVAE_NONE; service: GVAE_NONE */
	bool edge;
	uint32_t first_x, xs; /* its X columns */
};

struct gvae_net {
	struct mlp shape;
	uint32_t first_source; /* in source[]; shape.inputs of them */
	uint32_t output;       /* encoder, prior: entity; decoder: first Y column */
	size_t weight;         /* where its weights begin */
	bool fixed;            /* encoder, prior: no gradient */
};

struct gvae {
	uint32_t entities, xs, ys, nodes, sources;
	struct gvae_entity *entity; /* [entities] owned */
	struct gvae_column *column; /* [xs + ys] owned */
	struct gvae_net *encoder;   /* [entities] owned */
	struct gvae_net *prior;     /* [entities] owned; 0 inputs = standard normal, no weights */
	struct gvae_net *decoder;   /* [nodes] owned */
	uint32_t *source;           /* [sources] owned */
	uint32_t slo_y;             /* the Y column of the target */
	size_t parameters;
};

/*
 * Wire the network for the columns that vary in the rows where use[row] is true (NULL = all).
 * Columns' scales are left zero. Returns 0, -ENODATA when the SLO's metric is no such
 * latency column, or -ENOMEM.
 */
int gvae_open(struct gvae *g, const struct recording *r, const struct slo *slo, const bool *use,
	unsigned hidden, unsigned layers);
void gvae_close(struct gvae *g);

/* Place the weights of all nets; sets `parameters`. gvae_open() did it already. */
void gvae_place(struct gvae *g);

/* All nets in one row: encoders, priors, decoders. */
static inline uint32_t gvae_nets(const struct gvae *g)
{
	return 2 * g->entities + g->nodes;
}

const struct gvae_net *gvae_net(const struct gvae *g, uint32_t i);

/* Entity of that name or GVAE_NONE. */
uint32_t gvae_find(const struct gvae *g, const char *name);

static inline uint32_t gvae_state(const struct gvae *g)
{
	return g->xs + g->ys + g->entities;
}

/* Fresh weights [parameters]; every net has a random stream of its own. */
void gvae_init(const struct gvae *g, float *weights, uint64_t seed);

/* Standard deviation of a latent from its log variance, kept within the bounds above. */
float gvae_deviation(float log_variance);

/* Values far from what was learnt, drawn in: linear to 4 deviations, logarithmic beyond. */
float gvae_compress(float z);

/* One net on tiles of state; x [tiles][inputs][T] and kept are workspaces, out [tiles][outputs][T].
 * `compress` draws in the inputs, as encoders and priors have it. */
void gvae_apply(const struct gvae *g, const struct gvae_net *net, const float *weights,
	const float *state, size_t tiles, bool compress, float *x, float *kept, float *out);

/* ---- the loss ---- */

struct gvae_loss {
	float alpha, beta, gamma;
};

struct gvae_work; /* for one thread: activations of a tile of rows */

struct gvae_work *gvae_work_new(const struct gvae *g);
void gvae_work_free(struct gvae_work *w);

/*
 * Loss over up to T rows (their sum, not mean) and its gradient, added to grad [parameters].
 * z [rows] points at z-scored columns [xs + ys], mask [rows] at [ys], 1 = measured.
 * noise: standard normals [2][entities][T], for encoder and prior.
 */
double gvae_gradient(const struct gvae *g, struct gvae_work *w, const struct gvae_loss *loss,
	const float *weights, const float *const *z, const float *const *mask, const float *noise,
	size_t rows, float *grad);

#endif
