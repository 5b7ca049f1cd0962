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
	bool tracer_only;
	bool mean; /* not the median: it comes in bursts, longer than a run apart */
} columns[] = {
	{"requests_per_s", "requests/s", "%11.0f ", offsetof(struct sample, load.requests_per_s),
		false, false},
	{"p50_us", "p50 us", "%8.0f ", offsetof(struct sample, load.p50_us), false, false},
	{"p99_us", "p99 us", "%8.0f ", offsetof(struct sample, load.p99_us), false, false},
	{"cpu_ratio", "CPUs", "%8.4f ", offsetof(struct sample, cpu_ratio), true, true},
	{"rss_mb", "RSS MB", "%8.1f ", offsetof(struct sample, usage.rss_mb), true, false},
	{"peak_rss_mb", "peak", "%8.1f ", offsetof(struct sample, usage.peak_mb), true, false},
	{"map_mb", "maps MB", "%8.1f ", offsetof(struct sample, map_mb), true, false},
};

#define COLUMNS (sizeof(columns) / sizeof(*columns))

static struct spread column_spread(const struct report *r, int tracer, const struct column *c)
{
	double value[REPORT_ROUNDS];

	for (unsigned i = 0; i < r->rounds; i++)
		memcpy(&value[i], (const char *)&r->sample[tracer][i] + c->at, sizeof(*value));
	return spread(value, r->rounds);
}

static struct spread throughput_spread(const struct report *r, int tracer)
{
	double value[REPORT_ROUNDS];

	for (unsigned i = 0; i < r->rounds; i++)
		value[i] = r->sample[tracer][i].load.requests_per_s /
			   r->sample[TRACER_NONE][i].load.requests_per_s;
	return spread(value, r->rounds);
}

static void print_throughput_of(const struct report *r, int tracer)
{
	struct spread ratio = throughput_spread(r, tracer);

	printf("  %-11s ", tracer_name((enum tracer_kind)tracer));
	for (size_t i = 0; i < COLUMNS; i++) {
		const struct column *c = &columns[i];
		struct spread s = column_spread(r, tracer, c);

		if (i == 1)
			printf("    %5.3f (%.3f .. %.3f) ", ratio.median, ratio.low, ratio.high);
		if (tracer != TRACER_NONE || !c->tracer_only)
			printf(c->format, c->mean ? s.mean : s.median);
	}
	putchar('\n');
}

static void print_throughput(const struct report *r)
{
	printf("  %-11s %11s %26s ", "", columns[0].head, "of nothing (range)");
	for (size_t i = 1; i < COLUMNS; i++)
		printf("%8s ", columns[i].head);
	putchar('\n');
	for (int k = 0; k < TRACER_EMPTY; k++)
		if (r->there[k])
			print_throughput_of(r, k);
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
	print_throughput(r);
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
	json_object_set_new(o, "throughput_ratio", spread_json(throughput_spread(r, tracer)));
	for (size_t i = 0; i < COLUMNS; i++)
		if (tracer != TRACER_NONE || !columns[i].tracer_only)
			json_object_set_new(o, columns[i].key,
				spread_json(column_spread(r, tracer, &columns[i])));
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
