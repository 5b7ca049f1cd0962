/*
 * How right capture is: real servers called through real client libraries, at moderate load
 * and at saturation, under each strategy; calls counted at both ends, and quantiles of their
 * latency, held against the record the client keeps itself. Needs root.
 */
#include <argp.h>
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "tests/bench/arguments.h"
#include "tests/bench/output.h"
#include "tests/bpf/accuracy.h"

#define CONNECTIONS 16

struct options {
	const char *json, *strategy, *protocol;
	double rate, seconds;
};

struct bench {
	struct options options;
	struct traffic_cgroup front, back;
	json_t *all; /* {strategy: {protocol: {load: numbers}}} */
	bool worked; /* every run that was asked for */
};

static const double quantile[] = {0.5, 0.9, 0.99, 0.999};
static const char *const quantile_name[] = {"p50", "p90", "p99", "p99.9"};
static const char *const load_name[] = {"moderate", "saturation"};

/* Set by SIGINT and SIGTERM: what is under way fails, and what was made is removed. */
static volatile sig_atomic_t interrupted;

#define QUANTILES (sizeof(quantile) / sizeof(*quantile))

/* ---- one run's numbers ----------------------------------------------------------------- */

static double share(uint64_t calls, const struct accuracy *a)
{
	return a->client.done ? (double)calls / (double)a->client.done : NAN;
}

static double own_us(const struct accuracy *a, size_t i)
{
	return (double)hist_quantile_ns(&a->client.latency, quantile[i]) / 1e3;
}

static double error_of(const struct accuracy *a, size_t i, bool *near)
{
	double error_ns;

	*near = accuracy_near(a, quantile[i], ACCURACY_NEAR_NS, &error_ns);
	return error_ns / 1e3;
}

static void print_head(const char *strategy)
{
	printf("\nstrategy %s\n%-11s %-10s %8s %9s %10s %10s ", strategy, "protocol", "load",
		"calls/s", "calls", "client end", "server end");
	for (size_t i = 0; i < QUANTILES; i++)
		printf(" %8s %-18s", quantile_name[i], "us, error");
	putchar('\n');
}

static void print_row(const char *protocol, const char *load, const struct accuracy *a)
{
	printf("%-11s %-10s %8.0f %9llu %9.3f%% %9.3f%% ", protocol, load, a->client.rate,
		(unsigned long long)a->client.done, 100 * share(a->seen.client.sum.calls, a),
		100 * share(a->seen.server.sum.calls, a));
	for (size_t i = 0; i < QUANTILES; i++) {
		bool near;
		double error_us = error_of(a, i, &near);

		printf(" %8.1f %+8.1f %+6.1f%%%c ", own_us(a, i), error_us,
			100 * error_us / own_us(a, i), near ? ' ' : '!');
	}
	putchar('\n');
	fflush(stdout);
}

static json_t *losses_json(const uint64_t *before, const uint64_t *after)
{
	json_t *losses = json_object();

	for (unsigned i = 0; i < WIRE_LOSSES; i++)
		if (after[i] != before[i])
			json_object_set_new(losses, wire_loss_name(i),
				json_integer((json_int_t)(after[i] - before[i])));
	return losses;
}

static void print_losses(const json_t *losses)
{
	const char *cause;
	json_t *count;

	json_object_foreach((json_t *)(uintptr_t)losses, cause, count)
		printf("%-11s lost: %s %lld\n", "", cause, (long long)json_integer_value(count));
}

static json_t *run_json(const struct accuracy *a)
{
	json_t *latency = json_object();

	for (size_t i = 0; i < QUANTILES; i++) {
		bool near;
		double error_us = error_of(a, i, &near);

		json_object_set_new(latency, quantile_name[i],
			json_pack("{s:f, s:f, s:b}", "client_us", own_us(a, i), "error_us",
				error_us, "near", near));
	}
	return json_pack("{s:f, s:I, s:I, s:I, s:I, s:o}", "calls_per_s", a->client.rate, "calls",
		(json_int_t)a->client.done, "errors", (json_int_t)a->client.errors,
		"captured_at_client", (json_int_t)a->seen.client.sum.calls, "captured_at_server",
		(json_int_t)a->seen.server.sum.calls, "latency", latency);
}

