#include "tests/bench/report.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct spread {
	double low, median, high, mean;
};

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static struct spread spread(const double *value, unsigned count)
{
	double sorted[REPORT_ROUNDS], sum = 0;

	memcpy(sorted, value, count * sizeof(*value));
	for (unsigned i = 0; i < count; i++)
		sum += value[i];
	qsort(sorted, count, sizeof(*sorted), ascending);
	return (struct spread){.low = sorted[0],
		.median = (sorted[(count - 1) / 2] + sorted[count / 2]) / 2,
		.high = sorted[count - 1],
		.mean = sum / count};
}

/* A number of every run: where it stands in struct sample, and what to show of the rounds. */
static const struct column {
	const char *key, *head, *format;
	size_t at;
	enum { OF_LOAD, OF_TRACER } of; /* of the load also as a ratio to `nothing` */
	bool mean; /* not the median: it comes in bursts, longer than a run apart */
} columns[] = {
	{"requests_per_s", "requests/s", "%10.0f ", offsetof(struct sample, load.requests_per_s),
		OF_LOAD, false},
	{"p50_us", "p50 us", "%7.0f ", offsetof(struct sample, load.p50_us), OF_LOAD, false},
	{"p99_us", "p99 us", "%7.0f ", offsetof(struct sample, load.p99_us), OF_LOAD, false},
	{"server_cpu_us", "CPU us", "%7.2f ", offsetof(struct sample, load.server_cpu_us), OF_LOAD,
		false},
	{"cpu_ratio", "CPUs", "%7.4f ", offsetof(struct sample, cpu_ratio), OF_TRACER, true},
	{"rss_mb", "RSS MB", "%7.1f ", offsetof(struct sample, usage.rss_mb), OF_TRACER, false},
	{"peak_rss_mb", "peak", "%7.1f ", offsetof(struct sample, usage.peak_mb), OF_TRACER, false},
	{"map_mb", "maps MB", "%7.1f ", offsetof(struct sample, map_mb), OF_TRACER, false},
};

#define COLUMNS (sizeof(columns) / sizeof(*columns))

static double value_of(const struct report *r, int tracer, unsigned round, const struct column *c)
{
	double value;

	memcpy(&value, (const char *)&r->sample[tracer][round] + c->at, sizeof(value));
	return value;
}

static struct spread column_spread(const struct report *r, int tracer, const struct column *c)
{
	double value[REPORT_ROUNDS];

	for (unsigned i = 0; i < r->rounds; i++)
		value[i] = value_of(r, tracer, i, c);
	return spread(value, r->rounds);
}

/* To `nothing` of the same round. */
static struct spread ratio_spread(const struct report *r, int tracer, const struct column *c)
{
	double value[REPORT_ROUNDS];

	for (unsigned i = 0; i < r->rounds; i++)
		value[i] = value_of(r, tracer, i, c) / value_of(r, TRACER_NONE, i, c);
	return spread(value, r->rounds);
}

static void print_rounds_of(const struct report *r, int tracer)
{
	printf("  %-11s ", tracer_name((enum tracer_kind)tracer));
	for (size_t i = 0; i < COLUMNS; i++) {
		const struct column *c = &columns[i];
		struct spread s = column_spread(r, tracer, c), ratio;

		if (c->of == OF_TRACER && tracer == TRACER_NONE)
			continue;
		printf(c->format, c->mean ? s.mean : s.median);
		if (c->of == OF_TRACER)
			continue;
		ratio = ratio_spread(r, tracer, c);
		if (i == 0)
			printf("%5.3f (%.3f .. %.3f) ", ratio.median, ratio.low, ratio.high);
		else
			printf("x%-5.2f ", ratio.median);
	}
	putchar('\n');
}

static void print_rounds(const struct report *r)
{
	printf("  %-11s %10s %-22s ", "", columns[0].head, "of nothing (range)");
	for (size_t i = 1; i < COLUMNS; i++)
		printf("%7s %s", columns[i].head, columns[i].of == OF_LOAD ? "       " : "");
	putchar('\n');
	for (int k = 0; k < TRACER_EMPTY; k++)
		if (r->there[k])
			print_rounds_of(r, k);
}

static void print_sum(int tracer, const char *what, double ns)
{
	printf("  %-11s %-16s %13s %8s %12.1f\n", tracer_name((enum tracer_kind)tracer), what, "",
		"", ns);
}

