#include "tests/sim/scenario.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TARGET_ROOM 1.3
#define ERROR_TARGET 0.02
#define LEVELS 4   /* of hardness; */
#define PATIENCE 2 /* windows for each */
#define CALM 3     /* windows within target in a row before the next fault */
#define CALM_WAIT 60
#define SHED 0.1 /* of the load, for an application that does not come back by itself */

struct run {
	const struct scenario *c;
	const struct app *a;
	struct sim *s;
	struct recorder recorder;
	struct usage usage;
	struct scenario_result result;
	FILE *truth, *faults;
	uint32_t users_edge;
	unsigned calm; /* windows */
};

static const struct hist *users_calls(const struct run *r)
{
	return &r->s->edge[r->users_edge].client;
}

enum kept { KEPT, KEPT_AS_INCIDENT, LEFT_OUT };

/* One window. Returns whether a target was missed in it. */
static bool pass(struct run *r, enum kept how)
{
	struct sim *s = r->s;
	uint64_t failed = s->failed, left = s->answered + s->failed;
	bool missed;
	double p99_us, errors;

	recorder_clear_window(s);
	sim_run(s, s->now_ns + (uint64_t)(r->c->window_s * 1e9));
	if (how == LEFT_OUT)
		recorder_skip(&r->recorder);
	else
		recorder_window(&r->recorder, how == KEPT_AS_INCIDENT);
	p99_us = (double)hist_quantile_ns(users_calls(r), 0.99) / 1e3;
	left = s->answered + s->failed - left;
	errors = left ? (double)(s->failed - failed) / (double)left : 0;
	if (r->result.windows++ < r->c->learn && r->result.windows > 2)
		r->result.target_us = fmax(r->result.target_us, TARGET_ROOM * p99_us);
	missed = p99_us > r->result.target_us || errors > ERROR_TARGET;
	r->calm = missed ? 0 : r->calm + 1;
	return missed;
}

static void write_row(
	struct run *r, unsigned from, unsigned to, const char *entity, const struct fault *f)
{
	fprintf(r->truth, "%.10g,%.10g,%s,%s\n", recorder_time(&r->recorder, from),
		recorder_time(&r->recorder, to), entity, fault_resource[f->kind]);
}

static void write_truth(struct run *r, const struct incident_plan *p, unsigned from, unsigned to)
{
	for (unsigned k = 0; k < p->faults; k++) {
		uint32_t host = fault_host(r->a, &p->fault[k]);
		char name[80];

		if (host == APP_NO_HOST)
			continue;
		snprintf(name, sizeof(name), "host:%s", r->a->host[host].name);
		write_row(r, from, to, name, &p->fault[k]);
	}
	for (uint32_t i = 0; i < r->a->services; i++) {
		for (unsigned k = 0; k < p->faults; k++) {
			if (!fault_names(r->a, &p->fault[k], i))
				continue;
			write_row(r, from, to, r->a->service[i].name, &p->fault[k]);
			break;
		}
	}
}

/* What was done, felt or not: for people, no part of the import format. */
static void note_faults(struct run *r, const struct incident_plan *p, unsigned from, bool felt)
{
	for (unsigned k = 0; k < p->faults; k++)
		fprintf(r->faults, "%.10g,%.10g,%s,%s,%u,%s\n", recorder_time(&r->recorder, from),
			recorder_time(&r->recorder, r->result.windows),
			r->a->service[p->fault[k].service].name, fault_name[p->fault[k].kind],
			p->fault[k].level, felt ? "yes" : "no");
}

static void apply(struct run *r, const struct incident_plan *p)
{
	for (unsigned k = 0; k < p->faults; k++)
		fault_apply(r->s, &r->usage, &p->fault[k]);
}

static void undo(struct run *r, const struct incident_plan *p)
{
	for (unsigned k = 0; k < p->faults; k++)
		fault_undo(r->s, &p->fault[k]);
}

static void wait_for_calm(struct run *r, unsigned least, enum kept how)
{
	for (unsigned w = 0; w < least || (r->calm < CALM && w < CALM_WAIT); w++)
		pass(r, how);
}

/*
 * Calls made again at every level can keep an application down after its fault is gone, for ever.
 * Then what an operator would do is done: few users and no calls again until it has caught up, off
 * the record.
 */
static void rest(struct run *r, enum kept how)
{
	wait_for_calm(r, r->c->gap, how);
	if (r->calm >= CALM)
		return;
	sim_set_surge(r->s, SHED);
	sim_set_retries(r->s, false);
	wait_for_calm(r, 0, LEFT_OUT);
	sim_set_surge(r->s, 1);
	sim_set_retries(r->s, true);
	wait_for_calm(r, CALM, LEFT_OUT);
}

