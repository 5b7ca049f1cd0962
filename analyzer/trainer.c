#include "analyzer/trainer.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/clock.h"

#define HELD_OUT_EVERY 5 /* one usable row in so many is kept from training */
#define MUCH_WORSE 1.25  /* times the old model's error, on the same rows */
#define TRAINING_NICE 19 /* it can wait; what is watched may run on the same machine */

enum phase { IDLE, WAITING, RUNNING, DONE, STOPPING };

struct trainer {
	pthread_t thread;
	pthread_mutex_t lock; /* phase, and who owns job and result */
	pthread_cond_t changed;
	enum phase phase;
	bool started;
	atomic_bool stop;
	struct trainer_job job;
	struct trainer_result result;
};

static void job_clear(struct trainer_job *j)
{
	recording_clear(&j->recording);
	free(j->use);
	memset(j, 0, sizeof(*j));
}

/* Splits the usable rows: `held` gets every HELD_OUT_EVERYth, `use` keeps the others. */
static size_t hold_out(bool *use, bool *held, size_t rows)
{
	size_t usable = 0;

	for (size_t i = 0; i < rows; i++) {
		if (!use[i])
			continue;
		if (usable++ % HELD_OUT_EVERY != HELD_OUT_EVERY - 1)
			continue;
		held[i] = true;
		use[i] = false;
	}
	return usable;
}

static int learn(
	const struct trainer_job *j, const struct model_options *o, struct trainer_result *r)
{
	r->share = 1;
	if (!j->old)
		return model_train(&r->model, &j->recording, &j->slo, j->use, o);
	if (j->changes)
		return model_retrain_changed(
			&r->model, j->old, &j->recording, &j->slo, j->use, o, &r->share);
	return model_retrain(&r->model, j->old, &j->recording, &j->slo, j->use, o);
}

static void train(struct trainer *t, struct trainer_result *r)
{
	struct trainer_job *j = &t->job;
	size_t rows = j->recording.series.windows;
	bool *held = calloc(rows ? rows : 1, sizeof(*held));
	uint64_t began_ns = clock_monotonic_ns();
	struct model_options o;

	memset(r, 0, sizeof(*r));
	r->error = r->old_error = NAN;
	if (!held) {
		r->err = -ENOMEM;
		return;
	}
	model_options_default(&o);
	o.stop = &t->stop;
	r->windows = hold_out(j->use, held, rows);
	r->err = learn(j, &o, r);
	if (!r->err)
		r->err = model_expect(r->model, &j->recording, held);
	if (!r->err)
		r->error = model_error(r->model, &j->recording, held);
	if (!r->err && j->old)
		r->old_error =
			model_error_in(r->model, j->old, model_error(j->old, &j->recording, held));
	r->seconds = (double)(clock_monotonic_ns() - began_ns) / 1e9;
	free(held);
}

static void *work(void *arg)
{
	struct trainer *t = arg;

	/* Linux takes this for the thread alone; the threads it starts for a training inherit it.
	 */
	setpriority(PRIO_PROCESS, (id_t)gettid(), TRAINING_NICE);
	pthread_mutex_lock(&t->lock);
	while (t->phase != STOPPING) {
		if (t->phase != WAITING) {
			pthread_cond_wait(&t->changed, &t->lock);
			continue;
		}
		t->phase = RUNNING;
		pthread_mutex_unlock(&t->lock);
		train(t, &t->result);
		pthread_mutex_lock(&t->lock);
		job_clear(&t->job);
		if (t->phase == RUNNING)
			t->phase = DONE;
		else
			model_free(t->result.model);
	}
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

int trainer_open(struct trainer **out)
{
	struct trainer *t = calloc(1, sizeof(*t));
	int err;

	if (!t)
		return -ENOMEM;
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->changed, NULL);
	err = pthread_create(&t->thread, NULL, work, t);
	t->started = !err;
	if (err) {
		trainer_close(t);
		return -err;
	}
	*out = t;
	return 0;
}

void trainer_close(struct trainer *t)
{
	if (!t)
		return;
	atomic_store(&t->stop, true);
	pthread_mutex_lock(&t->lock);
	if (t->phase == DONE)
		model_free(t->result.model);
	t->phase = STOPPING;
	pthread_cond_signal(&t->changed);
	pthread_mutex_unlock(&t->lock);
	if (t->started)
		pthread_join(t->thread, NULL);
	job_clear(&t->job);
	pthread_cond_destroy(&t->changed);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

int trainer_submit(struct trainer *t, struct trainer_job *job)
{
	int err = -EBUSY;

	pthread_mutex_lock(&t->lock);
	if (t->phase == IDLE) {
		t->job = *job;
		t->phase = WAITING;
		pthread_cond_signal(&t->changed);
		err = 0;
	}
	pthread_mutex_unlock(&t->lock);
	return err;
}

bool trainer_take(struct trainer *t, struct trainer_result *out)
{
	bool done;

	pthread_mutex_lock(&t->lock);
	done = t->phase == DONE;
	if (done) {
		*out = t->result;
		t->phase = IDLE;
	}
	pthread_mutex_unlock(&t->lock);
	return done;
}

bool trainer_busy(struct trainer *t)
{
	bool busy;

	pthread_mutex_lock(&t->lock);
	busy = t->phase != IDLE;
	pthread_mutex_unlock(&t->lock);
	return busy;
}

bool trainer_accepts(const struct trainer_result *r)
{
	if (r->err || !isfinite(r->error))
		return false;
	return !isfinite(r->old_error) || r->error <= r->old_error * MUCH_WORSE;
}
