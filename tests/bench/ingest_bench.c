/*
 * What taking in windows costs: batches as agents send them, through decoding, the store and the
 * summing up into rows, on one thread; and what the analyzer holds in memory for a large fleet.
 * Making the batches is not counted. Each case has a process of its own.
 */
#include <argp.h>
#include <errno.h>
#include <ftw.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "analyzer/core.h"
#include "analyzer/intake.h"
#include "common/clock.h"
#include "tests/bench/fleet.h"
#include "tests/bench/arguments.h"
#include "tests/bench/output.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))
#define TOGETHER 32 /* batches that wait when the intake looks */
#define AGE_S 3600  /* the windows lie in the past: nothing waits for the clock */

struct bench_case {
	const char *name;
	struct made_fleet fleet;
	unsigned seconds;
};

static const struct bench_case cases[] = {
	{"busy nodes", {.nodes = 20, .containers = 100, .services = 100}, 30},
	{"large fleet", {.nodes = 200, .containers = 100, .services = 1000}, 12},
};

struct result {
	int err;
	double cpu_s, wall_s; /* for all of them */
	double message_bytes; /* mean */
	double rss_mb, peak_mb;
	double stored_mb; /* the database at the end, rows and graph */
	size_t windows, rows, columns;
};

struct message {
	void *data; /* owned */
	size_t size;
};

static double cpu_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double rss_mb(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	unsigned long size, resident = 0;

	if (f) {
		if (fscanf(f, "%lu %lu", &size, &resident) != 2)
			resident = 0;
		fclose(f);
	}
	return (double)resident * (double)sysconf(_SC_PAGESIZE) / 1e6;
}

static double peak_mb(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)u.ru_maxrss / 1e3;
}

/* ---- one case, in its own process --------------------------------------------------- */

static int open_core(struct core **c, const char *dir)
{
	struct core_options o = {.data = dir,
		.window_s = 5,
		.keep_s = 7200,
		.retain_s = 1e6,
		.retain_bytes = 1ULL << 40,
		.train_after = 1000000,
		.retrain_s = 1e6,
		.method = METHOD_ROBUST,
		.mode = ACT_OBSERVE};
	char why[512] = "out of memory";
	int err = core_open(c, &o, why, sizeof(why));

	if (err)
		fprintf(stderr, "ingest: %s\n", why);
	return err;
}

/* As the intake does: unfold what came together, and hand it on. */
static int deliver(struct core *c, const struct message *m, size_t n)
{
	struct intake_batch b[TOGETHER] = {0};
	int err = 0;

	for (size_t i = 0; i < n && !err; i++) {
		err = wire_decode_batch(m[i].data, m[i].size, &b[i].batch);
		b[i].agent = b[i].batch.agent;
		b[i].sequence = b[i].batch.sequence;
		b[i].windows = b[i].batch.windows;
		b[i].message = m[i].data;
		b[i].size = m[i].size;
	}
	if (!err)
		err = core_batches(c, b, n);
	for (size_t i = 0; i < n; i++)
		wire_batch_close(&b[i].batch);
	if (!err)
		core_step(c, 0);
	return err;
}

/* One second of every node; made before the clock runs. */
static int run_second(struct core *c, const struct bench_case *k, uint64_t start_s, unsigned second,
	struct result *r)
{
	unsigned nodes = k->fleet.nodes;
	struct message *m = calloc(nodes, sizeof(*m));
	int err = m ? 0 : -ENOMEM;
	double began_s;
	uint64_t began_ns;

	for (unsigned n = 0; !err && n < nodes; n++) {
		err = made_fleet_batch(
			&k->fleet, n, start_s + second, second + 1, &m[n].data, &m[n].size);
		r->message_bytes += (double)m[n].size;
	}
	began_s = cpu_s();
	began_ns = clock_monotonic_ns();
	for (unsigned n = 0; !err && n < nodes; n += TOGETHER)
		err = deliver(c, &m[n], nodes - n < TOGETHER ? nodes - n : TOGETHER);
	r->cpu_s += cpu_s() - began_s;
	r->wall_s += (double)(clock_monotonic_ns() - began_ns) / 1e9;
	for (unsigned n = 0; m && n < nodes; n++)
		free(m[n].data);
	free(m);
	return err;
}

