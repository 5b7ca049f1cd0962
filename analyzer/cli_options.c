#include "analyzer/cli_options.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"

void option_parse(const struct argp *parser, int argc, char **argv, char *name, void *arguments)
{
	argp_err_exit_status = 2;
	argv[0] = name;
	argp_parse(parser, argc, argv, 0, NULL, arguments);
}

double option_number(struct argp_state *state, const char *option, const char *text)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end || !isfinite(value))
		argp_error(state, "%s: '%s' is not a number", option, text);
	return value;
}

enum history option_history(struct argp_state *state, const char *text)
{
	enum history history = HISTORY_ALL;

	if (!history_parse(text, &history))
		argp_error(state, "--history: '%s' is neither all nor past", text);
	return history;
}

void option_slo(struct argp_state *state, const char *entity, struct option_slo *out)
{
	if (state->next + 2 > state->argc) {
		argp_error(state, "--slo wants three words: ENTITY METRIC TARGET");
		return;
	}
	out->entity = entity;
	out->metric = state->argv[state->next++];
	out->target = option_number(state, "--slo", state->argv[state->next++]);
}

static const struct argp_option common_options[] = {
	{"method", 'm', "METHOD", 0,
		"guarded (default), faithful, robust, or one to compare with: autoscale50, "
		"autoscale70, thresholds, nsigma, ediagnosis, random-walk, deepest, circa",
		0},
	{"json", 'j', NULL, 0, "Print JSON", 0},
	{0},
};

static error_t take_dir(struct argp_state *state, struct option_common *c)
{
	/* argp has moved the words that are no options to the end */
	c->dir = &state->argv[state->next];
	c->dirs = (size_t)(state->argc - state->next);
	if (c->dirs > c->most)
		argp_error(state, "one recording at a time");
	return 0;
}

/* What takes several recordings takes several methods, and all of them by one word. */
static void take_method(struct argp_state *state, struct option_common *c, const char *text)
{
	bool all = c->most > 1 && !strcmp(text, "all");

	if (!all && !method_parse(text, &c->method))
		argp_error(state, "--method: '%s' is none of %s%s", text, method_names(),
			c->most > 1 ? ", all" : "");
	for (int m = 0; all && m < METHODS; m++)
		c->methods[m] = true;
	c->methods[c->method] = true;
}

static error_t parse_common(int key, char *text, struct argp_state *state)
{
	struct option_common *c = state->input;

	switch (key) {
	case 'm':
		take_method(state, c, text);
		return 0;
	case 'j':
		c->json = true;
		return 0;
	case ARGP_KEY_ARGS:
		return take_dir(state, c);
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "which recording? Give its directory");
		return 0;
	case ARGP_KEY_END:
		for (int m = 0; m < METHODS; m++)
			if (c->methods[m])
				return 0;
		c->methods[c->method] = true;
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp common = {common_options, parse_common, NULL, NULL, NULL, NULL, NULL};
const struct argp_child option_common_child[] = {{&common, 0, NULL, 0}, {0}};

void option_common_init(struct argp_state *state, struct option_common *c, size_t most)
{
	c->most = most;
	c->method = METHOD_GUARDED;
	state->child_inputs[0] = c;
}

static int replace_slos(struct recording *r, const struct option_slo *given)
{
	struct slo slo = {.entity = graph_find(&r->graph, given->entity), .target = given->target};
	struct slo *only;

	if (slo.entity == GRAPH_NONE) {
		log_error("--slo: the recording has no entity '%s'", given->entity);
		return 2;
	}
	if (strlen(given->metric) >= sizeof(slo.metric) || given->target < 0) {
		log_error("--slo: '%s' above %g is no target", given->metric, given->target);
		return 2;
	}
	strcpy(slo.metric, given->metric);
	only = malloc(sizeof(*only));
	if (!only) {
		log_error("out of memory");
		return 1;
	}
	*only = slo;
	free(r->slo);
	r->slo = only;
	r->slos = 1;
	return 0;
}

/* A target that was never measured is neither met nor missed. Returns how many were. */
static size_t count_measured(const struct recording *r, const char *dir)
{
	size_t measured = 0;

	for (size_t i = 0; i < r->slos; i++) {
		const struct slo *slo = &r->slo[i];

		if (series_values(&r->series, slo->entity, slo->metric))
			measured++;
		else
			log_warning("%s: metrics.csv has no %s of %s; that target is not judged",
				dir, slo->metric, r->graph.entity[slo->entity].name);
	}
	return measured;
}

int option_read_recording(struct recording *r, const char *dir, const struct option_slo *slo)
{
	char why[512];
	int status = 0;

	if (recording_read(r, dir, why, sizeof(why))) {
		log_error("%s", why);
		return 2;
	}
	if (slo->entity) {
		status = replace_slos(r, slo);
	} else if (!r->slos) {
		log_error("%s: no target in slo.csv; give one by --slo ENTITY METRIC TARGET", dir);
		status = 2;
	}
	if (!status && !count_measured(r, dir)) {
		log_error("%s: none of the targets was measured", dir);
		status = 2;
	}
	if (status)
		recording_clear(r);
	return status;
}
