#include "analyzer/core.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/intake.h"
#include "common/clock.h"
#include "common/log.h"

#define PATIENCE_S 3.0
#define TRIM_EVERY_S 60

void core_lock(struct core *c)
{
	pthread_mutex_lock(&c->lock);
}

void core_unlock(struct core *c)
{
	pthread_mutex_unlock(&c->lock);
}

/* ---- the queue between intake and the loop ------------------------------ */

static void push(struct core *c, int64_t id, struct wire_batch *batch)
{
	struct core_batch *b = &c->queue[(c->queue_first + c->queued) % CORE_QUEUE];

	*b = (struct core_batch){.id = id, .batch = *batch, .bytes = wire_batch_bytes(batch)};
	*batch = (struct wire_batch){0};
	c->queued++;
	c->queued_bytes += b->bytes;
}

static bool pop(struct core *c, struct core_batch *out)
{
	bool some;

	pthread_mutex_lock(&c->queue_lock);
	some = c->queued > 0;
	if (some) {
		*out = c->queue[c->queue_first];
		c->queue_first = (c->queue_first + 1) % CORE_QUEUE;
		c->queued--;
		c->queued_bytes -= out->bytes;
	}
	pthread_mutex_unlock(&c->queue_lock);
	return some;
}

static void wait_for_work(struct core *c, int timeout_ms)
{
	uint64_t until_ns = clock_monotonic_ns() + (uint64_t)timeout_ms * 1000000;
	struct timespec until = {.tv_sec = (time_t)(until_ns / 1000000000),
		.tv_nsec = (long)(until_ns % 1000000000)};
	int err = 0;

	pthread_mutex_lock(&c->queue_lock);
	while (!c->queued && !c->wanted && !err)
		err = pthread_cond_timedwait(&c->queue_filled, &c->queue_lock, &until);
	c->wanted = false;
	pthread_mutex_unlock(&c->queue_lock);
}

void core_nudge(struct core *c)
{
	pthread_mutex_lock(&c->queue_lock);
	c->wanted = true;
	pthread_cond_signal(&c->queue_filled);
	pthread_mutex_unlock(&c->queue_lock);
}

/* ---- called by intake --------------------------------------------------- */

static uint64_t until_of(const struct wire_batch *b)
{
	uint64_t until_ns = 0;

	for (uint32_t i = 0; i < b->windows; i++) {
		uint64_t end_ns = b->window[i].start_ns + b->window[i].duration_ns;

		if (end_ns > until_ns)
			until_ns = end_ns;
	}
	return until_ns;
}

static bool room(struct core *c, size_t more)
{
	bool some;

	pthread_mutex_lock(&c->queue_lock);
	some = c->queued + more <= CORE_QUEUE && c->queued_bytes < CORE_QUEUE_BYTES;
	pthread_mutex_unlock(&c->queue_lock);
	if (!some)
		c->refused += more;
	return some;
}

static void push_stored(
	struct core *c, struct intake_batch *b, const struct store_batch *stored, size_t n)
{
	pthread_mutex_lock(&c->queue_lock);
	for (size_t i = 0; i < n; i++)
		if (stored[i].id) /* else it was stored before */
			push(c, stored[i].id, &b[i].batch);
	pthread_cond_signal(&c->queue_filled);
	pthread_mutex_unlock(&c->queue_lock);
}

int core_batches(void *core, struct intake_batch *b, size_t n)
{
	struct core *c = core;
	struct store_batch *stored;
	int err;

	if (!room(c, n)) /* intake calls one at a time, so room stays */
		return -EAGAIN;
	stored = calloc(n, sizeof(*stored));
	if (!stored)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		stored[i] = (struct store_batch){.agent = &b[i].agent,
			.sequence = b[i].sequence,
			.until_ns = until_of(&b[i].batch),
			.body = b[i].message,
			.size = b[i].size};
	err = store_batches(c->store, stored, n);
	if (!err)
		push_stored(c, b, stored, n);
	free(stored);
	return err;
}

uint64_t core_last_sequence(void *core, const struct wire_agent *a)
{
	struct core *c = core;

	return store_last_sequence(c->store, a);
}

int core_poll(void *core, const struct wire_poll *p, struct wire_leases *out)
{
	struct core *c = core;
	int err;

	core_lock(c);
	for (uint32_t i = 0; i < p->reports; i++)
		act_report(c->act, p->agent.name, &p->report[i], clock_wall_s());
	err = act_leases(c->act, p->agent.name, out);
	core_unlock(c);
	if (p->reports)
		core_nudge(c);
	return err;
}

