/*
 * Is the simulator true? The testbed's applications, run for real and simulated, with the same
 * load: what users met, side by side, at the usual rate and at half as much again. Needs root, and
 * a machine that does nothing else: what else it does is in the real latencies only.
 */
#include <argp.h>
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "tests/bench/arguments.h"
#include "tests/bench/output.h"
#include "tests/bench/sim_recorded.h"
#include "tests/sim/recorder.h"
#include "tests/testbed/control.h"
#include "tests/testbed/record.h"
#include "tests/testbed/site.h"
#include "tests/testbed/spawn.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))
#define START_S 60 /* at most */
#define SETTLE_S 5
#define SEED 1

static const char *const topologies[] = {"chain10", "fanout10", "social"};
static const double factors[] = {1, 1.5};
static const double quantiles[] = {0.5, 0.9, 0.95, 0.99};

struct options {
	const char *json, *topology, *recorded;
	double seconds;
};

struct pair {
	struct hist real, simulated;
};

static void pause_s(double seconds)
{
	const struct timespec t = {.tv_sec = (time_t)seconds,
		.tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};

	nanosleep(&t, NULL);
}

static double now_s(void)
{
	return (double)clock_wall_ns() * 1e-9;
}

/* Wait until requests are answered. Returns 0 or -errno. */
static int wait_for_start(const struct site *site, pid_t pid)
{
	double end = now_s() + START_S;
	struct record_second sum;
	char path[SITE_PATH];

	site_file(site, SITE_USER, "load.csv", path);
	while (now_s() < end) {
		if (waitpid(pid, NULL, WNOHANG) > 0)
			return -ECHILD;
		if (record_read(path, now_s() - 3, now_s(), &sum) > 0 && sum.done)
			return 0;
		pause_s(0.2);
	}
	return -ETIMEDOUT;
}

/* What the load generator recorded in so many seconds from now on. */
static int observe(const struct site *site, double factor, double seconds, struct hist *out)
{
	char path[SITE_PATH], line[32];
	struct record_second sum;
	double from;
	int err;

	snprintf(line, sizeof(line), "rate %.2f", factor);
	err = control_send(site_file(site, SITE_USER, "control", path), line);
	if (err)
		return err;
	pause_s(SETTLE_S);
	from = (double)(long)now_s();
	pause_s(seconds + 3);
	err = record_read(site_file(site, SITE_USER, "load.csv", path), from, from + seconds, &sum);
	if (err <= 0 || !sum.done)
		return err < 0 ? err : -ENODATA;
	*out = sum.latency;
	return 0;
}

static int run_real(const char *file, double seconds, struct pair pair[COUNT(factors)])
{
	char name[24], path[] = SAGE_TOOLS "/sage-testbed", topology[4096];
	char *argv[] = {path, "up", "--name", name, "--topology", topology, NULL};
	const struct spawn how = {.log = "/dev/null"};
	struct site site;
	pid_t pid;
	int err;

	snprintf(name, sizeof(name), "simb%d", (int)getpid());
	snprintf(topology, sizeof(topology), "%s", file);
	pid = spawn_start(&how, argv);
	err = pid < 0 ? pid : site_open(&site, name);
	if (!err)
		err = wait_for_start(&site, pid);
	for (size_t i = 0; i < COUNT(factors) && !err; i++)
		err = observe(&site, factors[i], seconds, &pair[i].real);
	if (pid > 0) {
		kill(pid, SIGTERM);
		waitpid(pid, NULL, 0);
	}
	return err;
}

/* Ten times as long: what is left of chance is the real run's. */
static void run_simulated(
	const struct topology *t, double seconds, struct pair pair[COUNT(factors)])
{
	struct app a;
	struct sim *s;

	app_from_topology(&a, t, (double)sysconf(_SC_NPROCESSORS_ONLN));
	s = sim_new(&a, SEED);
	for (size_t i = 0; i < COUNT(factors); i++) {
		sim_set_surge(s, factors[i]);
		sim_run(s, s->now_ns + SETTLE_S * SIM_START_NS);
		recorder_clear_window(s);
		sim_run(s, s->now_ns + (uint64_t)(10 * seconds * 1e9));
		pair[i].simulated = s->user;
	}
	sim_free(s);
	app_clear(&a);
}