/* Harder and harder until a target is missed. Returns whether one was. */
static bool make_felt(struct run *r, struct incident_plan *p, enum kept how)
{
	for (unsigned level = 0; level < LEVELS; level++) {
		for (unsigned k = 0; k < p->faults; k++)
			p->fault[k].level += level > 0;
		apply(r, p);
		for (unsigned w = 0; w < PATIENCE; w++)
			if (pass(r, how))
				return true;
	}
	return false;
}

/* Of several culprits each is to be felt by itself: tried alone, off the record. */
static bool try_each(struct run *r, struct incident_plan *p)
{
	for (unsigned k = 0; k < p->faults; k++) {
		struct incident_plan alone = {.fault = {p->fault[k]}, .faults = 1};
		bool felt = make_felt(r, &alone, LEFT_OUT);

		undo(r, &alone);
		rest(r, LEFT_OUT);
		if (!felt)
			return false;
		p->fault[k].level = alone.fault[0].level;
	}
	return true;
}

static void run_incident(struct run *r, const struct incident_plan *plan)
{
	struct incident_plan p = *plan;
	/* Where the last fault is not over yet, nobody could tell whose fault the next one is. */
	bool felt = r->calm >= CALM && (p.faults < 2 || try_each(r, &p));
	unsigned from;

	felt = felt && make_felt(r, &p, KEPT_AS_INCIDENT);
	from = r->result.windows - 1;
	for (unsigned w = 1; felt && w < r->c->last; w++)
		pass(r, KEPT_AS_INCIDENT);
	undo(r, &p);
	note_faults(r, &p, from, felt);
	if (felt) {
		write_truth(r, &p, from, r->result.windows);
		r->result.incidents++;
	} else {
		r->result.unfelt++;
	}
	rest(r, KEPT);
}

static void run_all(struct run *r)
{
	while (r->result.windows < r->c->learn) {
		if (r->c->phase_at && r->result.windows == r->c->phase_at)
			r->s->phase = 1;
		pass(r, KEPT);
	}
	for (unsigned i = 0; i < r->c->incidents; i++)
		run_incident(r, &r->c->incident[i]);
}

static FILE *create(const struct scenario *c, const char *name, const char *header)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%.4000s/%s", c->directory, name);
	f = fopen(path, "we");
	if (f)
		fputs(header, f);
	return f;
}

static int write_targets(const struct run *r)
{
	FILE *f = create(r->c, "slo.csv", "entity,metric,target\n");
	const char *front = r->a->service[r->a->operation[0].service].name;

	if (!f)
		return -errno;
	fprintf(f, "user->%s,client_p99_us,%.0f\n", front, r->result.target_us);
	fprintf(f, "user->%s,error_ratio,%g\n", front, ERROR_TARGET);
	return fclose(f) ? -errno : 0;
}

static int record(struct run *r)
{
	int err = recorder_open(
		&r->recorder, r->s, r->c->directory, r->c->window_s, &r->c->omission, r->c->seed);
	int closed;

	if (err)
		return err;
	r->truth = create(r->c, "truth.csv", "from,to,entity,resource\n");
	r->faults = create(r->c, "faults.csv", "from,to,service,fault,level,felt\n");
	if (!r->truth || !r->faults)
		err = -errno;
	else
		run_all(r);
	if (r->truth && fclose(r->truth))
		err = -errno;
	if (r->faults && fclose(r->faults))
		err = -errno;
	if (!err)
		err = write_targets(r);
	closed = recorder_close(&r->recorder);
	return err ? err : closed;
}

int scenario_run(const struct scenario *c, const struct app *a, struct scenario_result *out)
{
	struct run r = {.c = c, .a = a};
	int err;

	r.s = sim_new(a, c->seed);
	usage_open(&r.usage, a, a->phases - 1);
	while (a->edge[r.users_edge].caller != APP_USER)
		r.users_edge++;
	err = record(&r);
	r.result.error_target = ERROR_TARGET;
	r.result.requests = r.s->arrived;
	r.result.steps = r.s->steps;
	usage_close(&r.usage);
	sim_free(r.s);
	if (err == -ENOENT)
		fprintf(stderr, "sage-sim: what the recording is to lack is not in it\n");
	else if (err)
		fprintf(stderr, "sage-sim: %s: %s\n", c->directory, strerror(-err));
	else
		*out = r.result;
	return err;
}