/* ---- the loop ----------------------------------------------------------- */

/* Close one window if it is due, store it, judge it. */
static bool close_one(struct core *c)
{
	struct live_closed closed;
	int some;

	core_lock(c);
	some = live_close(
		&c->live, clock_monotonic_ns(), clock_wall_s(), !core_any_open(c), &closed);
	core_unlock(c);
	if (some < 0)
		log_error("closing a window: %s, trying again", strerror(-some));
	if (some <= 0)
		return false;
	core_store_row(c, closed.start_s);
	if (closed.fresh)
		core_judge(c, &closed);
	return true;
}

static void add_batch(struct core *c, int64_t id, const struct wire_batch *batch)
{
	for (uint32_t i = 0; i < batch->windows; i++) {
		int err;

		while (c->live.pendings == LIVE_PENDING && close_one(c))
			;
		core_lock(c);
		err = live_add(&c->live, &batch->agent, &batch->window[i], clock_monotonic_ns(),
			clock_wall_s());
		c->unsummed += err != 0;
		core_unlock(c);
		if (err)
			log_error("window of %s not summed up: %s", batch->agent.name,
				strerror(-err));
	}
	c->merged = id;
}

static double slo_now(void *ctx, const char *entity, const char *metric, double *target)
{
	struct core *c = ctx;
	const struct recording *r = &c->live.recording;
	uint32_t number = graph_find(&r->graph, entity);

	*target = NAN;
	for (size_t i = 0; i < r->slos; i++) {
		if (r->slo[i].entity != number || strcmp(r->slo[i].metric, metric))
			continue;
		*target = r->slo[i].target;
		return r->series.windows ? slo_value(r, &r->slo[i], r->series.windows - 1) : NAN;
	}
	return NAN;
}

/* The planner's decisions become durable, and agents waiting for leases are told. */
static void publish_actions(struct core *c)
{
	json_t *saved = NULL;

	core_lock(c);
	if (act_revision(c->act) != c->act_seen) {
		c->act_seen = act_revision(c->act);
		saved = act_save(c->act);
	}
	core_unlock(c);
	if (!saved)
		return;
	if (store_put(c->store, "act", 1, clock_wall_s(), saved))
		log_error("actions not stored; a restart now would forget them");
	json_decref(saved);
	for (uint32_t i = 0; c->wake && i < c->live.fleet.agents; i++)
		c->wake(c->wake_ctx, c->live.fleet.agent[i].name);
}

static void trim(struct core *c)
{
	if (clock_monotonic_s() - c->trimmed_s < TRIM_EVERY_S)
		return;
	c->trimmed_s = clock_monotonic_s();
	core_lock(c);
	fleet_trim(&c->live.fleet, clock_monotonic_ns());
	resolve_trim(&c->live.resolve, clock_wall_s());
	core_unlock(c);
	store_trim(c->store, clock_wall_s() - c->options.retain_s, c->options.retain_bytes);
}

void core_step(struct core *c, int timeout_ms)
{
	double judged_s = c->judged_s;
	struct core_batch b;

	wait_for_work(c, timeout_ms);
	core_take_slos(c);
	while (pop(c, &b)) {
		add_batch(c, b.id, &b.batch);
		wire_batch_close(&b.batch);
	}
	while (close_one(c))
		;
	core_diagnose(c);
	if (c->judged_s > judged_s) {
		core_lock(c);
		act_tick(c->act, slo_now, c, clock_wall_s());
		core_unlock(c);
	}
	publish_actions(c);
	core_train(c);
	trim(c);
	core_lock(c);
	c->stepped_s = clock_monotonic_s();
	core_unlock(c);
}

int core_set_mode(struct core *c, enum act_mode m)
{
	json_t *mode = json_string(act_mode_name(m));
	int err;

	act_set_mode(c->act, m, clock_wall_s());
	err = mode ? store_put(c->store, "mode", 1, clock_wall_s(), mode) : -ENOMEM;
	json_decref(mode);
	return err;
}

/* ---- start and stop ----------------------------------------------------- */

/* Rows of another window length cannot stand beside ours. */
static int check_window(struct core *c, char *why, size_t why_size)
{
	json_t *stored = store_get(c->store, "window", 1), *ours = json_real(c->options.window_s);
	double had = json_number_value(stored);
	int err = 0;

	if (stored && had != c->options.window_s) {
		snprintf(why, why_size,
			"%s holds windows of %g s, not %g s: use --window %g or another --data",
			c->options.data, had, c->options.window_s, had);
		err = -EINVAL;
	} else {
		err = ours ? store_put(c->store, "window", 1, clock_wall_s(), ours) : -ENOMEM;
	}
	json_decref(stored);
	json_decref(ours);
	return err;
}