static void run_case(const struct bench_case *k, const char *dir, struct result *r)
{
	uint64_t start_s = clock_wall_ns() / 1000000000ULL / 60 * 60 - AGE_S;
	struct core *c;

	r->err = open_core(&c, dir);
	if (r->err)
		return;
	for (unsigned i = 0; !r->err && i < k->seconds; i++)
		r->err = run_second(c, k, start_s, i, r);
	r->windows = (size_t)k->fleet.nodes * k->seconds;
	r->message_bytes /= (double)r->windows;
	r->rows = c->live.recording.series.windows;
	r->columns = c->live.recording.series.columns;
	r->stored_mb = (double)store_bytes(c->store) / 1e6;
	r->rss_mb = rss_mb();
	r->peak_mb = peak_mb();
	core_close(c);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st;
	(void)kind;
	(void)at;
	return remove(path);
}

static int in_process(const struct bench_case *k, struct result *r)
{
	char dir[] = "/tmp/sage-ingest-XXXXXX";
	int fd[2], status;
	pid_t child;

	memset(r, 0, sizeof(*r));
	if (!mkdtemp(dir) || pipe(fd))
		return -errno;
	child = fork();
	if (child == 0) {
		run_case(k, dir, r);
		_exit(write(fd[1], r, sizeof(*r)) == sizeof(*r) ? 0 : 1);
	}
	close(fd[1]);
	if (child < 0 || read(fd[0], r, sizeof(*r)) != sizeof(*r))
		r->err = -EIO;
	close(fd[0]);
	if (child > 0)
		waitpid(child, &status, 0);
	nftw(dir, remove_one, 4, FTW_DEPTH | FTW_PHYS);
	return r->err;
}

/* ---- report ---------------------------------------------------------------------------- */

static void print_head(void)
{
	printf("%-12s %6s %11s %9s %12s %12s %9s %6s %9s %8s %8s\n", "fleet", "nodes", "containers",
		"services", "windows/s", "us/window", "bytes", "rows", "columns", "RSS MB",
		"peak MB");
}

static void print_result(const struct bench_case *k, const struct result *r)
{
	double windows = (double)r->windows;

	printf("%-12s %6u %11u %9u %12.0f %12.0f %9.0f %6zu %9zu %8.0f %8.0f\n", k->name,
		k->fleet.nodes, k->fleet.nodes * k->fleet.containers, k->fleet.services,
		windows / r->cpu_s, 1e6 * r->cpu_s / windows, r->message_bytes, r->rows, r->columns,
		r->rss_mb, r->peak_mb);
	fflush(stdout);
}

static json_t *result_json(const struct bench_case *k, const struct result *r)
{
	double windows = (double)r->windows;

	return json_pack("{ss si si si si si sf sf sf sf si si sf sf}", "fleet", k->name, "nodes",
		(int)k->fleet.nodes, "containers", (int)(k->fleet.nodes * k->fleet.containers),
		"services", (int)k->fleet.services, "seconds", (int)k->seconds, "windows",
		(int)r->windows, "windows_per_core_s", windows / r->cpu_s, "windows_per_s",
		windows / r->wall_s, "bytes_per_window", r->message_bytes, "database_mb",
		r->stored_mb, "rows", (int)r->rows, "columns", (int)r->columns, "rss_mb", r->rss_mb,
		"peak_mb", r->peak_mb);
}

static error_t parse(int key, char *text, struct argp_state *state)
{
	return argument_common(key, text, state, state->input);
}

int main(int argc, char **argv)
{
	static const struct argp_option options[] = {ARGUMENT_JSON, {0}};
	static const struct argp argp = {options, parse, NULL,
		"Measure what the analyzer pays for a window of an agent.", NULL, NULL, NULL};
	json_t *all = json_array();
	const char *json = NULL;

	argp_parse(&argp, argc, argv, 0, NULL, &json);
	print_head();
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct result r;
		int err = in_process(&cases[i], &r);

		if (err) {
			fprintf(stderr, "ingest: %s: %s\n", cases[i].name, strerror(-err));
			json_decref(all);
			return 1;
		}
		print_result(&cases[i], &r);
		json_array_append_new(all, result_json(&cases[i], &r));
	}
	if (json && output_json(json, "ingest", all))
		return 1;
	json_decref(all);
	return 0;
}
