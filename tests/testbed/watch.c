#include "tests/testbed/watch.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define INCIDENTS "/api/v1/incidents?limit=50" /* WATCH_INCIDENTS */
#define ACTIONS "/api/v1/actions?limit=50"

bool watch_progress(struct api *a, struct watch_progress *p)
{
	json_t *status = api_get(a, "/api/v1/status");

	if (!status)
		return false;
	snprintf(p->model, sizeof(p->model), "%s", api_text(status, "model.state"));
	p->windows = api_number(status, "windows");
	p->services = api_number(status, "services");
	p->edges = api_number(status, "edges");
	p->error = api_number(status, "model.error");
	json_decref(status);
	return true;
}

/* The culprit, or for an unknown the best candidate is not an answer: left empty. */
static void take_incident(const json_t *incident, struct watch_incident *out)
{
	const json_t *diagnosis = json_object_get(incident, "diagnosis");
	const json_t *culprit = json_array_get(json_object_get(diagnosis, "culprits"), 0);

	out->id = api_number(incident, "id");
	out->started_s = api_number(incident, "started");
	out->ended_s = api_number(incident, "ended");
	snprintf(out->verdict, sizeof(out->verdict), "%s", api_text(diagnosis, "verdict"));
	snprintf(out->service, sizeof(out->service), "%s", api_text(culprit, "service"));
	snprintf(out->resource, sizeof(out->resource), "%s", api_text(culprit, "resource"));
	out->probability = api_number(culprit, "probability");
}

static double newest(struct api *a, const char *path, double known)
{
	json_t *list = api_get(a, path), *one;
	size_t i;

	json_array_foreach(list, i, one)
	{
		known = fmax(known, api_number(one, "id"));
	}
	json_decref(list);
	return known;
}

void watch_mark(struct api *a, struct watch_mark *mark)
{
	mark->incident = newest(a, INCIDENTS, mark->incident);
	mark->action = newest(a, ACTIONS, mark->action);
}

bool watch_diagnosis(
	struct api *a, const struct watch_mark *mark, double seen_s, struct watch_incident *out)
{
	json_t *incidents = api_get(a, INCIDENTS), *incident;
	bool found = false;
	size_t i;

	/* Newest first: the last that matches is the first that was detected. */
	json_array_foreach(incidents, i, incident)
	{
		const json_t *diagnosis = json_object_get(incident, "diagnosis");

		if (!(api_number(incident, "id") > mark->incident) ||
			!(api_number(diagnosis, "to") >= seen_s))
			continue;
		take_incident(incident, out);
		found = true;
	}
	json_decref(incidents);
	return found;
}

static bool is_held(const char *state)
{
	return !strcmp(state, "sent") || !strcmp(state, "applied");
}

/* A knob's value in its unit; -1 is what the wire says for no limit. */
static const char *amount(char *to, size_t size, const char *knob, double value)
{
	if (value < 0)
		snprintf(to, size, "none");
	else if (!strcmp(knob, "cpu_quota"))
		snprintf(to, size, "%.2f", value / 1000);
	else if (value >= 1e6)
		snprintf(to, size, "%.0fM", value / 1e6);
	else
		snprintf(to, size, "%.0f", value);
	return to;
}

/* "media/sidecar cpu_quota none -> 0.02". */
static void describe(const json_t *one, char *to, size_t size)
{
	const char *container = api_text(one, "container"), *knob = api_text(one, "knob");
	char old[16], new[16];

	snprintf(to, size, "%s%s%s %s %s -> %s", api_text(one, "service"), *container ? "/" : "",
		container, knob, amount(old, sizeof(old), knob, api_number(one, "old_value")),
		amount(new, sizeof(new), knob, api_number(one, "value")));
}

bool watch_action(struct api *a, const struct watch_mark *mark, char *action, size_t action_size,
	char *state, size_t state_size)
{
	json_t *actions = api_get(a, ACTIONS), *one;
	bool found = false;
	size_t i;

	json_array_foreach(actions, i, one)
	{
		if (!(api_number(one, "id") > mark->action) || isnan(api_number(one, "applied")) ||
			!strcmp(api_text(one, "state"), "refused") ||
			api_number(one, "old_value") == api_number(one, "value"))
			continue;
		describe(one, action, action_size);
		snprintf(state, state_size, "%s", api_text(one, "state"));
		found = true;
		break;
	}
	json_decref(actions);
	return found;
}

unsigned watch_release(struct api *a)
{
	json_t *actions = api_get(a, ACTIONS), *nothing = json_object(), *one;
	unsigned held = 0;
	char path[96];
	size_t i;

	json_array_foreach(actions, i, one)
	{
		if (!is_held(api_text(one, "state")))
			continue;
		snprintf(path, sizeof(path), "/api/v1/actions/%.0f/undo", api_number(one, "id"));
		api_post(a, path, nothing);
		held++;
	}
	json_decref(nothing);
	json_decref(actions);
	return held;
}

bool watch_is_quiet(struct api *a)
{
	json_t *incidents = api_get(a, INCIDENTS), *actions = api_get(a, ACTIONS), *one;
	bool quiet = incidents && actions;
	size_t i;

	json_array_foreach(incidents, i, one)
	{
		const char *state = api_text(one, "state");

		if (!strcmp(state, "open") || !strcmp(state, "acting"))
			quiet = false;
	}
	json_array_foreach(actions, i, one)
	{
		if (is_held(api_text(one, "state")))
			quiet = false;
	}
	json_decref(incidents);
	json_decref(actions);
	return quiet;
}

unsigned watch_incidents(struct api *a, const struct watch_mark *mark, double since_s,
	double until_s, struct watch_incident out[WATCH_INCIDENTS])
{
	json_t *incidents = api_get(a, INCIDENTS), *one;
	unsigned count = 0;
	size_t i;

	json_array_foreach(incidents, i, one)
	{
		double started = api_number(one, "started");

		if (!(api_number(one, "id") > mark->incident) || started < since_s ||
			started >= until_s || count == WATCH_INCIDENTS)
			continue;
		take_incident(one, &out[count++]);
	}
	json_decref(incidents);
	return count;
}

double watch_target_ms(struct api *a)
{
	json_t *slos = api_get(a, "/api/v1/slos"), *one;
	double target = (double)NAN;
	size_t i;

	json_array_foreach(slos, i, one)
	{
		if (strstr(api_text(one, "metric"), "_us")) {
			target = api_number(one, "target") / 1000;
			break;
		}
	}
	json_decref(slos);
	return target;
}
