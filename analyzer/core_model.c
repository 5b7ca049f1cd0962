/* When to train, what from, and whether the result takes over. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/core.h"
#include "common/clock.h"
#include "common/log.h"

#define RETRY_S 15.0 /* after a training that gave no model */
#define LOOKS 6      /* for changes, between two trainings of everything */

enum due { DUE_NOTHING, DUE_CHANGES, DUE_ALL };

static json_t *about_json(const struct core_model *m)
{
	return json_pack("{sf sf sf sf sI}", "trained_at", m->trained_at, "error", m->error,
		"training_s", m->training_s, "learnt_ratio", m->learnt, "windows",
		(json_int_t)m->windows);
}

static void keep_model(struct core *c)
{
	json_t *about = about_json(&c->model);
	void *blob = NULL;
	size_t size;
	int err = about ? model_save(c->model.model, &blob, &size) : -ENOMEM;

	if (!err)
		err = store_put_model(
			c->store, c->model.version, c->model.trained_at, about, blob, size);
	if (err)
		log_error("model %lld not stored: %s; a restart would train anew",
			(long long)c->model.version, strerror(-err));
	json_decref(about);
	free(blob);
}

static void replace_model(struct core *c, const struct trainer_result *r)
{
	core_lock(c);
	model_free(c->model.model);
	c->model.model = r->model;
	c->model.version++;
	c->model.trained_at = clock_wall_s();
	c->model.error = r->error;
	c->model.training_s = r->seconds;
	c->model.learnt = r->share;
	if (r->share >= 1)
		c->model.windows = r->windows;
	core_unlock(c);
	log_info("model %lld: %.3g %% of it trained on %zu windows in %.1f s, held-out error %.3f",
		(long long)c->model.version, 100 * r->share, r->windows, r->seconds, r->error);
	keep_model(c);
}

static void take_result(struct core *c)
{
	struct trainer_result r;

	if (!trainer_take(c->trainer, &r))
		return;
	if (trainer_accepts(&r)) {
		replace_model(c, &r);
		return;
	}
	if (r.err == -EALREADY)
		return;
	if (r.err)
		log_warning("training gave no model: %s, trying again later", strerror(-r.err));
	else
		log_warning("new model not taken: held-out error %.3f, the last one's %.3f",
			r.error, r.old_error);
	model_free(r.model);
}

static enum due due(const struct core *c, size_t usable)
{
	double wait_s = c->model.model ? c->options.retrain_s : RETRY_S, now_s;

	if (usable < c->options.train_after)
		return DUE_NOTHING;
	now_s = clock_monotonic_s();
	if (c->model.model && usable >= 2 * c->model.windows) /* young: learn from all there is */
		wait_s = fmin(wait_s, RETRY_S);
	if (c->model.attempt_s == 0 || now_s - c->model.attempt_s >= wait_s)
		return DUE_ALL;
	return c->model.model && now_s - c->model.looked_s >= c->options.retrain_s / LOOKS
		       ? DUE_CHANGES
		       : DUE_NOTHING;
}

/* Once, and only when nobody gave a target. */
static void propose_targets(struct core *c)
{
	struct recording *r = &c->live.recording;
	size_t before = r->slos;
	long added;

	if (before)
		return;
	core_lock(c);
	added = slo_propose(r);
	for (size_t i = before; i < r->slos; i++) {
		struct slo_text s = {.target = r->slo[i].target, .proposed = true};

		incident_watch_init(&c->watch[i]);
		snprintf(s.entity, sizeof(s.entity), "%s", r->graph.entity[r->slo[i].entity].name);
		snprintf(s.metric, sizeof(s.metric), "%s", r->slo[i].metric);
		if (core_set_slo(c, &s))
			log_error("proposed target of %s not stored", s.entity);
		log_info("proposed target: %s of %s <= %g", s.metric, s.entity, s.target);
	}
	core_unlock(c);
	if (added < 0)
		log_error("proposing targets: %s", strerror((int)-added));
}

static void submit(struct core *c, bool *use, enum due what)
{
	struct trainer_job job = {.slo = c->live.recording.slo[0],
		.use = use,
		.old = c->model.model,
		.changes = what == DUE_CHANGES};
	int err = recording_copy(&job.recording, &c->live.recording);

	if (!err)
		err = trainer_submit(c->trainer, &job);
	if (!err)
		return;
	log_error("training not begun: %s, trying again later", strerror(-err));
	recording_clear(&job.recording);
	free(use);
}

void core_train(struct core *c)
{
	size_t usable = 0;
	enum due what;
	bool *use;

	take_result(c);
	if (trainer_busy(c->trainer) || !due(c, c->live.recording.series.windows))
		return;
	use = core_history_rows(c);
	for (size_t i = 0; use && i < c->live.recording.series.windows; i++)
		usable += use[i];
	what = use ? due(c, usable) : DUE_NOTHING;
	if (!what) {
		free(use);
		return;
	}
	propose_targets(c);
	c->model.looked_s = clock_monotonic_s();
	if (what == DUE_ALL)
		c->model.attempt_s = c->model.looked_s;
	if (c->live.recording.slos)
		submit(c, use, what);
	else
		free(use);
}

int core_restore_model(struct core *c)
{
	json_t *about;
	void *blob;
	size_t size;
	int err = store_newest_model(c->store, &c->model.version, &about, &blob, &size);

	if (err)
		return err == -ENOENT ? 0 : err;
	err = model_load(&c->model.model, blob, size);
	free(blob);
	if (err)
		log_warning("stored model %lld cannot be read: %s; training a new one",
			(long long)c->model.version, strerror(-err));
	c->model.trained_at = json_number_value(json_object_get(about, "trained_at"));
	c->model.error = json_number_value(json_object_get(about, "error"));
	c->model.training_s = json_number_value(json_object_get(about, "training_s"));
	c->model.windows = (size_t)json_integer_value(json_object_get(about, "windows"));
	c->model.learnt = json_number_value(json_object_get(about, "learnt_ratio"));
	if (!err)
		c->model.attempt_s = c->model.looked_s = clock_monotonic_s();
	json_decref(about);
	return 0;
}
