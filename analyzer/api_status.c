/* Is it up, is it well, what does it know. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "analyzer/api.h"
#include "analyzer/intake.h"
#include "common/clock.h"
#include "common/json.h"

#define STUCK_S 60 /* a loop that did not come round for so long */

static void ok(struct http_reply *r)
{
	static const char text[] = "ok\n";

	r->data = text;
	r->size = sizeof(text) - 1;
	r->type = "text/plain";
}

void api_health(
	struct core *c, const struct http_request *q, const char *rest, struct http_reply *r)
{
	double since_s = clock_monotonic_s() - c->stepped_s;

	(void)q;
	(void)rest;
	if (since_s > STUCK_S)
		http_fail(r, 503, "the analyzer's loop has not come round for %.0f s; see its log",
			since_s);
	else
		ok(r);
}

void api_ready(struct core *c, const struct http_request *q, const char *rest, struct http_reply *r)
{
	api_health(c, q, rest, r);
}

void api_intake_counts(const struct core *c, struct api_count out[API_INTAKE_COUNTS])
{
	struct intake_stats s = {0};

	if (c->intake)
		intake_stats(c->intake, &s);
	const struct api_count all[API_INTAKE_COUNTS] = {
		{"batches", "Batches stored.", s.batches},
		{"windows", "Agents' windows in stored batches.", s.windows},
		{"duplicates", "Batches that came again.", s.duplicates},
		{"refused", "Messages that could not be understood.", s.refused},
		{"strangers", "Messages without the seal of the agent they name.", s.strangers},
		{"deferred", "Batches not taken for now; agents keep them.", s.deferred},
		{"queue_full", "Of those, for want of room in the queue.", c->refused},
		{"polls", "Polls for leases answered.", s.polls},
		{"bytes", "Bytes received.", s.bytes},
	};

	memcpy(out, all, sizeof(all));
}

static json_t *intake_json(const struct core *c)
{
	struct api_count count[API_INTAKE_COUNTS];
	json_t *all = json_object();

	api_intake_counts(c, count);
	for (size_t i = 0; i < API_INTAKE_COUNTS; i++)
		json_object_set_new(all, count[i].name, json_integer((json_int_t)count[i].value));
	return all;
}

static json_t *losses_json(const uint64_t loss[WIRE_LOSSES])
{
	json_t *all = json_object();

	for (unsigned i = 0; i < WIRE_LOSSES; i++)
		json_object_set_new(all, wire_loss_name(i), json_integer((json_int_t)loss[i]));
	return all;
}

static json_t *agents_json(const struct core *c)
{
	const struct fleet *f = &c->live.fleet;
	json_t *all = json_array();

	for (uint32_t i = 0; i < f->agents; i++)
		json_array_append_new(
			all, json_pack("{ss so sI sI so}", "name", f->agent[i].name, "last_seen",
				     json_number_or_null(f->agent[i].last_seen_s), "windows",
				     (json_int_t)f->agent[i].windows, "late",
				     (json_int_t)f->agent[i].late, "losses",
				     losses_json(f->agent[i].loss)));
	return all;
}

/* What agents lost, and what was lost here. */
static json_t *total_losses(const struct core *c)
{
	uint64_t sum[WIRE_LOSSES] = {0};
	json_t *all;

	for (uint32_t i = 0; i < c->live.fleet.agents; i++)
		for (unsigned l = 0; l < WIRE_LOSSES; l++)
			sum[l] += c->live.fleet.agent[i].loss[l];
	all = losses_json(sum);
	json_object_set_new(all, "window_after_close", json_integer((json_int_t)c->live.late));
	json_object_set_new(all, "window_from_future", json_integer((json_int_t)c->live.future));
	json_object_set_new(all, "batch_malformed", json_integer((json_int_t)c->malformed));
	json_object_set_new(all, "window_out_of_memory", json_integer((json_int_t)c->unsummed));
	json_object_set_new(all, "row_not_stored", json_integer((json_int_t)c->forgotten));
	json_object_set_new(all, "past_bounds",
		json_integer((json_int_t)(c->live.refused + c->live.fleet.refused +
					  c->live.resolve.refused + c->live.operations.refused)));
	return all;
}

static json_t *model_json(struct core *c)
{
	const struct core_model *m = &c->model;
	const char *state = trainer_busy(c->trainer) ? "training" : m->model ? "ready" : "cold";

	if (!m->model)
		return json_pack("{ss sn sn si sn sn sn sn}", "state", state, "version",
			"trained_at", "windows", 0, "parameters", "error", "training_s",
			"learnt_ratio");
	/* A model that is being replaced still answers. */
	return json_pack("{ss sI so sI sI so so so sb}", "state", "ready", "version",
		(json_int_t)m->version, "trained_at", json_number_or_null(m->trained_at), "windows",
		(json_int_t)m->windows, "parameters", (json_int_t)model_parameters(m->model),
		"error", json_number_or_null(m->error), "training_s",
		json_number_or_null(m->training_s), "learnt_ratio", json_number_or_null(m->learnt),
		"retraining", trainer_busy(c->trainer));
}

static size_t count(const struct graph *g, enum entity_kind kind)
{
	size_t n = 0;

	for (uint32_t i = 0; i < g->entities; i++)
		n += g->entity[i].kind == kind;
	return n;
}

void api_status(
	struct core *c, const struct http_request *q, const char *rest, struct http_reply *r)
{
	const struct recording *rec = &c->live.recording;

	(void)q;
	(void)rest;
	r->json = json_pack("{ss sf ss sf sI sI sI so so so so}", "version", SAGE_VERSION,
		"uptime_s", clock_monotonic_s() - c->started_s, "mode",
		act_mode_name(act_mode(c->act)), "window_s", c->options.window_s, "windows",
		(json_int_t)rec->series.windows, "services",
		(json_int_t)count(&rec->graph, ENTITY_SERVICE), "edges",
		(json_int_t)count(&rec->graph, ENTITY_EDGE), "agents", agents_json(c), "losses",
		total_losses(c), "intake", intake_json(c), "model", model_json(c));
}
