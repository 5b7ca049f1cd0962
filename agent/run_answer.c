#include "agent/run_answer.h"

#include <math.h>
#include <string.h>

#include "agent/report.h"
#include "agent/run_state.h"
#include "common/clock.h"
#include "common/json.h"

#define ACTIONS_SHOWN 256

struct answer {
	const char *command;
	json_t *(*make)(struct agent *a);
};

static json_t *window(struct agent *a)
{
	json_t *o;

	if (!a->windows)
		return json_pack(
			"{s:s}", "error", "no window is complete yet; ask again in a moment");
	o = report_window(a->window);
	json_object_set_new(o, "node", json_string(a->o->node));
	return o;
}

static json_t *agent_section(const struct agent *a)
{
	const struct wire_window *w = a->windows ? a->window : NULL;

	return json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I}", "version", SAGE_VERSION, "node",
		a->o->node, "mode", actuator_mode_name(a->o->mode), "uptime_s",
		(json_int_t)((clock_monotonic_ns() - a->started_ns) / 1000000000), "windows",
		(json_int_t)a->windows, "containers", (json_int_t)(w ? w->containers : 0), "edges",
		(json_int_t)(w ? w->edges : 0));
}

static json_t *uplink_section(const struct agent *a)
{
	struct uplink_stats s;
	double ago_s;

	uplink_stats(a->uplink, &s);
	ago_s = ((double)clock_wall_ns() - (double)s.last_ack_ns) / 1e9;
	return json_pack("{s:s, s:b, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "analyzer",
		a->o->analyzer ? a->o->analyzer : "none", "connected", s.connected,
		"last_ack_s_ago", json_number_or_null(s.last_ack_ns ? ago_s : NAN), "produced",
		(json_int_t)s.produced, "recovered", (json_int_t)s.recovered, "stored",
		(json_int_t)s.stored, "dropped", (json_int_t)s.dropped, "pending",
		(json_int_t)s.pending, "spool_bytes", (json_int_t)s.spool_bytes, "reports_dropped",
		(json_int_t)s.reports_dropped);
}

static json_t *actions_section(const struct agent *a)
{
	struct actuator_stats s = {0};

	if (!a->actuator)
		return json_pack("{s:s}", "state", "off: the state directory cannot be used");
	actuator_stats(a->actuator, &s);
	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I}", "state",
		s.held ? "held by the kill switch" : "ready", "applied", (json_int_t)s.applied,
		"reverted", (json_int_t)s.reverted, "refused", (json_int_t)s.refused, "yielded",
		(json_int_t)s.yielded, "replayed", (json_int_t)s.replayed);
}

static json_t *status(struct agent *a)
{
	uint64_t loss[WIRE_LOSSES] = {0};
	struct uplink_stats s;
	json_t *o = json_object();

	uplink_stats(a->uplink, &s);
	for (unsigned i = 0; i < WIRE_LOSSES; i++)
		loss[i] = s.loss[i] + (a->windows ? a->window->loss[i] : 0);
	json_object_set_new(o, "agent", agent_section(a));
	json_object_set_new(o, "uplink", uplink_section(a));
	json_object_set_new(o, "actions", actions_section(a));
	json_object_set_new(o, "losses", report_losses(loss));
	return o;
}

static void add_support(void *ctx, const char *feature, const char *how, const char *blind)
{
	json_array_append_new(
		ctx, json_pack("{s:s, s:s, s:s}", "feature", feature, "how", how, "blind", blind));
}

static json_t *support(struct agent *a)
{
	json_t *lines = json_array();

	collect_support(a->collector, add_support, lines);
	return json_pack("{s:o}", "support", lines);
}

static json_t *action(const struct actuator_action *x, uint64_t now_ns)
{
	double left_s = x->expires_ns > now_ns ? (double)(x->expires_ns - now_ns) / 1e9 : 0;

	return json_pack("{s:I, s:s, s:s, s:I, s:I, s:f, s:b, s:b, s:s}", "id", (json_int_t)x->id,
		"path", x->path, "knob", wire_knob_name(x->knob), "old_value",
		(json_int_t)x->old_value, "value", (json_int_t)x->value, "expires_s", left_s,
		"inert", x->inert, "stuck", x->stuck, "reason", x->reason);
}

static json_t *actions(struct agent *a)
{
	static struct actuator_action held[ACTIONS_SHOWN];
	size_t n = a->actuator ? actuator_active(a->actuator, held, ACTIONS_SHOWN) : 0;
	uint64_t now_ns = clock_monotonic_ns();
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, action(&held[i], now_ns));
	return json_pack("{s:s, s:o}", "mode", actuator_mode_name(a->o->mode), "actions", list);
}

static json_t *release(struct agent *a)
{
	if (a->actuator)
		actuator_release(a->actuator, clock_monotonic_ns());
	return actions(a);
}

static const struct answer answers[] = {
	{"window", window},
	{"status", status},
	{"support", support},
	{"actions", actions},
	{"release", release},
};

json_t *run_answer(void *ctx, const char *command)
{
	for (size_t i = 0; i < sizeof(answers) / sizeof(*answers); i++) {
		if (!strcmp(answers[i].command, command))
			return answers[i].make(ctx);
	}
	return NULL;
}
