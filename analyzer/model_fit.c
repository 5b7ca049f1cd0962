#include "analyzer/model_fit.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TILE KERNELS_TILE
/* Parts of a batch at most; their number does not depend on the threads, so sums do not either. */
#define SHARDS 4
/* At least one window in this many of an epoch is a rare one, if any is. */
#define RARE_SHARE 4
/* Of a rare window in an epoch, at most. */
#define MOST_REPEATS 4

struct shard {
	struct gvae_work *work;
	float *noise;    /* [2][entities][T] */
	float *gradient; /* [parameters] */
};

/* A training run. Between two barriers the threads touch shards and slices of their own. */
struct training {
	const struct gvae *g;
	const struct model_options *o;
	const struct model_rows *rows;
	float *weights, *moment1, *moment2; /* [parameters] */
	size_t *epoch;                      /* [epoch_size] windows in this epoch's order */
	const float **zs, **masks;          /* [epoch_size] the same as rows */
	size_t epoch_size, batch;
	struct shard shard[SHARDS];
	unsigned shards; /* each of whole tiles but the last */
	struct random random;
	float *block; /* owns the floats */
	unsigned threads;
	pthread_mutex_t gate;
	pthread_barrier_t barrier;
	bool done, cancelled; /* written by thread 0 between barriers */
	size_t step, steps;   /* of the run; thread 0 */
};

/* ---- one step ---- */

static size_t batch_begin(const struct training *t, size_t step)
{
	return step * t->batch % (t->epoch_size / t->batch * t->batch);
}

/* Tiles are dealt out to the shards like cards. */
static void run_shard(struct training *t, unsigned s)
{
	struct shard *shard = &t->shard[s];
	size_t begin = batch_begin(t, t->step);
	struct gvae_loss loss = {.alpha = t->o->alpha, .beta = t->o->beta, .gamma = t->o->gamma};
	struct random random;

	memset(shard->gradient, 0, t->g->parameters * sizeof(float));
	random_init(&random, t->o->seed, (t->step + 1) * SHARDS + s);
	for (size_t at = s * TILE; at < t->batch; at += t->shards * TILE) {
		size_t rows = t->batch - at < TILE ? t->batch - at : TILE;

		kernels_best()->noise(shard->noise, 2 * TILE * (size_t)t->g->entities, &random);
		gvae_gradient(t->g, shard->work, &loss, t->weights, t->zs + begin + at,
			t->masks + begin + at, shard->noise, rows, shard->gradient);
	}
}

static void update(struct training *t, size_t from, size_t to)
{
	struct kernels_adam step = kernels_adam_step(t->o->learning_rate, t->step + 1, t->batch);
	const float *gradient[SHARDS];

	for (unsigned s = 0; s < t->shards; s++)
		gradient[s] = t->shard[s].gradient + from;
	kernels_best()->adam(t->weights + from, t->moment1 + from, t->moment2 + from, gradient,
		t->shards, to - from, &step);
}

static void shuffle(struct training *t)
{
	for (size_t i = t->epoch_size; i > 1; i--) {
		size_t j = random_below(&t->random, i), row = t->epoch[i - 1];

		t->epoch[i - 1] = t->epoch[j];
		t->epoch[j] = row;
	}
	for (size_t i = 0; i < t->epoch_size; i++) {
		t->zs[i] = t->rows->z + t->epoch[i] * (t->g->xs + t->g->ys);
		t->masks[i] = t->rows->mask + t->epoch[i] * t->g->ys;
	}
}

/* Thread 0, alone between two barriers. */
static void next_step(struct training *t)
{
	t->step++;
	t->cancelled = t->o->stop && atomic_load(t->o->stop);
	t->done = t->cancelled || t->step == t->steps;
	if (!t->done && batch_begin(t, t->step) == 0)
		shuffle(t);
}

struct worker {
	struct training *t;
	unsigned number;
	pthread_t thread;
};

/* Where a thread's parameters begin: on a cache line. */
static size_t slice(const struct training *t, unsigned thread)
{
	size_t all = t->g->parameters;

	return thread == t->threads ? all : all * thread / t->threads / TILE * TILE;
}

static void *work(void *argument)
{
	struct worker *w = argument;
	struct training *t = w->t;

	pthread_mutex_lock(&t->gate);
	pthread_mutex_unlock(&t->gate);
	while (!t->done) {
		for (unsigned s = w->number; s < t->shards; s += t->threads)
			run_shard(t, s);
		pthread_barrier_wait(&t->barrier);
		update(t, slice(t, w->number), slice(t, w->number + 1));
		pthread_barrier_wait(&t->barrier);
		if (w->number == 0)
			next_step(t);
		pthread_barrier_wait(&t->barrier);
	}
	return NULL;
}

