#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analyzer/model_parts.h"

#define TILE KERNELS_TILE
#define FEWEST_WINDOWS 8
/* Parts of a batch at most; their number does not depend on the threads, so sums do not either. */
#define SHARDS 4
/* At least one window in this many of an epoch misses the target, if any does. */
#define VIOLATING_SHARE 4
/* Of a violating window in an epoch, at most. */
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
	float *weights, *moment1, *moment2; /* [parameters] */
	float *z, *mask;                    /* [windows][xs + ys], [windows][ys] */
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
		t->zs[i] = t->z + t->epoch[i] * (t->g->xs + t->g->ys);
		t->masks[i] = t->mask + t->epoch[i] * t->g->ys;
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

/* Windows that miss the target are repeated until they are seen often enough. */
static size_t repeats(size_t windows, size_t violating)
{
	size_t n = 1;

	while (violating && n < MOST_REPEATS &&
		n * violating * VIOLATING_SHARE < windows + (n - 1) * violating)
		n++;
	return n;
}

static int fill_epoch(struct training *t, const struct model_view *v, const size_t *row,
	size_t count, double target)
{
	const float *slo = v->value[t->g->xs + t->g->slo_y];
	size_t violating = 0, times;

	for (size_t i = 0; i < count; i++)
		violating += slo[row[i]] > target;
	times = repeats(count, violating);
	t->epoch_size = count + (times - 1) * violating;
	t->epoch = malloc(t->epoch_size * sizeof(*t->epoch));
	t->zs = malloc(t->epoch_size * sizeof(*t->zs));
	t->masks = malloc(t->epoch_size * sizeof(*t->masks));
	if (!t->epoch || !t->zs || !t->masks)
		return -ENOMEM;
	for (size_t i = 0, n = 0; i < count; i++)
		for (size_t k = 0; k < (slo[row[i]] > target ? times : 1); k++)
			t->epoch[n++] = i;
	return 0;
}

static int fill_blocks(
	struct training *t, const struct model_view *v, const size_t *row, size_t count)
{
	size_t columns = t->g->xs + t->g->ys, n = t->g->parameters;
	size_t noise = 2 * TILE * (size_t)t->g->entities;
	float *at;

	t->block = calloc(
		count * (columns + t->g->ys) + 2 * n + t->shards * (n + noise) + 1, sizeof(float));
	if (!t->block)
		return -ENOMEM;
	t->z = t->block;
	t->mask = t->z + count * columns;
	t->moment1 = t->mask + count * t->g->ys;
	t->moment2 = t->moment1 + n;
	at = t->moment2 + n;
	for (unsigned s = 0; s < t->shards; s++, at += n + noise) {
		t->shard[s].gradient = at;
		t->shard[s].noise = at + n;
		t->shard[s].work = gvae_work_new(t->g);
		if (!t->shard[s].work)
			return -ENOMEM;
	}
	for (size_t i = 0; i < count; i++)
		model_view_row(v, row[i], t->z + i * columns, t->mask + i * t->g->ys);
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

static int fit(struct model *m, const struct model_view *v, const size_t *row, size_t count,
	double target, const struct model_options *o)
{
	struct training t = {.g = &m->g, .o = o, .weights = m->weights};
	int err = fill_epoch(&t, v, row, count, target);

	if (!err) {
		t.batch = o->batch < t.epoch_size ? o->batch : t.epoch_size;
		t.shards = shard_count(t.batch);
		t.steps = step_count(&t);
		err = fill_blocks(&t, v, row, count);
	}
	if (!err && t.steps) {
		random_init(&t.random, o->seed, 0);
		shuffle(&t);
		err = run_threads(&t, thread_count(&t));
	}
	training_clear(&t);
	return err;
}

static size_t usable_rows(const struct model_view *v, const bool *use, size_t *row)
{
	size_t count = 0;

	for (size_t i = 0; i < v->windows; i++)
		if ((!use || use[i]) && model_view_usable(v, i))
			row[count++] = i;
	return count;
}

static int train(struct model *m, const struct model *old, const struct model_view *v,
	const struct slo *slo, const bool *use, const struct model_options *o)
{
	size_t *row = malloc((v->windows + 1) * sizeof(*row)), count;
	int err = row ? 0 : -ENOMEM;

	m->weights = calloc(m->g.parameters + 1, sizeof(*m->weights));
	if (!m->weights)
		err = -ENOMEM;
	if (!err) {
		count = usable_rows(v, use, row);
		err = count < FEWEST_WINDOWS ? -ENODATA : 0;
	}
	if (!err && old)
		err = model_inherit_scales(m, old);
	if (!err)
		err = model_scale(&m->g, v, row, count, slo->target);
	if (!err) {
		gvae_init(&m->g, m->weights, o->seed);
		err = old ? model_inherit_weights(m, old) : 0;
	}
	if (!err)
		err = fit(m, v, row, count, slo->target, o);
	free(row);
	return err;
}

int model_retrain(struct model **out, const struct model *old, const struct recording *r,
	const struct slo *slo, const bool *use, const struct model_options *o)
{
	struct model *m = calloc(1, sizeof(*m));
	struct model_view v = {0};
	int err = m ? gvae_open(&m->g, r, slo, use, o->hidden, o->layers) : -ENOMEM;

	if (!err)
		err = model_view_open(&v, &m->g, r);
	if (!err)
		err = train(m, old, &v, slo, use, o);
	model_view_close(&v);
	if (err) {
		model_free(m);
		return err;
	}
	*out = m;
	return 0;
}

int model_train(struct model **out, const struct recording *r, const struct slo *slo,
	const bool *use, const struct model_options *o)
{
	return model_retrain(out, NULL, r, slo, use, o);
}
