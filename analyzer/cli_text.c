#include "analyzer/cli_text.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include "common/log.h"

#define RANKED 5 /* candidates shown */
#define NAME_WIDTH 40

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), tail = strlen(end);

	return length >= tail && !strcmp(text + length - tail, end);
}

static void text_duration(char *out, size_t size, double us)
{
	double size_us = fabs(us);

	if (size_us >= 1e6)
		snprintf(out, size, "%.3g s", us / 1e6);
	else if (size_us >= 1e3)
		snprintf(out, size, "%.3g ms", us / 1e3);
	else
		snprintf(out, size, "%.3g us", us);
}

static void text_bytes(char *out, size_t size, double bytes, const char *per)
{
	static const char *const unit[] = {"B", "kB", "MB", "GB", "TB"};
	size_t i = 0;

	for (; fabs(bytes) >= 1000 && i + 1 < sizeof(unit) / sizeof(*unit); i++)
		bytes /= 1000;
	snprintf(out, size, "%.3g %s%s", bytes, unit[i], per);
}

void text_value(char *out, size_t size, const char *metric, double value)
{
	if (isnan(value))
		snprintf(out, size, "?");
	else if (ends_with(metric, "_us"))
		text_duration(out, size, value);
	else if (ends_with(metric, "_ratio"))
		snprintf(out, size, "%.3g %%", 100 * value);
	else if (ends_with(metric, "_bytes_per_s"))
		text_bytes(out, size, value, "/s");
	else if (ends_with(metric, "_bytes"))
		text_bytes(out, size, value, "");
	else if (ends_with(metric, "_per_s"))
		snprintf(out, size, "%.4g /s", value);
	else
		snprintf(out, size, "%.4g", value);
}

void text_time(char *out, size_t size, double time_s)
{
	time_t whole = (time_t)floor(time_s);
	struct tm tm;
	size_t length;

	localtime_r(&whole, &tm);
	length = strftime(out, size, "%H:%M:%S", &tm);
	if (time_s - floor(time_s) >= 0.05)
		snprintf(out + length, size - length, ".%d", (int)(10 * (time_s - floor(time_s))));
}

static const char *name_of(const struct graph *g, uint32_t entity)
{
	return g->entity[entity].name;
}

/* Names as wide as the longest shown, up to a limit that keeps a line a line. */
static int widest(const struct diagnosis *d, const struct graph *g)
{
	size_t width = 7;

	for (size_t i = 0; i < d->candidates && i < RANKED; i++) {
		size_t length = strlen(name_of(g, d->candidate[i].service));

		width = length > width ? length : width;
	}
	return (int)(width > NAME_WIDTH ? NAME_WIDTH : width);
}

static void print_head(FILE *out, const struct diagnosis *d, const struct graph *g)
{
	char target[32], from[32], to[32];
	double length_s = d->to_s - d->from_s;

	text_value(target, sizeof(target), d->slo_metric, d->counterfactual.target);
	text_time(from, sizeof(from), d->from_s);
	text_time(to, sizeof(to), d->to_s);
	fprintf(out, "%s  %s, target %s\n", name_of(g, d->slo_entity), d->slo_metric, target);
	fprintf(out, "%s to %s (%.4g s)\n\n", from, to, length_s);
}

static void print_culprits(FILE *out, const struct diagnosis *d, const struct graph *g)
{
	const char *label = "cause";

	for (size_t i = 0; i < d->candidates; i++) {
		const struct candidate *c = &d->candidate[i];

		if (!c->culprit)
			continue;
		fprintf(out, "  %-10s %s, %s  (%.0f %%)\n", label, name_of(g, c->service),
			resource_name(c->resource), 100 * c->probability);
		label = "and";
	}
}

static void print_spread(FILE *out, const char *label, const char *metric, const struct spread *s)
{
	char p50[32], p90[32], p99[32];

	text_value(p50, sizeof(p50), metric, s->p50);
	text_value(p90, sizeof(p90), metric, s->p90);
	text_value(p99, sizeof(p99), metric, s->p99);
	fprintf(out, "    %-28s %10s %10s %10s\n", label, p50, p90, p99);
}

