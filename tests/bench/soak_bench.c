/*
 * Whether a working agent grows: memcached is called at a steady rate while short-lived
 * containers come and go, and memory, open files and map entries are fitted by a line,
 * whose slope should be zero. Needs root.
 */
#include <argp.h>
#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "tests/bench/captured.h"
#include "tests/bench/churn.h"
#include "tests/bench/held_maps.h"
#include "tests/bench/line.h"
#include "tests/bench/arguments.h"
#include "tests/bench/output.h"
#include "tests/bench/tracer.h"

#define SAMPLES 240
#define SETTLE_RATIO 0.2 /* of the run, in which tables fill */
#define GROWS_RATIO 0.01 /* of the mean, over what was measured */
#define BLOCKS 12
#define ASK_NS 400000000 /* windows are a second long */
#define FIXED_SERIES 2
#define SERIES (FIXED_SERIES + HELD_MAPS)

struct options {
	const char *json;
	unsigned seconds, rate, containers;
};

struct soak {
	struct options o;
	struct workload w;
	struct tracer t;
	struct churn churn;
	struct held_maps maps;
	struct captured captured;
	uint64_t start_ns, next_sample_ns, next_ask_ns;
	unsigned until; /* windows to be read */
	size_t samples;
	double at_s[SAMPLES], value[SERIES][SAMPLES];
};

/* ---- sampling -------------------------------------------------------------------------- */

static unsigned open_files(pid_t pid)
{
	char path[PLACE_PATH];
	unsigned count = 0;
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	d = opendir(path);
	while (d && (e = readdir(d)))
		count += e->d_name[0] != '.';
	if (d)
		closedir(d);
	return count;
}

/* TCP sockets of the whole machine, as capture sees them all; 0 when they cannot be read. */
static double tcp_sockets(void)
{
	char text[1024];
	const char *at;

	place_read("/proc/net/sockstat", text, sizeof(text));
	at = strstr(text, " alloc ");
	return at ? strtod(at + 7, NULL) : 0;
}

static double map_value(const struct held_map *m)
{
	double count = (double)held_maps_count(m);

	return m->capacity ? count : count - tcp_sockets();
}

static void take_sample(struct soak *s, uint64_t now_ns)
{
	size_t n = s->samples;
	struct tracer_usage usage;

	if (n == SAMPLES)
		return;
	tracer_usage(&s->t, &usage);
	s->at_s[n] = (double)(now_ns - s->start_ns) / 1e9;
	s->value[0][n] = usage.rss_mb * 1024;
	s->value[1][n] = open_files(s->t.pid);
	for (size_t i = 0; i < s->maps.maps; i++)
		s->value[FIXED_SERIES + i][n] = map_value(&s->maps.map[i]);
	s->samples++;
}

static const char *series_name(const struct soak *s, size_t i)
{
	static const char *const fixed[FIXED_SERIES] = {"RSS KB", "open files"};

	if (i < FIXED_SERIES)
		return fixed[i];
	return s->maps.map[i - FIXED_SERIES].capacity ? s->maps.map[i - FIXED_SERIES].name
						      : "records less sockets";
}

static bool ask_windows(void *ctx)
{
	struct soak *s = ctx;
	uint64_t now_ns = clock_monotonic_ns();

	if (now_ns >= s->next_ask_ns) {
		s->next_ask_ns = now_ns + ASK_NS;
		captured_read(&s->captured);
	}
	return s->captured.windows >= s->until;
}

/* Asked every 20 ms while the load runs. */
static bool tick(void *ctx)
{
	struct soak *s = ctx;
	uint64_t now_ns = clock_monotonic_ns();

	churn_tick(&s->churn, now_ns);
	if (now_ns >= s->next_sample_ns) {
		s->next_sample_ns = now_ns + s->o.seconds * 1000000000ULL / SAMPLES;
		take_sample(s, now_ns);
	}
	ask_windows(s);
	return false;
}

/* ---- the result ------------------------------------------------------------------------ */

struct growth {
	double first, last, per_hour, error_per_hour;
	bool grows;
};

/* Samples near each other are alike; the means of blocks are not, and their error can be told. */
static struct line fit_blocks(const double *x, const double *y, size_t n)
{
	double block_x[BLOCKS] = {0}, block_y[BLOCKS] = {0};
	size_t each = n / BLOCKS;

	for (size_t i = 0; i < each * BLOCKS; i++) {
		block_x[i / each] += x[i] / (double)each;
		block_y[i / each] += y[i] / (double)each;
	}
	return line_fit(block_x, block_y, BLOCKS);
}

static struct growth growth_of(const struct soak *s, size_t i)
{
	size_t from = (size_t)((double)s->samples * SETTLE_RATIO), n = s->samples - from;
	struct line l = fit_blocks(s->at_s + from, s->value[i] + from, n);
	double over_s = s->at_s[s->samples - 1] - s->at_s[from];

	return (struct growth){.first = s->value[i][from],
		.last = s->value[i][s->samples - 1],
		.per_hour = l.slope * 3600,
		.error_per_hour = l.slope_error * 3600,
		.grows = l.slope > 2 * l.slope_error &&
			 l.slope * over_s > fmax(GROWS_RATIO * fabs(l.mean), 1)};
}

static const char *remark(const struct soak *s, size_t i, const struct growth *g)
{
	const struct held_map *m = i < FIXED_SERIES ? NULL : &s->maps.map[i - FIXED_SERIES];

	if (!g->grows)
		return "";
	return m && m->lru ? "fills up, then forgets the oldest" : "GROWS";
}

