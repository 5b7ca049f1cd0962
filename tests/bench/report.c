#include "tests/bench/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct spread {
	double low, median, high;
};

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static struct spread spread(const double *value, unsigned count)
{
	double sorted[REPORT_ROUNDS];

	memcpy(sorted, value, count * sizeof(*value));
	qsort(sorted, count, sizeof(*sorted), ascending);
	return (struct spread){.low = sorted[0],
		.median = (sorted[(count - 1) / 2] + sorted[count / 2]) / 2,
		.high = sorted[count - 1]};
}

typedef double measure(const struct sample *s, const struct sample *nothing);

static double requests_per_s(const struct sample *s, const struct sample *nothing)
{
	(void)nothing;
	return s->load.requests_per_s;
}

static double throughput_ratio(const struct sample *s, const struct sample *nothing)
{
	return s->load.requests_per_s / nothing->load.requests_per_s;
}

static double p50_us(const struct sample *s, const struct sample *nothing)
{
	(void)nothing;
	return s->load.p50_us;
}

static double p99_us(const struct sample *s, const struct sample *nothing)
{
	(void)nothing;
	return s->load.p99_us;
}

static double cpu_ratio(const struct sample *s, const struct sample *nothing)
{
	(void)nothing;
	return s->cpu_ratio;
}

static double rss_mb(const struct sample *s, const struct sample *nothing)
{
	(void)nothing;
	return s->usage.rss_mb;
}

static double peak_mb(const struct sample *s, const struct sample *nothing)
{
	(void)nothing;
	return s->usage.peak_mb;
}

static double map_mb(const struct sample *s, const struct sample *nothing)
{
	(void)nothing;
	return s->map_mb;
}

static struct spread over_rounds(const struct report *r, int tracer, measure *m)
{
	double value[REPORT_ROUNDS];

	for (unsigned i = 0; i < r->rounds; i++)
		value[i] = m(&r->sample[tracer][i], &r->sample[TRACER_NONE][i]);
	return spread(value, r->rounds);
}

static const struct column {
	const char *key, *head, *format;
	measure *measure;
	bool tracer_only;
} columns[] = {
	{"requests_per_s", "requests/s", "%11.0f", requests_per_s, false},
	{"p50_us", "p50 us", "%8.0f", p50_us, false},
	{"p99_us", "p99 us", "%8.0f", p99_us, false},
	{"cpu_ratio", "CPUs", "%8.4f", cpu_ratio, true},
	{"rss_mb", "RSS MB", "%8.1f", rss_mb, true},
	{"peak_rss_mb", "peak", "%8.1f", peak_mb, true},
	{"map_mb", "maps MB", "%8.1f", map_mb, true},
};

#define COLUMNS (sizeof(columns) / sizeof(*columns))

static void print_throughput(const struct report *r)
{
	printf("  %-11s %11s %24s %8s %8s %8s %8s %8s %8s\n", "", columns[0].head,
		"of nothing (lowest .. highest)", columns[1].head, columns[2].head, columns[3].head,
		columns[4].head, columns[5].head, columns[6].head);
	for (int k = 0; k < TRACERS; k++) {
		struct spread ratio;

		if (!r->there[k])
			continue;
		ratio = over_rounds(r, k, throughput_ratio);
		printf("  %-11s ", tracer_name((enum tracer_kind)k));
		for (size_t i = 0; i < COLUMNS; i++) {
			if (i == 1)
				printf("      %6.3f (%.3f .. %.3f)  ", ratio.median, ratio.low,
					ratio.high);
			if (k != TRACER_NONE || !columns[i].tracer_only) {
				printf(columns[i].format,
					over_rounds(r, k, columns[i].measure).median);
				putchar(' ');
			}
		}
		putchar('\n');
	}
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
	return json_pack("{s:f, s:f, s:f}", "median", s.median, "low", s.low, "high", s.high);
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

static json_t *tracer_json(const struct report *r, int k)
{
	const struct detail *d = &r->detail[k];
	json_t *o = json_object();

	json_object_set_new(
		o, "throughput_ratio", spread_json(over_rounds(r, k, throughput_ratio)));
	for (size_t i = 0; i < COLUMNS; i++)
		if (k != TRACER_NONE || !columns[i].tracer_only)
			json_object_set_new(o, columns[i].key,
				spread_json(over_rounds(r, k, columns[i].measure)));
	if (k == TRACER_NONE)
		return o;
	json_object_set_new(o, "requests_with_bpf_clock", json_integer((json_int_t)d->requests));
	json_object_set_new(o, "programs", programs_json(d));
	if (k != TRACER_SAGE)
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
