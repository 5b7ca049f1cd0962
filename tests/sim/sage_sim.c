/*
 * sage-sim: writes recordings of a simulated application with faults and the truth about them.
 *
 *   sage-sim --list
 *   sage-sim --case social --seed 1 OUT
 *   sage-sim --shape hub --services 500 --rate 50 --faults quota,loss --incidents 10 OUT
 */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "tests/sim/cases.h"

struct options {
	struct sim_case c;
	uint64_t seed;
	const char *out;
	bool list;
};

enum key {
	KEY_SHAPE = 256,
	KEY_TOPOLOGY,
	KEY_SERVICES,
	KEY_RATE,
	KEY_PER_HOST,
	KEY_FAULTS,
	KEY_INCIDENTS,
	KEY_CULPRITS,
	KEY_WINDOW,
	KEY_LEARN,
	KEY_HISTORY,
	KEY_EDGE,
	KEY_ENTITY,
	KEY_METRIC,
	KEY_LIST,
};

static const struct argp_option option_table[] = {
	{"case", 'c', "NAME", 0, "One of the scorecard's cases; give it before what changes it", 0},
	{"list", KEY_LIST, NULL, 0, "Print the cases", 0},
	{"seed", 's', "N", 0, "Seed of all that is drawn (1)", 0},
	{"shape", KEY_SHAPE, "NAME", 0, "chain, fanout, tree, hub, dag or cycle (tree)", 1},
	{"topology", KEY_TOPOLOGY, "FILE", 0,
		"The testbed's chain10, fanout10, social, or a file like theirs, instead", 1},
	{"services", KEY_SERVICES, "N", 0, "Services, 2 to 10000 (30)", 1},
	{"rate", KEY_RATE, "N", 0, "Requests per second of users (60)", 1},
	{"per-host", KEY_PER_HOST, "N", 0, "Services that share a host (1)", 1},
	{"faults", KEY_FAULTS, "LIST", 0, "Kinds, with commas between (all that fit)", 2},
	{"incidents", KEY_INCIDENTS, "N", 0, "Incidents (12)", 2},
	{"culprits", KEY_CULPRITS, "N", 0, "Faults at a time, 1 to 3 (1)", 2},
	{"window", KEY_WINDOW, "S", 0, "Length of a window, seconds (5)", 2},
	{"learn", KEY_LEARN, "N", 0, "Windows of health at first (60)", 2},
	{"drop-history", KEY_HISTORY, "SHARE", 0,
		"Measure this share of services during incidents only", 3},
	{"drop-edge", KEY_EDGE, "NAME", 0, "Leave out CALLER->CALLEE, or a random one", 3},
	{"drop-entity", KEY_ENTITY, "NAME", 0, "A service without an agent, or a random one", 3},
	{"drop-metric", KEY_METRIC, "NAME", 0, "Leave out metrics that begin so, or random", 3},
	{0},
};

static double number(struct argp_state *state, const char *text, double low, double high)
{
	char *end;
	double v = strtod(text, &end);

	if (end == text || *end || !(v >= low && v <= high))
		argp_error(state, "'%s': a number from %g to %g is wanted", text, low, high);
	return v;
}

static int find(const char *const *names, int count, const char *name)
{
	for (int i = 0; i < count; i++)
		if (!strcmp(names[i], name))
			return i;
	return -1;
}

static unsigned parse_faults(struct argp_state *state, char *list)
{
	unsigned faults = 0;

	for (char *rest = NULL, *w = strtok_r(list, ",", &rest); w;
		w = strtok_r(NULL, ",", &rest)) {
		int kind = find(fault_name, FAULT_KINDS, w);

		if (kind < 0)
			argp_error(state, "'%s': no such kind of fault", w);
		faults |= 1u << (unsigned)kind;
	}
	return faults;
}