static void print_growth(const struct soak *s)
{
	printf("%-26s %10s %10s %10s %12s %10s\n", "", "capacity", "from", "to", "per hour",
		"error");
	for (size_t i = 0; i < FIXED_SERIES + s->maps.maps; i++) {
		uint32_t capacity = i < FIXED_SERIES ? 0 : s->maps.map[i - FIXED_SERIES].capacity;
		struct growth g = growth_of(s, i);
		char text[16] = "";

		if (capacity)
			snprintf(text, sizeof(text), "%u", capacity);
		printf("%-26s %10s %10.0f %10.0f %+12.1f %10.1f  %s\n", series_name(s, i), text,
			g.first, g.last, g.per_hour, g.error_per_hour, remark(s, i, &g));
	}
}

static json_t *growth_json(const struct soak *s)
{
	json_t *o = json_object();

	for (size_t i = 0; i < FIXED_SERIES + s->maps.maps; i++) {
		struct growth g = growth_of(s, i);

		json_object_set_new(o, series_name(s, i),
			json_pack("{s:f, s:f, s:f, s:f, s:b}", "from", g.first, "to", g.last,
				"per_hour", g.per_hour, "error_per_hour", g.error_per_hour, "grows",
				g.grows));
	}
	return o;
}

static json_t *report(const struct soak *s, const struct workload_result *r)
{
	uint64_t made = r->requests + s->churn.calls;
	json_t *losses = captured_losses(s->t.control), *count;
	const char *cause;

	print_growth(s);
	printf("%.0f calls/s; %u containers came and went, %u failed; counted %llu of %llu calls "
	       "(%.3f %%); losses:",
		r->requests_per_s, s->churn.ended, s->churn.failed,
		(unsigned long long)s->captured.calls, (unsigned long long)made,
		100.0 * (double)s->captured.calls / (double)made);
	json_object_foreach(losses, cause, count)
		printf(" %s %lld", cause, (long long)json_integer_value(count));
	printf("%s\n", json_object_size(losses) ? "" : " none");
	return json_pack("{s:i, s:f, s:i, s:i, s:I, s:I, s:o, s:o}", "seconds", (int)s->o.seconds,
		"calls_per_s", r->requests_per_s, "containers", (int)s->churn.ended, "failed",
		(int)s->churn.failed, "calls", (json_int_t)made, "captured",
		(json_int_t)s->captured.calls, "losses", losses, "series", growth_json(s));
}

/* ---- the run --------------------------------------------------------------------------- */

static int wait_windows(struct soak *s, unsigned more)
{
	s->until = s->captured.windows + more;
	return place_wait(s->t.pid, ask_windows, s, 10000 * more);
}

static int run_load(struct soak *s, struct workload_result *r)
{
	pid_t load;
	int err = wait_windows(s, 1); /* that begin before the load */

	if (!err)
		err = workload_start(&s->w, &load);
	if (err)
		return err;
	s->start_ns = clock_monotonic_ns();
	s->until = UINT32_MAX;
	place_wait(load, tick, s, (s->o.seconds + 60) * 1000);
	err = workload_finish(&s->w, load, r);
	churn_close(&s->churn);
	return err ? err : wait_windows(s, 3);
}

static int run_soak(struct soak *s, const struct place *p, json_t **out)
{
	struct workload_result r;
	int err = workload_open(&s->w, WORKLOAD_MEMCACHED, p, s->o.seconds);

	if (err)
		return err;
	s->w.rate = s->o.rate;
	err = tracer_start(&s->t, TRACER_SAGE, p);
	if (!err) {
		s->churn = (struct churn){.server = &s->w,
			.every_ns = s->o.containers ? s->o.seconds * 1000000000ULL / s->o.containers
						    : 0};
		held_maps_open(&s->maps, s->t.pid);
		captured_init(&s->captured, s->t.control, workload_name(s->w.kind));
		err = run_load(s, &r);
		if (!err)
			*out = report(s, &r);
		held_maps_close(&s->maps);
		tracer_stop(&s->t);
	}
	workload_close(&s->w);
	return err;
}

/* ---- the program ----------------------------------------------------------------------- */

static const struct argp_option option[] = {
	ARGUMENT_JSON,
	{"seconds", 's', "N", 0, "of the run, 20..86400 (300)", 0},
	{"rate", 'r', "N", 0, "calls per second, 16..100000 (20000)", 0},
	{"containers", 'c', "N", 0, "that come and go in that time, 0..100000 (1000)", 0},
	{0},
};

static error_t parse(int key, char *text, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 's':
		o->seconds = (unsigned)argument_number(state, text, 20, 86400);
		return 0;
	case 'r':
		o->rate = (unsigned)argument_number(state, text, WORKLOAD_CONNECTIONS, 100000);
		return 0;
	case 'c':
		o->containers = (unsigned)argument_number(state, text, 0, 100000);
		return 0;
	default:
		return argument_common(key, text, state, &o->json);
	}
}

int main(int argc, char **argv)
{
	static const struct argp argp = {
		option, parse, NULL, "Measure whether a working agent grows.", NULL, NULL, NULL};
	static struct soak s = {.o = {.seconds = 300, .rate = 20000, .containers = 1000}};
	double load[1] = {0};
	json_t *all = NULL;
	struct place p;
	int err;

	argp_parse(&argp, argc, argv, 0, NULL, &s.o);
	if (place_open(&p))
		return 1;
	getloadavg(load, 1);
	printf("soak: %u calls/s of memcached over %d connections for %u s, %u containers; load "
	       "%.1f "
	       "before the start\n",
		s.o.rate, WORKLOAD_CONNECTIONS, s.o.seconds, s.o.containers, load[0]);
	fflush(stdout);
	err = run_soak(&s, &p, &all);
	place_close(&p);
	if (!err && s.o.json)
		err = output_json(s.o.json, "soak", all);
	json_decref(all);
	return err ? 1 : 0;
}
