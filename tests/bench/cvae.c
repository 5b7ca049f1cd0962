#include "tests/bench/cvae.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/mlp.h"

#define TILE KERNELS_TILE
#define THREADS 64

/*
 * One thread's. A tile of samples holds targets, features and latents one below the other, so that
 * each net's inputs are a part of it: the encoder's from the targets on, the prior's and the
 * decoder's from the features on.
 */
struct work {
	const struct cvae_job *job;
	struct mlp encoder, prior, decoder;
	size_t tiles, units, parameters;
	float *weights, *gradient, *moment1, *moment2; /* [parameters] */
	float *sample;                                 /* [tiles][units][T] */
	float *q, *dq, *p, *dp;                        /* [tiles][2 latents][T] */
	float *y, *dy;                                 /* [tiles][targets][T] */
	float *dz, *noise;                             /* [tiles][latents][T] */
	float *kept[3], *scratch;                      /* of encoder, prior, decoder */
	float *block;                                  /* owns the floats */
	uint32_t *order;                               /* [windows] of an epoch; owned */
	struct random random;
};

struct training {
	const struct cvae_job *job;
	const float *data;
	double *loss; /* [services] */
	atomic_uint next;
	atomic_bool failed;
};

void cvae_job_default(struct cvae_job *job)
{
	*job = (struct cvae_job){.services = 30,
		.windows = 3000,
		.features = 20,
		.targets = 4,
		.hidden = 32,
		.layers = 2,
		.latents = 4,
		.batch = 256,
		.epochs = 50,
		.rate = 1e-3F,
		.seed = 1,
		.threads = 1};
}

/* ---- data ---------------------------------------------------------------------------- */

#define CAUSES 16

/* A smooth function of the features, two causes that no feature shows, and noise. */
static void make_service(const struct cvae_job *j, float *x, float *y, struct random *random)
{
	float first[CAUSES], hidden[2], noise;
	float *weight = malloc((size_t)CAUSES * (j->features + j->targets) * sizeof(*weight));
	double sum, squares;

	if (!weight)
		return;
	random_normals(random, weight, (size_t)CAUSES * (j->features + j->targets));
	random_normals(random, x, (size_t)j->windows * j->features);
	for (unsigned n = 0; n < j->windows; n++) {
		const float *row = x + (size_t)n * j->features, *w = weight;

		for (unsigned c = 0; c < CAUSES; c++) {
			first[c] = 0;
			for (unsigned i = 0; i < j->features; i++)
				first[c] += *w++ * row[i];
			first[c] = tanhf(1.5F * first[c] / sqrtf((float)j->features));
		}
		random_normals(random, hidden, 2);
		for (unsigned o = 0; o < j->targets; o++) {
			float *to = &y[(size_t)n * j->targets + o];

			random_normals(random, &noise, 1);
			*to = 0.1F * noise + 0.3F * hidden[o % 2];
			for (unsigned c = 0; c < CAUSES; c++)
				*to += *w++ * first[c] / 4;
		}
	}
	for (unsigned o = 0; o < j->targets; o++) {
		sum = squares = 0;
		for (unsigned n = 0; n < j->windows; n++) {
			double value = (double)y[(size_t)n * j->targets + o];

			sum += value / j->windows;
			squares += value * value / j->windows;
		}
		for (unsigned n = 0; n < j->windows; n++) {
			float *value = &y[(size_t)n * j->targets + o];

			*value = (float)(((double)*value - sum) / sqrt(squares - sum * sum));
		}
	}
	free(weight);
}

float *cvae_data(const struct cvae_job *j)
{
	size_t rows = (size_t)j->services * j->windows;
	float *data = malloc(rows * (j->features + j->targets) * sizeof(*data));
	struct random random;

	for (unsigned s = 0; data && s < j->services; s++) {
		random_init(&random, j->seed, s);
		make_service(j, data + (size_t)s * j->windows * j->features,
			data + rows * j->features + (size_t)s * j->windows * j->targets, &random);
	}
	return data;
}

/* ---- one service --------------------------------------------------------------------- */

static void shape_nets(struct work *w)
{
	const struct cvae_job *j = w->job;
	struct mlp net = {.hidden = j->hidden, .layers = j->layers, .outputs = 2 * j->latents};

	net.inputs = j->targets + j->features;
	w->encoder = net;
	net.inputs = j->features;
	w->prior = net;
	net.inputs = j->features + j->latents;
	net.outputs = j->targets;
	w->decoder = net;
	w->units = j->targets + j->features + j->latents;
	w->tiles = j->batch / TILE;
	w->parameters = mlp_parameters(&w->encoder) + mlp_parameters(&w->prior) +
			mlp_parameters(&w->decoder);
}

static size_t take(float **piece, float *block, size_t at, size_t count)
{
	*piece = block ? block + at : NULL;
	return at + (count + TILE - 1) / TILE * TILE;
}