/* The agent's programs for calls are named rpc_*; its others account for the scheduler. */
static void print_programs_of(int tracer, const struct detail *d)
{
	double requests = (double)d->requests, all_ns = 0, calls_ns = 0;

	for (size_t i = 0; i < d->cost.programs; i++) {
		const struct kernel_program *p = &d->cost.program[i];

		if (!p->runs)
			continue;
		printf("  %-11s %-16s %13.3f %8.0f %12.1f\n", tracer_name((enum tracer_kind)tracer),
			p->name, (double)p->runs / requests, (double)p->ns / (double)p->runs,
			(double)p->ns / requests);
		all_ns += (double)p->ns;
		if (!strncmp(p->name, "rpc_", 4))
			calls_ns += (double)p->ns;
	}
	if (tracer == TRACER_SAGE)
		print_sum(tracer, "rpc_* alone", calls_ns / requests);
	print_sum(tracer, "all", all_ns / requests);
}

static void print_programs(const struct report *r)
{
	printf("  %-11s %-16s %13s %8s %12s\n", "BPF", "program", "runs/request", "ns/run",
		"ns/request");
	for (int k = TRACER_SAGE; k < TRACERS; k++)
		if (r->there[k])
			print_programs_of(k, &r->detail[k]);
}

static void print_captured(const struct detail *d)
{
	const char *cause;
	json_t *count;

	printf("  sage-agent counted %llu of %llu requests (%.3f %%); losses:",
		(unsigned long long)d->captured, (unsigned long long)d->requests,
		100.0 * (double)d->captured / (double)d->requests);
	json_object_foreach(d->losses, cause, count)
		printf(" %s %lld", cause, (long long)json_integer_value(count));
	printf("%s\n", json_object_size(d->losses) ? "" : " none");
}

void report_print(const struct report *r, const struct workload *w)
{
	printf("%s, %u connections, %u rounds of %u s\n", workload_name(w->kind),
		WORKLOAD_CONNECTIONS, r->rounds, w->seconds);
	print_rounds(r);
	print_programs(r);
	print_captured(&r->detail[TRACER_SAGE]);
	fflush(stdout);
}

/* ---- the same as JSON ---------------------------------------------------------------- */

static json_t *spread_json(struct spread s)
{
	return json_pack("{s:f, s:f, s:f, s:f}", "median", s.median, "low", s.low, "high", s.high,
		"mean", s.mean);
}

static json_t *programs_json(const struct detail *d)
{
	json_t *programs = json_array();

	for (size_t i = 0; i < d->cost.programs; i++) {
		const struct kernel_program *p = &d->cost.program[i];

		json_array_append_new(
			programs, json_pack("{s:s, s:I, s:I}", "name", p->name, "runs",
					  (json_int_t)p->runs, "ns", (json_int_t)p->ns));
	}
	return programs;
}

static void set_rounds(json_t *o, const struct report *r, int tracer)
{
	char key[64];

	for (size_t i = 0; i < COLUMNS; i++) {
		const struct column *c = &columns[i];

		if (c->of == OF_TRACER && tracer == TRACER_NONE)
			continue;
		json_object_set_new(o, c->key, spread_json(column_spread(r, tracer, c)));
		if (c->of == OF_TRACER)
			continue;
		snprintf(key, sizeof(key), "%s_ratio", c->key);
		json_object_set_new(o, key, spread_json(ratio_spread(r, tracer, c)));
	}
}

static json_t *tracer_json(const struct report *r, int tracer)
{
	const struct detail *d = &r->detail[tracer];
	json_t *o = json_object();

	if (tracer != TRACER_EMPTY)
		set_rounds(o, r, tracer);
	if (tracer == TRACER_NONE)
		return o;
	json_object_set_new(o, "requests_with_bpf_clock", json_integer((json_int_t)d->requests));
	json_object_set_new(o, "programs", programs_json(d));
	if (tracer != TRACER_SAGE)
		return o;
	json_object_set_new(o, "captured", json_integer((json_int_t)d->captured));
	json_object_set(o, "losses", d->losses);
	return o;
}

json_t *report_json(const struct report *r)
{
	json_t *o = json_object();

	for (int k = 0; k < TRACERS; k++)
		if (r->there[k])
			json_object_set_new(o, tracer_name((enum tracer_kind)k), tracer_json(r, k));
	return o;
}
