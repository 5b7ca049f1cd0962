#include <stdlib.h>
#include <string.h>

#include "analyzer/gvae.h"

#define TILE KERNELS_TILE

/*
 * Legend: S sources, T lanes of a tile: the rows. A decoder sees them four times, once per
 * term of the loss: as four tiles.
 *
 * Only the state is kept from forward to backward; a net's activations are computed again when
 * its turn comes. A third more multiplications cost less than all nets' activations on their way to
 * memory and back, and the memory does not grow with the nets.
 */
enum branch { ENCODER_CASCADE, ENCODER_RAW, PRIOR_CASCADE, PRIOR_RAW, BRANCHES };

static bool is_cascade(unsigned branch)
{
	return branch == ENCODER_CASCADE || branch == PRIOR_CASCADE;
}

struct gvae_work {
	float *state;  /* [4][S][T] */
	float *dstate; /* [4][S][T] */
	float *mask;   /* [ys][T]; nothing is measured in lanes without a row */
	/* of one net at a time, with room for four tiles of the largest, or of a latent's two */
	size_t inputs;     /* most of a net */
	float *x, *dx;     /* [4][inputs][T] */
	float *kept;       /* activations of four tiles */
	float *scratch;    /* as many */
	float *out, *dout; /* [4][outputs][T]; for a latent: of its encoder, of its prior */
	float *block;      /* owns the floats */
};

static size_t take(float **piece, float *block, size_t at, size_t count)
{
	if (block)
		*piece = block + at;
	return at + (count + 15) / 16 * 16;
}

static size_t widest(const struct gvae *g, size_t *kept)
{
	size_t most = 1;

	*kept = 1;
	for (uint32_t i = 0; i < gvae_nets(g); i++) {
		const struct gvae_net *n = gvae_net(g, i);
		size_t floats = mlp_activations(&n->shape, BRANCHES);

		most = n->shape.inputs > most ? n->shape.inputs : most;
		*kept = floats > *kept ? floats : *kept;
	}
	return most;
}

/* Called twice: without a block to learn the size, with it to cut it. */
static size_t cut(struct gvae_work *w, const struct gvae *g, float *block)
{
	size_t kept, inputs = widest(g, &kept), at = 0;

	w->inputs = inputs;
	at = take(&w->state, block, at, BRANCHES * TILE * gvae_state(g));
	at = take(&w->dstate, block, at, BRANCHES * TILE * gvae_state(g));
	at = take(&w->mask, block, at, TILE * (size_t)g->ys);
	at = take(&w->x, block, at, BRANCHES * TILE * inputs);
	at = take(&w->dx, block, at, BRANCHES * TILE * inputs);
	at = take(&w->kept, block, at, kept);
	at = take(&w->scratch, block, at, kept);
	at = take(&w->out, block, at, BRANCHES * TILE * GVAE_LATENT);
	return take(&w->dout, block, at, BRANCHES * TILE * GVAE_LATENT);
}

struct gvae_work *gvae_work_new(const struct gvae *g)
{
	struct gvae_work *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->block = aligned_alloc(64, cut(w, g, NULL) * sizeof(float));
	if (!w->block) {
		gvae_work_free(w);
		return NULL;
	}
	cut(w, g, w->block);
	return w;
}

void gvae_work_free(struct gvae_work *w)
{
	if (!w)
		return;
	free(w->block);
	free(w);
}

/* One call's arguments, handed down. */
struct pass {
	const struct gvae *g;
	struct gvae_work *w;
	const struct gvae_loss *loss;
	const float *weights, *const *z, *const *mask, *noise;
	size_t rows;
	float *grad;
};

/* A source's tile in one branch. */
static float *state_of(const struct pass *p, unsigned branch, uint32_t source)
{
	return p->w->state + ((size_t)branch * gvae_state(p->g) + source) * TILE;
}

static float *dstate_of(const struct pass *p, unsigned branch, uint32_t source)
{
	return p->w->dstate + ((size_t)branch * gvae_state(p->g) + source) * TILE;
}

static const float *noise_of(const struct pass *p, unsigned branch, uint32_t z)
{
	return p->noise + ((size_t)(branch / 2) * p->g->entities + z) * TILE;
}

/*
 * Measured columns into every branch; lanes without a row hold zeros. Cascades overwrite their Y
 * node by node.
 */
