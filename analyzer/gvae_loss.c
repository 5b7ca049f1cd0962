#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/gvae.h"

/*
 * Legend: R rows, S width of a row of state. A decoder sees every row four times, once per
 * term of the loss; branch b of row r is row b R + r.
 */
enum branch { ENCODER_CASCADE, ENCODER_RAW, PRIOR_CASCADE, PRIOR_RAW, BRANCHES };

static bool is_cascade(unsigned branch)
{
	return branch == ENCODER_CASCADE || branch == PRIOR_CASCADE;
}

struct trace {       /* what forward keeps of one net for backward */
	float *x;    /* [rows][inputs] */
	float *kept; /* activations */
	float *out;  /* [rows][outputs] */
};

struct gvae_work {
	size_t rows;
	struct trace *encoder, *prior, *decoder;
	float *state;   /* [4 R][S] */
	float *dstate;  /* [4 R][S] */
	float *dx;      /* [4 R][widest input] */
	float *dout;    /* [4 R][widest output] */
	float *scratch; /* [2][4 R][hidden] */
	float *block;   /* owns the floats */
};

static size_t take(float **piece, float *block, size_t at, size_t count)
{
	if (block)
		*piece = block + at;
	return at + (count + 15) / 16 * 16;
}

static size_t cut_traces(struct trace *t, const struct gvae_net *net, uint32_t count, size_t rows,
	float *block, size_t at)
{
	for (uint32_t i = 0; i < count; i++) {
		at = take(&t[i].x, block, at, rows * net[i].shape.inputs);
		at = take(&t[i].kept, block, at, mlp_activations(&net[i].shape, rows));
		at = take(&t[i].out, block, at, rows * net[i].shape.outputs);
	}
	return at;
}

static size_t widest(const struct gvae *g, size_t *hidden)
{
	size_t most = 1;

	*hidden = 1;
	for (uint32_t i = 0; i < 2 * g->entities + g->nodes; i++) {
		const struct gvae_net *n = i < g->entities       ? &g->encoder[i]
					   : i < 2 * g->entities ? &g->prior[i - g->entities]
								 : &g->decoder[i - 2 * g->entities];

		most = n->shape.inputs > most ? n->shape.inputs : most;
		*hidden = n->shape.hidden > *hidden ? n->shape.hidden : *hidden;
	}
	return most;
}

/* Called twice: without a block to learn the size, with it to cut it. */
static size_t cut(struct gvae_work *w, const struct gvae *g, float *block)
{
	size_t rows = w->rows, all = BRANCHES * rows, hidden, inputs = widest(g, &hidden), at = 0;

	at = cut_traces(w->encoder, g->encoder, g->entities, rows, block, at);
	at = cut_traces(w->prior, g->prior, g->entities, rows, block, at);
	at = cut_traces(w->decoder, g->decoder, g->nodes, all, block, at);
	at = take(&w->state, block, at, all * gvae_state(g));
	at = take(&w->dstate, block, at, all * gvae_state(g));
	at = take(&w->dx, block, at, all * inputs);
	at = take(&w->dout, block, at, all * GVAE_LATENT);
	at = take(&w->scratch, block, at, 2 * all * hidden);
	return at;
}