static void take_case(struct argp_state *state, struct options *o, const char *name)
{
	const struct sim_case *c = case_find(name);

	if (!c)
		argp_error(state, "'%s': no such case; --list prints them", name);
	else
		o->c = *c;
}

static void take_shape(struct argp_state *state, struct options *o, const char *name)
{
	int shape = find(shape_name, SHAPES, name);

	if (shape < 0)
		argp_error(state, "'%s': no such shape", name);
	o->c.shape.shape = (enum shape)shape;
	o->c.topology = NULL;
}

static error_t parse(int key, char *text, struct argp_state *state)
{
	struct options *o = state->input;
	struct sim_case *c = &o->c;

	switch (key) {
	case 'c':
		take_case(state, o, text);
		return 0;
	case 's':
		o->seed = (uint64_t)number(state, text, 0, 1e9);
		return 0;
	case KEY_LIST:
		o->list = true;
		return 0;
	case KEY_SHAPE:
		take_shape(state, o, text);
		return 0;
	case KEY_TOPOLOGY:
		c->topology = text;
		return 0;
	case KEY_SERVICES:
		c->shape.services = (unsigned)number(state, text, 2, 10000);
		return 0;
	case KEY_RATE:
		c->shape.rate = number(state, text, 0.1, 100000);
		return 0;
	case KEY_PER_HOST:
		c->shape.per_host = (unsigned)number(state, text, 1, 1000);
		c->shape.batch = true;
		return 0;
	case KEY_FAULTS:
		c->faults = parse_faults(state, text);
		return 0;
	case KEY_INCIDENTS:
		c->incidents = (unsigned)number(state, text, 1, CASE_INCIDENTS);
		return 0;
	case KEY_CULPRITS:
		c->culprits = (unsigned)number(state, text, 1, SCENARIO_CULPRITS);
		return 0;
	case KEY_WINDOW:
		c->window_s = number(state, text, 1, 300);
		return 0;
	case KEY_LEARN:
		c->learn = (unsigned)number(state, text, 5, 10000);
		return 0;
	case KEY_HISTORY:
		c->omission.history = number(state, text, 0, 1);
		return 0;
	case KEY_EDGE:
		c->omission.edge = text;
		return 0;
	case KEY_ENTITY:
		c->omission.entity = text;
		return 0;
	case KEY_METRIC:
		c->omission.metric = text;
		return 0;
	case ARGP_KEY_ARG:
		if (o->out)
			argp_usage(state);
		o->out = text;
		return 0;
	case ARGP_KEY_END:
		if (!o->out && !o->list)
			argp_error(state, "which directory to write?");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static void list(void)
{
	for (const struct sim_case *c = sim_cases; c->name; c++)
		printf("%-18s %s\n", c->name, c->about);
}

int main(int argc, char **argv)
{
	const struct argp parser = {option_table, parse, "DIR",
		"Write a recording of a simulated application, with faults and their truth.", NULL,
		NULL, NULL};
	struct options o = {
		.seed = 1,
		.c = {.name = "",
			.shape = {.shape = SHAPE_TREE, .services = 30, .rate = 60, .fragile = true},
			.faults = CASE_ALL_FAULTS,
			.culprits = 1,
			.incidents = 12,
			.window_s = 5,
			.learn = 60},
	};
	struct scenario_result result;
	uint64_t start_ns = clock_monotonic_ns();
	double seconds;

	argp_parse(&parser, argc, argv, 0, NULL, &o);
	if (o.list) {
		list();
		return 0;
	}
	if (case_run(&o.c, o.seed, o.out, &result))
		return 1;
	seconds = (double)(clock_monotonic_ns() - start_ns) / 1e9;
	printf("%s: %u windows, %u incidents (%u not felt), target p99 < %.3g ms; %.3g requests, "
	       "%.3g events in %.1f s\n",
		o.out, result.windows, result.incidents, result.unfelt, result.target_us / 1e3,
		(double)result.requests, (double)result.steps, seconds);
	return 0;
}