static void fill_state(const struct pass *p)
{
	const struct gvae *g = p->g;
	size_t columns = g->xs + g->ys, tile = TILE * (size_t)gvae_state(g);

	memset(p->w->state, 0, columns * TILE * sizeof(float));
	memset(p->w->mask, 0, g->ys * TILE * sizeof(float));
	for (size_t r = 0; r < p->rows; r++) {
		for (size_t c = 0; c < columns; c++)
			p->w->state[c * TILE + r] = p->z[r][c];
		for (size_t y = 0; y < g->ys; y++)
			p->w->mask[y * TILE + r] = p->mask[r][y];
	}
	for (unsigned b = 1; b < BRANCHES; b++)
		memcpy(p->w->state + b * tile, p->w->state, columns * TILE * sizeof(float));
	memset(p->w->dstate, 0, BRANCHES * tile * sizeof(float));
}

/* ---- latents ---- */

enum inference { BY_ENCODER, BY_PRIOR };

static const struct gvae_net *net_of(const struct pass *p, uint32_t z, enum inference by)
{
	return by == BY_PRIOR ? &p->g->prior[z] : &p->g->encoder[z];
}

/* Each has an input tile of its own, and activations. */
static float *inputs_of(const struct pass *p, enum inference by)
{
	return p->w->x + by * p->w->inputs * TILE;
}

static float *kept_of(const struct pass *p, const struct gvae_net *net, enum inference by)
{
	return p->w->kept + by * mlp_activations(&net->shape, 1);
}

/* A latent's mean and log variance, of what was measured, into its half of w->out, which is
 * returned. */
static const float *infer(const struct pass *p, uint32_t z, enum inference by)
{
	const struct gvae_net *net = net_of(p, z, by);
	float *out = p->w->out + by * GVAE_LATENT * TILE;

	if (net->shape.inputs)
		gvae_apply(p->g, net, p->weights, state_of(p, ENCODER_RAW, 0), 1, true,
			inputs_of(p, by), kept_of(p, net, by), out);
	else
		memset(out, 0, GVAE_LATENT * TILE * sizeof(float));
	return out;
}

/* Z = mean + noise * deviation, into the branches `first` and `first` + 1 */
static void draw_forward(const struct pass *p, uint32_t z, const float *out, unsigned first)
{
	uint32_t at = p->g->xs + p->g->ys + z;
	float *to = state_of(p, first, at);

	kernels_best()->draw(to, out, noise_of(p, first, z), 1);
	memcpy(state_of(p, first + 1, at), to, TILE * sizeof(*to));
}

static void draw_backward(
	const struct pass *p, uint32_t z, const float *out, unsigned first, float *dout)
{
	uint32_t at = p->g->xs + p->g->ys + z;
	const float *one = dstate_of(p, first, at), *other = dstate_of(p, first + 1, at);
	float dz[TILE];

	for (size_t r = 0; r < TILE; r++)
		dz[r] = one[r] + other[r];
	kernels_best()->draw_back(dout, dz, out, noise_of(p, first, z), 1);
}

static void latents_forward(const struct pass *p)
{
	for (uint32_t z = 0; z < p->g->entities; z++) {
		draw_forward(p, z, infer(p, z, BY_ENCODER), ENCODER_CASCADE);
		draw_forward(p, z, infer(p, z, BY_PRIOR), PRIOR_CASCADE);
	}
}

/* With inputs and activations as infer() has left them. */
static void infer_backward(const struct pass *p, uint32_t z, enum inference by, const float *dout)
{
	const struct gvae_net *net = net_of(p, z, by);

	if (net->shape.inputs)
		mlp_backward(&net->shape, NULL, 0, p->grad + net->weight, dout, kept_of(p, net, by),
			mlp_inputs(&net->shape, inputs_of(p, by)), p->weights + net->weight, 1,
			p->w->scratch);
}

/* Returns the divergence of posterior and prior, weighed; of fixed ones none, as it is constant. */
static double latent_backward(const struct pass *p, uint32_t z)
{
	size_t width = GVAE_LATENT * TILE;
	float *dq = p->w->dout, *dprior = dq + width, weight = p->loss->alpha * p->loss->beta;
	const float *q, *prior;
	double kl;

	if (net_of(p, z, BY_ENCODER)->fixed)
		return 0;
	q = infer(p, z, BY_ENCODER);
	prior = infer(p, z, BY_PRIOR);
	memset(dq, 0, 2 * width * sizeof(float));
	kl = kernels_best()->divergence(dq, dprior, q, prior, 1, p->rows, weight);
	draw_backward(p, z, q, ENCODER_CASCADE, dq);
	draw_backward(p, z, prior, PRIOR_CASCADE, dprior);
	infer_backward(p, z, BY_ENCODER, dq);
	infer_backward(p, z, BY_PRIOR, dprior);
	return (double)weight * kl;
}