/* ---- the runs -------------------------------------------------------------------------- */

static int many_cpus(void)
{
	return sysconf(_SC_NPROCESSORS_ONLN) > 1;
}

/* The server on the first CPU, the client on the second; children inherit it. */
static void stay_on_first_cpu(cpu_set_t *before)
{
	cpu_set_t first;

	sched_getaffinity(0, sizeof(*before), before);
	if (!many_cpus())
		return;
	CPU_ZERO(&first);
	CPU_SET(0, &first);
	sched_setaffinity(0, sizeof(first), &first);
}

static int run_load(struct bench *b, struct capture *c, const struct service *s,
	const struct accuracy_server *server, unsigned load, json_t *runs)
{
	const struct accuracy_load how = {.connections = CONNECTIONS,
		.rate = load ? 0 : b->options.rate,
		.seconds = b->options.seconds,
		.cpu = many_cpus() ? 1 : -1};
	uint64_t before[WIRE_LOSSES] = {0}, after[WIRE_LOSSES] = {0};
	struct accuracy a;
	json_t *run, *losses;
	int err;

	capture_losses(c, before);
	err = accuracy_run(c, s, server, &b->front, &b->back, &how, &a);
	if (err) {
		fprintf(stderr, "accuracy_bench: %s, %s: %s\n", server->name, load_name[load],
			strerror(-err));
		return err;
	}
	capture_losses(c, after);
	print_row(server->name, load_name[load], &a);
	run = run_json(&a);
	losses = losses_json(before, after);
	print_losses(losses);
	json_object_set_new(run, "losses", losses);
	json_object_set_new(runs, load_name[load], run);
	return 0;
}

static void run_strategy(
	struct bench *b, size_t rank, const struct service service[ACCURACY_SERVERS])
{
	const char *strategy = capture_strategy_at(rank), *lacks = capture_strategy_lacks(rank);
	struct capture_options o = {.cgroup_subsys = traffic_cgroup_subsys(), .strategy = strategy};
	json_t *protocols;
	struct capture *c;
	int err = lacks ? 0 : capture_open(&c, &o);

	if (lacks)
		printf("\nstrategy %s: this kernel has no %s\n", strategy, lacks);
	if (err)
		fprintf(stderr, "accuracy_bench: strategy %s: %s\n", strategy, strerror(-err));
	b->worked = b->worked && !err;
	if (lacks || err)
		return;
	protocols = json_object();
	print_head(strategy);
	for (size_t i = 0; i < ACCURACY_SERVERS; i++) {
		json_t *runs = json_object();

		for (unsigned load = 0; load < 2 && service[i].pid && !interrupted; load++)
			b->worked = !run_load(b, c, &service[i], &accuracy_server[i], load, runs) &&
				    b->worked;
		json_object_set_new(protocols, accuracy_server[i].name, runs);
	}
	capture_close(c);
	json_object_set_new(b->all, strategy, protocols);
}

static bool wanted(const char *choice, const char *name)
{
	return !choice || !strcmp(choice, name);
}

static void start_servers(struct bench *b, struct service service[ACCURACY_SERVERS])
{
	cpu_set_t before;

	stay_on_first_cpu(&before);
	for (size_t i = 0; i < ACCURACY_SERVERS; i++) {
		int err;

		if (!wanted(b->options.protocol, accuracy_server[i].name) || interrupted)
			continue;
		err = accuracy_start(&service[i], &accuracy_server[i], &b->back);
		if (err)
			printf("without %s: %s\n", accuracy_server[i].name,
				err == -ENOENT ? "not installed" : strerror(-err));
		b->worked = b->worked && (!err || err == -ENOENT);
	}
	sched_setaffinity(0, sizeof(before), &before);
}

