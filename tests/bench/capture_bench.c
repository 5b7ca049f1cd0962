/*
 * What being watched costs a saturated server, and the watcher: each workload in rounds of
 * nothing, sage-agent, bpftrace and, if one is given, a peer's BPF object, one after the other,
 * so that what else happens on the machine meets all alike. Every ratio is to `nothing` of the
 * same round. A last round has the kernel time the BPF programs and compares what the agent
 * counted with what the load sent; it is kept apart because both cost time. Needs root.
 */
#include <argp.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "tests/bench/captured.h"
#include "tests/bench/arguments.h"
#include "tests/bench/output.h"
#include "tests/bench/report.h"

#define WINDOW_MS 5000   /* for a window of 1 s to arrive */
#define ASK_NS 200000000 /* between two questions to a working agent */

struct options {
	const char *json, *only;
	unsigned rounds, seconds;
};

/* ---- one run ------------------------------------------------------------------------- */

static int run_once(struct workload *w, enum tracer_kind k, struct sample *out)
{
	struct tracer_usage before;
	struct kernel_cost cost;
	struct tracer t;
	uint64_t start_ns;
	pid_t load;
	int err = tracer_start(&t, k, w->place);

	if (err)
		return err;
	tracer_usage(&t, &before);
	start_ns = clock_monotonic_ns();
	err = workload_start(w, &load);
	if (!err)
		err = workload_finish(w, load, &out->load);
	tracer_usage(&t, &out->usage);
	out->cpu_ratio = (double)(out->usage.cpu_ns - before.cpu_ns) /
			 (double)(clock_monotonic_ns() - start_ns);
	if (t.pid > 0) {
		kernel_cost_read(&cost, t.pid);
		out->map_mb = (double)cost.map_bytes / (1 << 20);
	}
	tracer_stop(&t);
	return err;
}

struct asking {
	struct captured captured;
	uint64_t next_ns;
	unsigned until; /* windows */
};

static bool ask_windows(void *ctx)
{
	struct asking *a = ctx;
	uint64_t now_ns = clock_monotonic_ns();

	if (now_ns < a->next_ns)
		return false;
	a->next_ns = now_ns + ASK_NS;
	captured_read(&a->captured);
	return a->captured.windows >= a->until;
}

static int wait_windows(struct asking *a, const struct tracer *t, unsigned more)
{
	a->until = a->captured.windows + more;
	return place_wait(t->pid, ask_windows, a, WINDOW_MS);
}

/* The agent's first window began before the load; the last call is in the second after it. */
static int run_asking(struct workload *w, const struct tracer *t, struct detail *out)
{
	struct workload_result r;
	struct asking a = {0};
	pid_t load;
	int err;

	captured_init(&a.captured, t->control, workload_name(w->kind));
	err = wait_windows(&a, t, 1);
	if (!err)
		err = workload_start(w, &load);
	if (err)
		return err;
	a.until = UINT32_MAX;
	place_wait(load, ask_windows, &a, UINT32_MAX / 1000);
	err = workload_finish(w, load, &r);
	if (!err)
		err = wait_windows(&a, t, 2);
	out->requests = r.requests;
	out->captured = a.captured.calls;
	out->losses = captured_losses(t->control);
	return err;
}

static int run_plain(struct workload *w, struct detail *out)
{
	struct workload_result r;
	pid_t load;
	int err = workload_start(w, &load);

	if (!err)
		err = workload_finish(w, load, &r);
	if (!err)
		out->requests = r.requests;
	return err;
}

static int run_detail(struct workload *w, enum tracer_kind k, struct detail *out)
{
	struct kernel_cost before;
	struct tracer t;
	int clock = kernel_cost_clock(), err;

	if (clock < 0) {
		fprintf(stderr, "capture_bench: BPF statistics: %s\n", strerror(-clock));
		return clock;
	}
	err = tracer_start(&t, k, w->place);
	if (!err) {
		kernel_cost_read(&before, t.pid);
		err = k == TRACER_SAGE ? run_asking(w, &t, out) : run_plain(w, out);
		kernel_cost_read(&out->cost, t.pid);
		kernel_cost_subtract(&out->cost, &before);
		tracer_stop(&t);
	}
	close(clock);
	return err;
}