/* Of the target's metric, over windows: as it was, and as it would have been. */
static void print_counterfactual(FILE *out, const struct diagnosis *d)
{
	const struct counterfactual *c = &d->counterfactual;
	char target[32];

	if (isnan(c->with.p50) || isnan(c->without.p50))
		return;
	text_value(target, sizeof(target), d->slo_metric, c->target);
	fprintf(out, "\n  %-30s %10s %10s %10s\n", "had it been normal there", "p50", "p90", "p99");
	print_spread(out, "observed", d->slo_metric, &c->with);
	print_spread(out, "would have been", d->slo_metric, &c->without);
	if (!isnan(c->probability))
		fprintf(out, "    %.0f %% sure to meet the target of %s\n", 100 * c->probability,
			target);
}

static void print_ranking(FILE *out, const struct diagnosis *d, const struct graph *g)
{
	int width = widest(d, g);

	if (d->candidates)
		fprintf(out, "\n  %-*s %s\n", width + 55, "ranking",
			isnan(d->candidate[0].restored) ? "" : "with it alone normal");
	for (size_t i = 0; i < d->candidates && i < RANKED; i++) {
		const struct candidate *c = &d->candidate[i];

		fprintf(out, "  %3zu  %-*.*s  %-8s  %3.0f %%  %-28s", i + 1, width, width,
			name_of(g, c->service), resource_name(c->resource), 100 * c->probability,
			c->metric);
		if (!isnan(c->restored)) {
			char restored[32];

			text_value(restored, sizeof(restored), d->slo_metric, c->restored);
			fprintf(out, "  %10s  %3.0f %%", restored, 100 * c->met);
		}
		fputc('\n', out);
	}
}

static void print_ruled_out(FILE *out, const struct diagnosis *d, const struct graph *g)
{
	bool any = false;

	for (size_t i = 0; i < d->ruled; i++) {
		const struct ruled_out *r = &d->ruled_out[i];

		if (diagnosis_blames(d, r->service))
			continue;
		if (!any)
			fprintf(out, "\n  %s\n",
				d->verdict == VERDICT_DIAGNOSED ? "ruled out" : "looked at");
		any = true;
		fprintf(out, "    %s: %s\n", name_of(g, r->service), r->why);
	}
}

static void print_evidence(FILE *out, const struct diagnosis *d, const struct graph *g)
{
	if (d->evidences)
		fprintf(out, "\n  evidence\n");
	for (size_t i = 0; i < d->evidences; i++) {
		const struct evidence *e = &d->evidence[i];
		char normal[32], observed[32], since[32] = "", name[256];

		text_value(normal, sizeof(normal), e->metric, e->normal);
		text_value(observed, sizeof(observed), e->metric, e->observed);
		snprintf(name, sizeof(name), "%s of %s", e->metric, name_of(g, e->entity));
		fprintf(out, "    %-48s %10s -> %-10s %+5.0f sigma", name, normal, observed,
			e->sigmas);
		if (!isnan(e->since_s)) {
			text_time(since, sizeof(since), e->since_s);
			fprintf(out, ", since %s", since);
		}
		fputc('\n', out);
	}
}

void text_diagnosis(FILE *out, const struct diagnosis *d, const struct graph *g)
{
	print_head(out, d, g);
	if (d->verdict == VERDICT_DIAGNOSED)
		print_culprits(out, d, g);
	else
		fprintf(out, "  %-10s %s\n", "verdict", verdict_name(d->verdict));
	fprintf(out, "  %-10s %s: %s\n", "known by", d->method, d->why);
	if (d->verdict == VERDICT_DIAGNOSED)
		print_counterfactual(out, d);
	print_ranking(out, d, g);
	print_evidence(out, d, g);
	print_ruled_out(out, d, g);
	fprintf(out, "\n  %.2f s", d->seconds);
	if (d->training_s > 0)
		fprintf(out, ", after %.2f s of training", d->training_s);
	fputc('\n', out);
}

int text_json(json_t *value, size_t shape)
{
	bool printed = value && !json_dumpf(value, stdout, shape | JSON_REAL_PRECISION(12)) &&
		       putchar('\n') != EOF && !fflush(stdout);

	if (!value)
		log_error("the answer cannot be made: out of memory");
	else if (!printed)
		log_error("the answer cannot be printed: %s", strerror(errno));
	json_decref(value);
	return printed ? 0 : 1;
}