struct gvae_work *gvae_work_new(const struct gvae *g, size_t rows)
{
	size_t nets = 2 * (size_t)g->entities + g->nodes;
	struct gvae_work *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->rows = rows;
	w->encoder = calloc(nets + 1, sizeof(*w->encoder));
	if (w->encoder) {
		w->prior = w->encoder + g->entities;
		w->decoder = w->prior + g->entities;
		w->block = aligned_alloc(64, cut(w, g, NULL) * sizeof(float));
	}
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
	free(w->encoder);
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

static float *state_row(const struct pass *p, unsigned branch, size_t row)
{
	return p->w->state + (branch * p->rows + row) * gvae_state(p->g);
}

static float *dstate_row(const struct pass *p, unsigned branch, size_t row)
{
	return p->w->dstate + (branch * p->rows + row) * gvae_state(p->g);
}

/* Measured columns into every branch. Cascades overwrite their Y node by node. */
static void fill_state(const struct pass *p)
{
	size_t columns = p->g->xs + p->g->ys;

	for (unsigned b = 0; b < BRANCHES; b++)
		for (size_t r = 0; r < p->rows; r++)
			memcpy(state_row(p, b, r), p->z[r], columns * sizeof(float));
	memset(p->w->dstate, 0, BRANCHES * p->rows * gvae_state(p->g) * sizeof(float));
}

/* ---- latents ---- */

static float bounded(float log_variance)
{
	return fminf(fmaxf(log_variance, GVAE_LOG_VARIANCE_MIN), GVAE_LOG_VARIANCE_MAX);
}

static bool within(float log_variance)
{
	return log_variance > GVAE_LOG_VARIANCE_MIN && log_variance < GVAE_LOG_VARIANCE_MAX;
}

static void infer(const struct pass *p, const struct gvae_net *net, struct trace *t)
{
	if (net->shape.inputs)
		gvae_apply(
			p->g, net, p->weights, p->w->state, p->rows, true, t->x, t->kept, t->out);
	else
		memset(t->out, 0, p->rows * GVAE_LATENT * sizeof(float));
}

/* Z = mean + noise * deviation, into the branches `first` and `first` + 1 */
static void draw_forward(const struct pass *p, uint32_t z, const float *out, unsigned first)
{
	uint32_t at = p->g->xs + p->g->ys + z;
	const float *noise = p->noise + (first / 2) * p->rows * p->g->entities;

	for (size_t r = 0; r < p->rows; r++) {
		float deviation = gvae_deviation(out[r * GVAE_LATENT + 1]);
		float v = out[r * GVAE_LATENT] + noise[r * p->g->entities + z] * deviation;

		state_row(p, first, r)[at] = v;
		state_row(p, first + 1, r)[at] = v;
	}
}

static void draw_backward(
	const struct pass *p, uint32_t z, const float *out, unsigned first, float *dout)
{
	uint32_t at = p->g->xs + p->g->ys + z;
	const float *noise = p->noise + (first / 2) * p->rows * p->g->entities;

	for (size_t r = 0; r < p->rows; r++) {
		float d = dstate_row(p, first, r)[at] + dstate_row(p, first + 1, r)[at];
		float lv = out[r * GVAE_LATENT + 1];

		dout[r * GVAE_LATENT] += d;
		if (within(lv))
			dout[r * GVAE_LATENT + 1] +=
				d * noise[r * p->g->entities + z] * 0.5F * expf(0.5F * lv);
	}
}

/* KL(q || p) of two Gaussians given as [R][mean, log variance], summed over rows */
static double kl_forward(const float *q, const float *p, size_t rows)
{
	double sum = 0;

	for (size_t r = 0; r < rows; r++, q += GVAE_LATENT, p += GVAE_LATENT) {
		float lq = bounded(q[1]), lp = bounded(p[1]), gap = q[0] - p[0];

		sum += 0.5 * ((double)lp - lq + (expf(lq) + gap * gap) / expf(lp) - 1);
	}
	return sum;
}

static void kl_backward(
	float *dq, float *dp, const float *q, const float *p, size_t rows, float scale)
{
	for (size_t r = 0; r < rows; r++) {
		size_t i = r * GVAE_LATENT;
		float lq = bounded(q[i + 1]), lp = bounded(p[i + 1]), gap = q[i] - p[i];
		float inverse = expf(-lp);

		dq[i] += scale * gap * inverse;
		dp[i] -= scale * gap * inverse;
		if (within(q[i + 1]))
			dq[i + 1] += scale * 0.5F * (expf(lq) * inverse - 1);
		if (within(p[i + 1]))
			dp[i + 1] += scale * 0.5F * (1 - (expf(lq) + gap * gap) * inverse);
	}
}

static double latents_forward(const struct pass *p)
{
	double kl = 0;

	for (uint32_t z = 0; z < p->g->entities; z++) {
		struct trace *q = &p->w->encoder[z], *prior = &p->w->prior[z];

		infer(p, &p->g->encoder[z], q);
		infer(p, &p->g->prior[z], prior);
		draw_forward(p, z, q->out, ENCODER_CASCADE);
		draw_forward(p, z, prior->out, PRIOR_CASCADE);
		kl += kl_forward(q->out, prior->out, p->rows);
	}
	return (double)p->loss->alpha * p->loss->beta * kl;
}

static void infer_backward(
	const struct pass *p, const struct gvae_net *net, const struct trace *t, const float *dout)
{
	if (net->shape.inputs)
		mlp_backward(&net->shape, NULL, p->grad + net->weight, dout, t->kept, t->x,
			p->weights + net->weight, p->rows, p->w->scratch);
}

static void latents_backward(const struct pass *p)
{
	size_t width = p->rows * GVAE_LATENT;
	float *dq = p->w->dout, *dp = dq + width;

	for (uint32_t z = 0; z < p->g->entities; z++) {
		const struct trace *q = &p->w->encoder[z], *prior = &p->w->prior[z];

		memset(dq, 0, 2 * width * sizeof(float));
		kl_backward(dq, dp, q->out, prior->out, p->rows, p->loss->alpha * p->loss->beta);
		draw_backward(p, z, q->out, ENCODER_CASCADE, dq);
		draw_backward(p, z, prior->out, PRIOR_CASCADE, dp);
		infer_backward(p, &p->g->encoder[z], q, dq);
		infer_backward(p, &p->g->prior[z], prior, dp);
	}
}

/* ---- latencies ---- */

static float branch_weight(const struct gvae_loss *l, unsigned branch)
{
	float source = branch < PRIOR_CASCADE ? l->alpha : 1 - l->alpha;

	return source * (is_cascade(branch) ? l->gamma : 1 - l->gamma);
}

/* Squared error of one node where it was measured; its gradient goes to dout. */
static double node_error(
	const struct pass *p, const struct gvae_net *d, const float *out, float *dout)
{
	double sum = 0;

	for (unsigned b = 0; b < BRANCHES; b++) {
		float weight = branch_weight(p->loss, b);

		for (size_t r = 0; r < p->rows; r++)
			for (unsigned i = 0; i < d->shape.outputs; i++) {
				size_t at = (b * p->rows + r) * d->shape.outputs + i;
				uint32_t y = d->output + i;
				float gap = (out[at] - p->z[r][p->g->xs + y]) * p->mask[r][y];

				sum += (double)weight * gap * gap;
				dout[at] = 2 * weight * gap;
			}
	}
	return sum;
}

static void node_forward(const struct pass *p, uint32_t n)
{
	const struct gvae_net *d = &p->g->decoder[n];
	struct trace *t = &p->w->decoder[n];
	size_t outs = d->shape.outputs;

	gvae_apply(
		p->g, d, p->weights, p->w->state, BRANCHES * p->rows, false, t->x, t->kept, t->out);
	for (unsigned b = 0; b < BRANCHES; b++)
		for (size_t r = 0; is_cascade(b) && r < p->rows; r++)
			memcpy(state_row(p, b, r) + p->g->xs + d->output,
				t->out + (b * p->rows + r) * outs, outs * sizeof(float));
}

static double node_backward(const struct pass *p, uint32_t n)
{
	const struct gvae_net *d = &p->g->decoder[n];
	const struct trace *t = &p->w->decoder[n];
	const uint32_t *source = p->g->source + d->first_source;
	size_t inputs = d->shape.inputs, outs = d->shape.outputs, rows = p->rows;
	uint32_t latents = p->g->xs + p->g->ys;
	float *dx = p->w->dx, *dout = p->w->dout;
	double error = node_error(p, d, t->out, dout);

	for (unsigned b = 0; b < BRANCHES; b++)
		for (size_t r = 0; is_cascade(b) && r < rows; r++)
			for (size_t i = 0; i < outs; i++)
				dout[(b * rows + r) * outs + i] +=
					dstate_row(p, b, r)[p->g->xs + d->output + i];
	mlp_backward(&d->shape, dx, p->grad + d->weight, dout, t->kept, t->x,
		p->weights + d->weight, BRANCHES * rows, p->w->scratch);
	for (unsigned b = 0; b < BRANCHES; b++)
		for (size_t r = 0; r < rows; r++)
			for (size_t i = 0; i < inputs; i++)
				if (source[i] >= latents || is_cascade(b))
					dstate_row(p, b, r)[source[i]] +=
						dx[(b * rows + r) * inputs + i];
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
	double total;

	fill_state(&p);
	total = latents_forward(&p);
	for (uint32_t n = 0; n < g->nodes; n++)
		node_forward(&p, n);
	for (uint32_t n = g->nodes; n-- > 0;)
		total += node_backward(&p, n);
	latents_backward(&p);
	return total;
}