/* Called twice: without a block to learn the size, with it to cut it. */
static size_t cut(struct work *w, float *block)
{
	size_t lanes = w->tiles * TILE, kept = mlp_activations(&w->encoder, w->tiles), at = 0;
	float **const of_parameters[] = {&w->weights, &w->gradient, &w->moment1, &w->moment2};
	float **const of_gaussians[] = {&w->q, &w->dq, &w->p, &w->dp};

	for (size_t i = 0; i < 4; i++)
		at = take(of_parameters[i], block, at, w->parameters);
	for (size_t i = 0; i < 4; i++)
		at = take(of_gaussians[i], block, at, lanes * 2 * w->job->latents);
	at = take(&w->sample, block, at, lanes * w->units);
	at = take(&w->y, block, at, lanes * w->job->targets);
	at = take(&w->dy, block, at, lanes * w->job->targets);
	at = take(&w->dz, block, at, lanes * w->job->latents);
	at = take(&w->noise, block, at, lanes * w->job->latents);
	for (size_t i = 0; i < 3; i++)
		at = take(&w->kept[i], block, at, kept);
	return take(&w->scratch, block, at, kept);
}

static int work_open(struct work *w, const struct cvae_job *job)
{
	memset(w, 0, sizeof(*w));
	w->job = job;
	shape_nets(w);
	w->block = aligned_alloc(64, cut(w, NULL) * sizeof(float));
	w->order = malloc(job->windows * sizeof(*w->order));
	if (!w->block || !w->order) {
		free(w->block);
		free(w->order);
		return -1;
	}
	cut(w, w->block);
	return 0;
}

static void work_close(struct work *w)
{
	free(w->block);
	free(w->order);
}

static struct kernels_tiles inputs_from(const struct work *w, unsigned unit)
{
	return (struct kernels_tiles){
		.first = w->sample + (size_t)unit * TILE, .stride = w->units * TILE};
}

static void gather(struct work *w, const float *x, const float *y, const uint32_t *row)
{
	const struct cvae_job *j = w->job;
	float *to = w->sample;

	for (size_t t = 0; t < w->tiles; t++, row += TILE, to += j->latents * TILE) {
		for (unsigned i = 0; i < j->targets; i++, to += TILE)
			for (size_t lane = 0; lane < TILE; lane++)
				to[lane] = y[(size_t)row[lane] * j->targets + i];
		for (unsigned i = 0; i < j->features; i++, to += TILE)
			for (size_t lane = 0; lane < TILE; lane++)
				to[lane] = x[(size_t)row[lane] * j->features + i];
	}
}

static void step_forward(struct work *w)
{
	const struct cvae_job *j = w->job;
	const float *prior = w->weights + mlp_parameters(&w->encoder);
	const float *decoder = prior + mlp_parameters(&w->prior);

	mlp_forward(&w->encoder, w->q, w->kept[0], inputs_from(w, 0), w->weights, w->tiles);
	mlp_forward(&w->prior, w->p, w->kept[1], inputs_from(w, j->targets), prior, w->tiles);
	kernels_best()->noise(w->noise, w->tiles * j->latents * TILE, &w->random);
	for (size_t t = 0; t < w->tiles; t++)
		kernels_best()->draw(w->sample + ((t + 1) * w->units - j->latents) * TILE,
			w->q + t * 2 * j->latents * TILE, w->noise + t * j->latents * TILE,
			j->latents);
	mlp_forward(&w->decoder, w->y, w->kept[2], inputs_from(w, j->targets), decoder, w->tiles);
}

/* Sum of the squares halved; their gradient goes to dy. */
static double error_of(struct work *w)
{
	size_t floats = (size_t)w->job->targets * TILE;
	float scale = 1.0F / (float)w->job->batch, sum[TILE] = {0};
	double all = 0;

	for (size_t t = 0; t < w->tiles; t++) {
		const float *is = w->y + t * floats, *should = w->sample + t * w->units * TILE;
		float *d = w->dy + t * floats;

		for (size_t i = 0; i < floats; i += TILE)
			for (size_t lane = 0; lane < TILE; lane++) {
				float gap = is[i + lane] - should[i + lane];

				sum[lane] += gap * gap;
				d[i + lane] = scale * gap;
			}
	}
	for (size_t lane = 0; lane < TILE; lane++)
		all += 0.5 * (double)sum[lane];
	return all;
}