static void replay_batch(struct core *c, int64_t id, const void *body, size_t size)
{
	struct wire_batch batch;

	if (wire_decode_batch(body, size, &batch)) {
		c->malformed++;
		c->merged = id;
		return;
	}
	add_batch(c, id, &batch);
	wire_batch_close(&batch);
}

/* Batches acknowledged before the restart whose windows are not in rows yet. */
static int replay_batches(struct core *c)
{
	int64_t id = 0;
	void *body;
	size_t size;
	int err;

	while (!(err = store_next_batch(c->store, id, &id, &body, &size))) {
		replay_batch(c, id, body, size);
		free(body);
		while (close_one(c))
			;
	}
	return err == -ENOENT ? 0 : err;
}

static int restore_act(struct core *c)
{
	json_t *saved = store_get(c->store, "act", 1);
	json_t *mode = store_get(c->store, "mode", 1);
	enum act_mode m;
	int err = saved ? act_load(c->act, saved) : 0;

	if (err)
		log_warning(
			"stored actions are damaged, starting without them: %s", strerror(-err));
	if (!c->options.mode_given && json_is_string(mode) &&
		act_mode_parse(json_string_value(mode), &m))
		c->options.mode = m;
	json_decref(mode);
	json_decref(saved);
	act_set_mode(c->act, c->options.mode, clock_wall_s());
	return err == -ENOMEM ? err : 0;
}

static int restore(struct core *c, char *why, size_t why_size)
{
	int err = check_window(c, why, why_size);

	if (err)
		return err;
	err = core_restore_rows(c);
	if (!err)
		err = core_restore_slos(c);
	if (!err)
		err = restore_act(c);
	if (!err)
		err = core_restore_incidents(c);
	if (!err)
		err = core_restore_model(c);
	if (!err && core_read_slo_file(c, why, why_size))
		return -EBADMSG;
	if (!err)
		err = replay_batches(c);
	if (err)
		snprintf(why, why_size,
			"%s: cannot restore: %s; move its sage.db away to start anew",
			c->options.data, strerror(-err));
	return err;
}

static int open_parts(struct core *c, char *why, size_t why_size)
{
	struct live_options live = {.window_s = c->options.window_s, .patience_s = PATIENCE_S};
	struct act_options act;
	int err;

	live.keep = (size_t)ceil(c->options.keep_s / c->options.window_s);
	live_init(&c->live, &live);
	incident_rule_default(&c->rule, c->options.window_s);
	act_options_default(&act);
	act.mode = c->options.mode;
	err = store_open(&c->store, c->options.data, why, why_size);
	if (err)
		return err;
	err = act_open(&c->act, &act, clock_wall_s());
	if (!err)
		err = trainer_open(&c->trainer);
	if (err) {
		snprintf(why, why_size, "cannot start: %s", strerror(-err));
		return err;
	}
	return restore(c, why, why_size);
}

int core_open(struct core **out, const struct core_options *o, char *why, size_t why_size)
{
	struct core *c = calloc(1, sizeof(*c));
	pthread_condattr_t attr;
	int err;

	if (!c)
		return -ENOMEM;
	c->options = *o;
	c->started_s = c->stepped_s = c->trimmed_s = clock_monotonic_s();
	c->model.error = NAN;
	pthread_mutex_init(&c->lock, NULL);
	pthread_mutex_init(&c->queue_lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->queue_filled, &attr);
	pthread_condattr_destroy(&attr);
	err = open_parts(c, why, why_size);
	if (err) {
		core_close(c);
		return err;
	}
	*out = c;
	return 0;
}

void core_close(struct core *c)
{
	struct core_batch b;

	if (!c)
		return;
	trainer_close(c->trainer);
	while (pop(c, &b))
		wire_batch_close(&b.batch);
	for (size_t i = 0; i < c->incidents; i++)
		json_decref(c->incident[i].diagnosis);
	model_free(c->model.model);
	if (c->act)
		act_close(c->act);
	live_clear(&c->live);
	free(c->unstored.start_s);
	store_close(c->store);
	pthread_cond_destroy(&c->queue_filled);
	pthread_mutex_destroy(&c->queue_lock);
	pthread_mutex_destroy(&c->lock);
	free(c);
}
