#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analyzer/model_parts.h"

#define FEWEST_WINDOWS 8
#define SHARDS 4 /* parts of a batch; fixed, so that sums do not depend on the threads */
#define VIOLATING_SHARE                                                                            \
	4 /* at least one window in this many of an epoch misses the target, if any does */
#define MOST_REPEATS 4 /* of a violating window in an epoch */
#define BETA1 0.9F     /* Adam (Kingma and Ba, 2015) */
#define BETA2 0.999F
#define EPSILON 1e-8F

struct shard {
	struct gvae_work *work;
	float *noise;    /* [2][rows][entities] */
	float *gradient; /* [parameters] */
	double loss;
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

static void run_shard(struct training *t, unsigned s)
{
	struct shard *shard = &t->shard[s];
	size_t begin = batch_begin(t, t->step), from = begin + s * t->batch / SHARDS;
	size_t rows = begin + (s + 1) * t->batch / SHARDS - from;
	struct gvae_loss loss = {.alpha = t->o->alpha, .beta = t->o->beta, .gamma = t->o->gamma};
	struct random random;

	memset(shard->gradient, 0, t->g->parameters * sizeof(float));
	if (rows == 0)
		return;
	random_init(&random, t->o->seed, (t->step + 1) * SHARDS + s);
	random_normals(&random, shard->noise, 2 * rows * t->g->entities);
	shard->loss = gvae_gradient(t->g, shard->work, &loss, t->weights, t->zs + from,
		t->masks + from, shard->noise, rows, shard->gradient);
}

static void update(struct training *t, size_t from, size_t to)
{
	float scale = 1.0F / (float)t->batch, step = (float)t->step + 1;
	float rate = t->o->learning_rate * sqrtf(1 - powf(BETA2, step)) / (1 - powf(BETA1, step));
	const float *g0 = t->shard[0].gradient, *g1 = t->shard[1].gradient;
	const float *g2 = t->shard[2].gradient, *g3 = t->shard[3].gradient;

	_Static_assert(SHARDS == 4, "one pointer a shard");
	for (size_t i = from; i < to; i++) {
		float g = (g0[i] + g1[i] + g2[i] + g3[i]) * scale;

		t->moment1[i] = BETA1 * t->moment1[i] + (1 - BETA1) * g;
		t->moment2[i] = BETA2 * t->moment2[i] + (1 - BETA2) * g * g;
		t->weights[i] -= rate * t->moment1[i] / (sqrtf(t->moment2[i]) + EPSILON);
	}
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

static void *work(void *argument)
{
	struct worker *w = argument;
	struct training *t = w->t;
	size_t all = t->g->parameters;

	pthread_mutex_lock(&t->gate);
	pthread_mutex_unlock(&t->gate);
	while (!t->done) {
		for (unsigned s = w->number; s < SHARDS; s += t->threads)
			run_shard(t, s);
		pthread_barrier_wait(&t->barrier);
		update(t, all * w->number / t->threads, all * (w->number + 1) / t->threads);
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
	size_t part = (t->batch + SHARDS - 1) / SHARDS, noise = 2 * part * t->g->entities;
	float *at;

	t->block = calloc(
		count * (columns + t->g->ys) + 2 * n + SHARDS * (n + noise) + 1, sizeof(float));
	if (!t->block)
		return -ENOMEM;
	t->z = t->block;
	t->mask = t->z + count * columns;
	t->moment1 = t->mask + count * t->g->ys;
	t->moment2 = t->moment1 + n;
	at = t->moment2 + n;
	for (unsigned s = 0; s < SHARDS; s++, at += n + noise) {
		t->shard[s].gradient = at;
		t->shard[s].noise = at + n;
		t->shard[s].work = gvae_work_new(t->g, part);
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

static unsigned thread_count(const struct model_options *o)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned want = o->threads ? o->threads : cpus > 0 ? (unsigned)cpus : 1;

	return want < SHARDS ? want : SHARDS;
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
		t.steps = step_count(&t);
		err = fill_blocks(&t, v, row, count);
	}
	if (!err && t.steps) {
		random_init(&t.random, o->seed, 0);
		shuffle(&t);
		err = run_threads(&t, thread_count(o));
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