/* Returns the loss of the batch, summed over its samples. */
static double step_backward(struct work *w)
{
	const struct cvae_job *j = w->job;
	size_t encoder = mlp_parameters(&w->encoder), prior = encoder + mlp_parameters(&w->prior);
	size_t gaussian = 2 * (size_t)j->latents * TILE, z = (size_t)j->latents * TILE;
	double loss = error_of(w);

	memset(w->gradient, 0, w->parameters * sizeof(float));
	memset(w->dq, 0, w->tiles * gaussian * sizeof(float));
	memset(w->dp, 0, w->tiles * gaussian * sizeof(float));
	mlp_backward(&w->decoder, w->dz, j->features, w->gradient + prior, w->dy, w->kept[2],
		inputs_from(w, j->targets), w->weights + prior, w->tiles, w->scratch);
	for (size_t t = 0; t < w->tiles; t++) {
		float *dq = w->dq + t * gaussian;
		const float *q = w->q + t * gaussian;

		loss += kernels_best()->divergence(dq, w->dp + t * gaussian, q, w->p + t * gaussian,
			j->latents, TILE, 1.0F / (float)j->batch);
		kernels_best()->draw_back(dq, w->dz + t * z, q, w->noise + t * z, j->latents);
	}
	mlp_backward(&w->encoder, NULL, 0, w->gradient, w->dq, w->kept[0], inputs_from(w, 0),
		w->weights, w->tiles, w->scratch);
	mlp_backward(&w->prior, NULL, 0, w->gradient + encoder, w->dp, w->kept[1],
		inputs_from(w, j->targets), w->weights + encoder, w->tiles, w->scratch);
	return loss;
}

static void shuffle(struct work *w)
{
	for (size_t i = w->job->windows; i > 1; i--) {
		size_t other = random_below(&w->random, i);
		uint32_t row = w->order[i - 1];

		w->order[i - 1] = w->order[other];
		w->order[other] = row;
	}
}

static void init(struct work *w, unsigned service)
{
	float *weights = w->weights;

	random_init(&w->random, w->job->seed, (1ULL << 32) + service);
	mlp_init(&w->encoder, weights, &w->random);
	weights += mlp_parameters(&w->encoder);
	mlp_init(&w->prior, weights, &w->random);
	mlp_init(&w->decoder, weights + mlp_parameters(&w->prior), &w->random);
	memset(w->moment1, 0, w->parameters * sizeof(float));
	memset(w->moment2, 0, w->parameters * sizeof(float));
	for (uint32_t i = 0; i < w->job->windows; i++)
		w->order[i] = i;
}

/* Returns the mean loss of the last epoch. */
static double train_service(struct work *w, const float *x, const float *y, unsigned service)
{
	const struct cvae_job *j = w->job;
	const float *gradient = w->gradient;
	size_t step = 0, batches = j->windows / j->batch;
	double loss = 0;

	init(w, service);
	for (unsigned e = 0; e < j->epochs; e++) {
		loss = 0;
		shuffle(w);
		for (size_t b = 0; b < batches; b++) {
			struct kernels_adam adam = kernels_adam_step(j->rate, ++step, 1);

			gather(w, x, y, w->order + b * j->batch);
			step_forward(w);
			loss += step_backward(w);
			kernels_best()->adam(w->weights, w->moment1, w->moment2, &gradient, 1,
				w->parameters, &adam);
		}
	}
	return loss / (double)(batches * j->batch);
}

/* ---- all of them --------------------------------------------------------------------- */

static void *train_some(void *argument)
{
	struct training *t = argument;
	const struct cvae_job *j = t->job;
	const float *y = t->data + (size_t)j->services * j->windows * j->features;
	struct work w;
	unsigned s;

	if (work_open(&w, j)) {
		atomic_store(&t->failed, true);
		return NULL;
	}
	while ((s = atomic_fetch_add(&t->next, 1)) < j->services)
		t->loss[s] = train_service(&w, t->data + (size_t)s * j->windows * j->features,
			y + (size_t)s * j->windows * j->targets, s);
	work_close(&w);
	return NULL;
}

int cvae_train(const struct cvae_job *job, const float *data, double *loss)
{
	struct training t = {.job = job, .data = data};
	pthread_t thread[THREADS];
	unsigned started = 0;
	double sum = 0;

	t.loss = calloc(job->services, sizeof(*t.loss));
	if (!t.loss)
		return -1;
	while (started + 1 < job->threads && started < THREADS &&
		!pthread_create(&thread[started], NULL, train_some, &t))
		started++;
	train_some(&t);
	for (unsigned i = 0; i < started; i++)
		pthread_join(thread[i], NULL);
	for (unsigned s = 0; s < job->services; s++)
		sum += t.loss[s] / job->services;
	free(t.loss);
	if (atomic_load(&t.failed))
		return -1;
	*loss = sum;
	return 0;
}

static double net_macs(const struct mlp *m)
{
	return (double)m->hidden * (m->inputs + m->outputs + (m->layers - 1.0) * m->hidden);
}

/* Each weight three times: forward, gradient, and backward but for inputs that need none. */
double cvae_flops(const struct cvae_job *j)
{
	struct work w = {.job = j};
	double macs, samples;

	shape_nets(&w);
	macs = 3 * (net_macs(&w.encoder) + net_macs(&w.prior) + net_macs(&w.decoder));
	macs -= (double)j->hidden * (w.encoder.inputs + w.prior.inputs + j->features);
	samples = (double)j->services * (j->windows / j->batch * j->batch) * j->epochs;
	return 2 * macs * samples;
}
