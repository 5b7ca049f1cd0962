/* The analyzer about itself and its targets, as Prometheus text (version 0.0.4). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/api.h"
#include "common/clock.h"

/* A label's value with \, " and line ends escaped. */
static void put_label(FILE *f, const char *value)
{
	for (; *value; value++) {
		if (*value == '\\' || *value == '"')
			fputc('\\', f);
		if (*value == '\n')
			fputs("\\n", f);
		else
			fputc(*value, f);
	}
}

static void head(FILE *f, const char *name, const char *type, const char *help)
{
	fprintf(f, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void one(FILE *f, const char *name, const char *type, const char *help, double value)
{
	head(f, name, type, help);
	fprintf(f, "%s %.17g\n", name, value);
}

static void put_agents(FILE *f, const struct core *c)
{
	const struct fleet *fleet = &c->live.fleet;

	head(f, "sage_agent_windows_total", "counter", "One-second windows received.");
	for (uint32_t i = 0; i < fleet->agents; i++) {
		fputs("sage_agent_windows_total{agent=\"", f);
		put_label(f, fleet->agent[i].name);
		fprintf(f, "\"} %llu\n", (unsigned long long)fleet->agent[i].windows);
	}
	head(f, "sage_agent_lost_total", "counter", "Samples lost at the agent, by cause.");
	for (uint32_t i = 0; i < fleet->agents; i++)
		for (unsigned l = 0; l < WIRE_LOSSES; l++) {
			fputs("sage_agent_lost_total{agent=\"", f);
			put_label(f, fleet->agent[i].name);
			fprintf(f, "\",cause=\"%s\"} %llu\n", wire_loss_name(l),
				(unsigned long long)fleet->agent[i].loss[l]);
		}
}

static void put_intake(FILE *f, const struct core *c)
{
	struct api_count count[API_INTAKE_COUNTS];

	api_intake_counts(c, count);
	for (size_t i = 0; i < API_INTAKE_COUNTS; i++) {
		char name[64];

		snprintf(name, sizeof(name), "sage_intake_%s_total", count[i].name);
		one(f, name, "counter", count[i].help, (double)count[i].value);
	}
}

static void put_slo(FILE *f, const struct core *c, const char *name, const struct slo *s, double v)
{
	fprintf(f, "%s{entity=\"", name);
	put_label(f, c->live.recording.graph.entity[s->entity].name);
	fprintf(f, "\",metric=\"%s\"} ", s->metric);
	fprintf(f, isnan(v) ? "NaN\n" : "%.9g\n", v);
}

static void put_slos(FILE *f, const struct core *c)
{
	const struct recording *r = &c->live.recording;

	head(f, "sage_slo_target", "gauge", "The target, in the metric's unit.");
	for (size_t i = 0; i < r->slos; i++)
		put_slo(f, c, "sage_slo_target", &r->slo[i], r->slo[i].target);
	head(f, "sage_slo_current", "gauge", "The metric in the newest window.");
	for (size_t i = 0; i < r->slos; i++)
		put_slo(f, c, "sage_slo_current", &r->slo[i],
			api_newest(c, r->slo[i].entity, r->slo[i].metric));
	head(f, "sage_slo_violated", "gauge", "1 while an incident is open.");
	for (size_t i = 0; i < r->slos; i++)
		put_slo(f, c, "sage_slo_violated", &r->slo[i], c->watch[i].open);
}

static void put_actions(FILE *f, const struct core *c)
{
	const struct action *action;
	size_t n = act_actions(c->act, &action), count[ACTION_STATES] = {0};

	for (size_t i = 0; i < n; i++)
		count[action[i].state]++;
	head(f, "sage_actions", "gauge", "Actions kept, by state.");
	for (enum action_state s = 0; s < ACTION_STATES; s++)
		fprintf(f, "sage_actions{state=\"%s\"} %zu\n", action_state_name(s), count[s]);
}

static void put_counts(FILE *f, const struct core *c)
{
	one(f, "sage_uptime_seconds", "gauge", "Time since the analyzer started.",
		clock_monotonic_s() - c->started_s);
	one(f, "sage_windows", "gauge", "Model windows in memory.",
		(double)c->live.recording.series.windows);
	one(f, "sage_windows_late_total", "counter",
		"Agents' windows that came after their model window closed.", (double)c->live.late);
	one(f, "sage_windows_future_total", "counter", "Agents' windows from after now.",
		(double)c->live.future);
	one(f, "sage_batches_malformed_total", "counter", "Stored batches that could not be read.",
		(double)c->malformed);
	one(f, "sage_windows_out_of_memory_total", "counter",
		"Agents' windows that could not be summed up.", (double)c->unsummed);
	one(f, "sage_rows_not_stored_total", "counter",
		"Model windows that left memory before the store took them.", (double)c->forgotten);
	one(f, "sage_incidents", "gauge", "Incidents remembered.", (double)c->incidents);
	one(f, "sage_diagnoses_total", "counter", "Diagnoses made, refreshed ones included.",
		(double)c->diagnoses);
	one(f, "sage_model_version", "gauge", "0 while there is none.",
		c->model.model ? (double)c->model.version : 0);
	one(f, "sage_store_bytes", "gauge", "Size of what is stored.",
		(double)store_bytes(c->store));
}

void api_metrics(
	struct core *c, const struct http_request *q, const char *rest, struct http_reply *r)
{
	size_t size;
	FILE *f = open_memstream(&r->text, &size);

	(void)q;
	(void)rest;
	if (!f) {
		http_fail(r, 500, "out of memory");
		return;
	}
	put_counts(f, c);
	put_intake(f, c);
	put_agents(f, c);
	put_slos(f, c);
	put_actions(f, c);
	fclose(f);
	r->type = "text/plain; version=0.0.4; charset=utf-8";
}