static double ms(const struct hist *h, double q)
{
	return (double)hist_quantile_ns(h, q) * 1e-6;
}

static void print_pair(const char *topology, double factor, const struct pair *p, json_t *rows)
{
	json_t *row = json_pack("{ss sf sI}", "topology", topology, "load", factor, "requests",
		(json_int_t)p->real.total);

	printf("%-10s %4.1f %8lu", topology, factor, (unsigned long)p->real.total);
	for (size_t i = 0; i < COUNT(quantiles); i++) {
		double real = ms(&p->real, quantiles[i]), made = ms(&p->simulated, quantiles[i]);
		char key[32];

		printf("  %6.2f %6.2f %5.2f", real, made, made / real);
		snprintf(key, sizeof(key), "p%g_ms", quantiles[i] * 100);
		json_object_set_new(row, key, json_pack("[ff]", real, made));
	}
	printf("\n");
	fflush(stdout);
	json_array_append_new(rows, row);
}

static int compare(const char *name, double seconds, json_t *rows)
{
	static struct pair pair[COUNT(factors)];
	char file[4096], error[256];
	struct topology t;
	int err;

	snprintf(file, sizeof(file), "%s/%s.conf", SAGE_TOPOLOGIES, name);
	err = topology_load(&t, file, error, sizeof(error));
	if (err) {
		log_error("%s", error);
		return err;
	}
	err = run_real(file, seconds, pair);
	if (err) {
		log_error("testbed %s: %s: is this root?", name, strerror(-err));
		return err;
	}
	run_simulated(&t, seconds, pair);
	for (size_t i = 0; i < COUNT(factors); i++)
		print_pair(name, factors[i], &pair[i], rows);
	return 0;
}

/* A recording of the social network's, against the simulated one. */
static int compare_recorded(const char *directory, json_t *rows)
{
	char error[256];
	struct topology t;
	int err = topology_load(&t, SAGE_TOPOLOGIES "/social.conf", error, sizeof(error));

	if (err) {
		log_error("%s", error);
		return err;
	}
	printf("medians of windows: recorded, simulated, ratio\n");
	return sim_recorded_compare(&t, directory, rows);
}

static int compare_live(const struct options *o, json_t *rows)
{
	int err = 0;

	printf("users' latency, ms: real, simulated, ratio\n%-10s %4s %8s  %-20s %-20s %-20s "
	       "%-20s\n",
		"topology", "load", "requests", "p50", "p90", "p95", "p99");
	for (size_t i = 0; i < COUNT(topologies) && !err; i++)
		if (!o->topology || !strcmp(o->topology, topologies[i]))
			err = compare(topologies[i], o->seconds, rows);
	return err;
}

static error_t parse(int key, char *text, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 's':
		o->seconds = argument_number(state, text, 5, 3600);
		return 0;
	case 't':
		o->topology = text;
		return 0;
	case 'r':
		o->recorded = text;
		return 0;
	default:
		return argument_common(key, text, state, &o->json);
	}
}

int main(int argc, char **argv)
{
	static const struct argp_option option[] = {ARGUMENT_JSON,
		{"seconds", 's', "N", 0, "of each load, 5..3600 (20)", 0},
		{"topology", 't', "NAME", 0, "only this one: chain10, fanout10 or social", 0},
		{"recorded", 'r', "DIR", 0, "a recording of social instead of a run, no root", 0},
		{0}};
	static const struct argp argp = {option, parse, NULL,
		"Compare the simulated testbed with the real one.", NULL, NULL, NULL};
	struct options o = {.seconds = 20};
	json_t *rows = json_array();
	int err;

	argp_parse(&argp, argc, argv, 0, NULL, &o);
	log_init("sim_bench", LOG_WARNING);
	err = o.recorded ? compare_recorded(o.recorded, rows) : compare_live(&o, rows);
	if (!err && o.json)
		err = output_json(o.json, "sim", rows);
	json_decref(rows);
	return err ? 1 : 0;
}