static int run_rounds(struct report *r, struct workload *w)
{
	int err = 0;

	for (unsigned i = 0; i < r->rounds && !err; i++)
		for (int k = 0; k < TRACER_EMPTY && !err; k++)
			if (r->there[k])
				err = run_once(w, (enum tracer_kind)k, &r->sample[k][i]);
	for (int k = TRACER_SAGE; k < TRACERS && !err; k++)
		if (r->there[k])
			err = run_detail(w, (enum tracer_kind)k, &r->detail[k]);
	return err;
}

/* ---- the program --------------------------------------------------------------------- */

static int bench_workload(
	enum workload_kind kind, const struct place *p, const struct options *o, json_t *all)
{
	static struct report r;
	struct workload w;
	const char *why;
	int err;

	memset(&r, 0, sizeof(r));
	r.rounds = o->rounds;
	for (int k = 0; k < TRACERS; k++)
		r.there[k] = tracer_there((enum tracer_kind)k, &why);
	err = workload_open(&w, kind, p, o->seconds);
	if (err)
		return err;
	err = run_rounds(&r, &w);
	if (!err) {
		report_print(&r, &w);
		json_object_set_new(all, workload_name(kind), report_json(&r));
	}
	json_decref(r.detail[TRACER_SAGE].losses);
	workload_close(&w);
	return err;
}

static bool wanted(enum workload_kind k, const struct options *o)
{
	const char *why;

	if (o->only && strcmp(workload_name(k), o->only))
		return false;
	if (!workload_there(k, &why)) {
		printf("without %s: no %s here\n", workload_name(k), why);
		return false;
	}
	return true;
}

/* What else the machine does goes into every number here. */
static void print_machine(void)
{
	double load[1] = {0};
	const char *why;

	getloadavg(load, 1);
	printf("capture: %ld CPUs, load %.1f before the start\n", sysconf(_SC_NPROCESSORS_ONLN),
		load[0]);
	for (int k = 0; k < TRACER_EMPTY; k++)
		if (!tracer_there((enum tracer_kind)k, &why) && k != TRACER_PEER)
			printf("without %s: %s\n", tracer_name((enum tracer_kind)k), why);
	fflush(stdout);
}

static const struct argp_option option[] = {
	ARGUMENT_JSON,
	{"peer", 'p', "FILE", 0, "a BPF object to be measured beside", 0},
	{"rounds", 'r', "N", 0, "rounds of each server, 1..50 (5)", 0},
	{"seconds", 's', "N", 0, "of one run, 1..60 (1)", 0},
	{"workload", 'w', "NAME", 0, "only redis, nginx, memcached or thrift", 0},
	{0},
};

static bool is_workload(const char *text)
{
	for (int k = 0; k < WORKLOADS; k++)
		if (!strcmp(workload_name((enum workload_kind)k), text))
			return true;
	return false;
}

static error_t parse(int key, char *text, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'p':
		if (access(text, R_OK))
			argp_error(state, "%s: %s", text, strerror(errno));
		tracer_use_peer(text);
		return 0;
	case 'r':
		o->rounds = (unsigned)argument_number(state, text, 1, REPORT_ROUNDS);
		return 0;
	case 's':
		o->seconds = (unsigned)argument_number(state, text, 1, 60);
		return 0;
	case 'w':
		if (!is_workload(text))
			argp_error(state, "%s: no such workload", text);
		o->only = text;
		return 0;
	default:
		return argument_common(key, text, state, &o->json);
	}
}

int main(int argc, char **argv)
{
	static const struct argp argp = {
		option, parse, NULL, "Measure what capture costs.", NULL, NULL, NULL};
	struct options o = {.rounds = 5, .seconds = 1};
	json_t *all = json_object();
	struct place p;
	int err;

	argp_parse(&argp, argc, argv, 0, NULL, &o);
	err = place_open(&p);
	if (err)
		return 1;
	print_machine();
	for (int k = 0; k < WORKLOADS && !err; k++)
		if (wanted((enum workload_kind)k, &o))
			err = bench_workload((enum workload_kind)k, &p, &o, all);
	place_close(&p);
	if (!err && o.json)
		err = output_json(o.json, "capture", all);
	json_decref(all);
	return err ? 1 : 0;
}