/* ---- latencies ---- */

static float branch_weight(const struct gvae_loss *l, unsigned branch)
{
	float source = branch < PRIOR_CASCADE ? l->alpha : 1 - l->alpha;

	return source * (is_cascade(branch) ? l->gamma : 1 - l->gamma);
}

/*
 * Squared error of one node where it was measured. Its gradient goes to dout, with what the
 * nodes that read a cascade's output have found.
 */
static double node_error(const struct pass *p, const struct gvae_net *d, const float *out)
{
	float *dout = p->w->dout;
	double sum = 0;

	for (unsigned b = 0; b < BRANCHES; b++) {
		float weight = branch_weight(p->loss, b);

		for (unsigned i = 0; i < d->shape.outputs; i++, out += TILE, dout += TILE) {
			uint32_t y = d->output + i;
			const float *mask = p->w->mask + (size_t)y * TILE;
			const float *measured = state_of(p, ENCODER_RAW, p->g->xs + y);
			const float *passed =
				dstate_of(p, b, p->g->xs + y); /* zeros in raw branches */
			float squares = 0;

			for (size_t r = 0; r < TILE; r++) {
				float gap = (out[r] - measured[r]) * mask[r];

				squares += gap * gap;
				dout[r] = 2 * weight * gap + passed[r];
			}
			sum += (double)(weight * squares);
		}
	}
	return sum;
}

/* All branches of a node, from the state into w->out. */
static void decode(const struct pass *p, const struct gvae_net *d)
{
	gvae_apply(
		p->g, d, p->weights, p->w->state, BRANCHES, false, p->w->x, p->w->kept, p->w->out);
}

static void node_forward(const struct pass *p, uint32_t n)
{
	const struct gvae_net *d = &p->g->decoder[n];
	size_t outs = d->shape.outputs * TILE;

	decode(p, d);
	for (unsigned b = 0; b < BRANCHES; b++)
		if (is_cascade(b))
			memcpy(state_of(p, b, p->g->xs + d->output), p->w->out + b * outs,
				outs * sizeof(float));
}

static double node_backward(const struct pass *p, uint32_t n)
{
	const struct gvae_net *d = &p->g->decoder[n];
	const uint32_t *source = p->g->source + d->first_source;
	uint32_t latents = p->g->xs + p->g->ys;
	const float *dx = p->w->dx;
	double error;

	decode(p, d);
	error = node_error(p, d, p->w->out);
	mlp_backward(&d->shape, p->w->dx, 0, p->grad + d->weight, p->w->dout, p->w->kept,
		mlp_inputs(&d->shape, p->w->x), p->weights + d->weight, BRANCHES, p->w->scratch);
	for (unsigned b = 0; b < BRANCHES; b++)
		for (unsigned i = 0; i < d->shape.inputs; i++, dx += TILE) {
			float *to = dstate_of(p, b, source[i]);

			if (source[i] < latents && !is_cascade(b))
				continue;
			for (size_t r = 0; r < TILE; r++)
				to[r] += dx[r];
		}
	return error;
}

double gvae_gradient(const struct gvae *g, struct gvae_work *w, const struct gvae_loss *loss,
	const float *weights, const float *const *z, const float *const *mask, const float *noise,
	size_t rows, float *grad)
{
	struct pass p = {.g = g,
		.w = w,
		.loss = loss,
		.weights = weights,
		.z = z,
		.mask = mask,
		.noise = noise,
		.rows = rows,
		.grad = grad};
	double total = 0;

	fill_state(&p);
	latents_forward(&p);
	for (uint32_t n = 0; n < g->nodes; n++)
		node_forward(&p, n);
	for (uint32_t n = g->nodes; n-- > 0;)
		total += node_backward(&p, n);
	for (uint32_t e = 0; e < g->entities; e++)
		total += latent_backward(&p, e);
	return total;
}