/* As many threads as wanted and had; the gate holds them until their number is known. */
static int run_threads(struct training *t, unsigned want)
{
	struct worker worker[SHARDS];
	int err;

	worker[0] = (struct worker){.t = t};
	t->threads = 1;
	pthread_mutex_init(&t->gate, NULL);
	pthread_mutex_lock(&t->gate);
	for (; t->threads < want; t->threads++) {
		struct worker *w = &worker[t->threads];

		*w = (struct worker){.t = t, .number = t->threads};
		if (pthread_create(&w->thread, NULL, work, w))
			break;
	}
	err = pthread_barrier_init(&t->barrier, NULL, t->threads);
	t->done = err != 0;
	pthread_mutex_unlock(&t->gate);
	work(&worker[0]);
	for (unsigned i = 1; i < t->threads; i++)
		pthread_join(worker[i].thread, NULL);
	if (!err)
		pthread_barrier_destroy(&t->barrier);
	pthread_mutex_destroy(&t->gate);
	if (err)
		return -ENOMEM;
	return t->cancelled ? -ECANCELED : 0;
}

/* ---- one run ---- */

/* Rare windows are repeated until they are seen often enough. */
static size_t repeats(size_t windows, size_t rare)
{
	size_t n = 1;

	while (rare && n < MOST_REPEATS && n * rare * RARE_SHARE < windows + (n - 1) * rare)
		n++;
	return n;
}

static int fill_epoch(struct training *t)
{
	const struct model_rows *rows = t->rows;
	size_t rare = 0, times;

	for (size_t i = 0; i < rows->count; i++)
		rare += rows->rare[i];
	times = repeats(rows->count, rare);
	t->epoch_size = rows->count + (times - 1) * rare;
	t->epoch = malloc(t->epoch_size * sizeof(*t->epoch));
	t->zs = malloc(t->epoch_size * sizeof(*t->zs));
	t->masks = malloc(t->epoch_size * sizeof(*t->masks));
	if (!t->epoch || !t->zs || !t->masks)
		return -ENOMEM;
	for (size_t i = 0, n = 0; i < rows->count; i++)
		for (size_t k = 0; k < (rows->rare[i] ? times : 1); k++)
			t->epoch[n++] = i;
	return 0;
}

static int fill_blocks(struct training *t)
{
	size_t n = t->g->parameters, noise = 2 * TILE * (size_t)t->g->entities;
	float *at;

	t->block = calloc(2 * n + t->shards * (n + noise) + 1, sizeof(float));
	if (!t->block)
		return -ENOMEM;
	t->moment1 = t->block;
	t->moment2 = t->moment1 + n;
	at = t->moment2 + n;
	for (unsigned s = 0; s < t->shards; s++, at += n + noise) {
		t->shard[s].gradient = at;
		t->shard[s].noise = at + n;
		t->shard[s].work = gvae_work_new(t->g);
		if (!t->shard[s].work)
			return -ENOMEM;
	}
	return 0;
}

static void training_clear(struct training *t)
{
	for (unsigned s = 0; s < SHARDS; s++)
		gvae_work_free(t->shard[s].work);
	free(t->block);
	free(t->epoch);
	free(t->zs);
	free(t->masks);
}

static unsigned thread_count(const struct training *t)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned want = t->o->threads ? t->o->threads : cpus > 0 ? (unsigned)cpus : 1;

	return want < t->shards ? want : t->shards;
}

static unsigned shard_count(size_t batch)
{
	size_t tiles = (batch + TILE - 1) / TILE;

	return tiles < SHARDS ? (unsigned)tiles : SHARDS;
}

static size_t step_count(const struct training *t)
{
	size_t steps = t->o->epochs * (t->epoch_size / t->batch);

	return t->o->steps && steps > t->o->steps ? t->o->steps : steps;
}

int model_fit(const struct gvae *g, float *weights, const struct model_rows *rows,
	const struct model_options *o)
{
	struct training t = {.g = g, .o = o, .rows = rows, .weights = weights};
	int err = fill_epoch(&t);

	if (!err) {
		t.batch = o->batch < t.epoch_size ? o->batch : t.epoch_size;
		t.shards = shard_count(t.batch);
		t.steps = step_count(&t);
		err = fill_blocks(&t);
	}
	if (!err && t.steps) {
		random_init(&t.random, o->seed, 0);
		shuffle(&t);
		err = run_threads(&t, thread_count(&t));
	}
	training_clear(&t);
	return err;
}