static int run_bench(struct bench *b)
{
	struct service service[ACCURACY_SERVERS] = {0};
	const char *strategy;
	double load[1] = {0};
	int err = traffic_cgroup_open(&b->front, "front");

	if (!err)
		err = traffic_cgroup_open(&b->back, "back");
	if (err) {
		fprintf(stderr, "accuracy_bench: cgroup %s: %s; run it as root\n",
			b->back.id ? b->back.path : b->front.path, strerror(-err));
		return err;
	}
	err = accuracy_prefer(&b->front);
	if (err)
		printf("the client has no real-time priority (%s): its record holds waits for a "
		       "CPU\n",
			strerror(-err));
	getloadavg(load, 1);
	printf("accuracy: %ld CPUs, load %.1f before the start; %d connections, %.0f calls/s or "
	       "without a pause, %.0f s each\n",
		sysconf(_SC_NPROCESSORS_ONLN), load[0], CONNECTIONS, b->options.rate,
		b->options.seconds);
	start_servers(b, service);
	for (size_t rank = 0; (strategy = capture_strategy_at(rank)); rank++)
		if (wanted(b->options.strategy, strategy) && !interrupted)
			run_strategy(b, rank, service);
	printf("error: captured at the client's end less the client's own; ! more than 5 %% and "
	       "20 us\n");
	for (size_t i = 0; i < ACCURACY_SERVERS; i++)
		service_stop(&service[i]);
	traffic_cgroup_close(&b->front);
	traffic_cgroup_close(&b->back);
	return 0;
}

static void interrupt(int signal)
{
	interrupted = signal;
}

/* ---- the program ----------------------------------------------------------------------- */

static const struct argp_option option[] = {
	ARGUMENT_JSON,
	{"protocol", 'p', "NAME", 0, "only this one", 0},
	{"rate", 'r', "N", 0, "calls per second at moderate load, 16..100000 (2000)", 0},
	{"seconds", 's', "N", 0, "of one run, 1..60 (2)", 0},
	{"strategy", 't', "NAME", 0, "only this one", 0},
	{0},
};

static bool is_strategy(const char *text)
{
	const char *name;

	for (size_t rank = 0; (name = capture_strategy_at(rank)); rank++)
		if (!strcmp(name, text))
			return true;
	return false;
}

static bool is_protocol(const char *text)
{
	for (size_t i = 0; i < ACCURACY_SERVERS; i++)
		if (!strcmp(accuracy_server[i].name, text))
			return true;
	return false;
}

static error_t parse(int key, char *text, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'p':
		if (!is_protocol(text))
			argp_error(state, "%s: no such protocol here", text);
		o->protocol = text;
		return 0;
	case 'r':
		o->rate = argument_number(state, text, CONNECTIONS, 100000);
		return 0;
	case 's':
		o->seconds = argument_number(state, text, 1, 60);
		return 0;
	case 't':
		if (!is_strategy(text))
			argp_error(state, "%s: no such strategy", text);
		o->strategy = text;
		return 0;
	default:
		return argument_common(key, text, state, &o->json);
	}
}

int main(int argc, char **argv)
{
	static const struct argp argp = {option, parse, NULL,
		"Hold what is captured against the client's own record.", NULL, NULL, NULL};
	static struct bench b = {.options = {.rate = 2000, .seconds = 2}, .worked = true};
	const struct sigaction action = {.sa_handler = interrupt};
	int err;

	log_init("accuracy_bench", LOG_WARNING);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	argp_parse(&argp, argc, argv, 0, NULL, &b.options);
	b.all = json_object();
	err = run_bench(&b);
	if (!err && b.options.json)
		err = output_json(b.options.json, "accuracy", b.all);
	json_decref(b.all);
	return err || !b.worked ? 1 : 0;
}
