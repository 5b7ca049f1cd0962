#include "tests/sim/fault.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LEAST_VISITS 0.03 /* of users' requests: p99 is to see it */
#define QUOTA_ROOM 1.35   /* quota left, as a multiple of what is used */
#define QUOTA_LEAST 0.01
#define QUOTA_STEP 0.75 /* each harder level by the one before */
#define RATE_ROOM 1.3
#define RATE_STEP 0.85
#define LOSS 0.04
#define LOCK_BUSY 0.55
#define LOCK_MS 30.0
#define SURGE 1.8
#define SURGE_STEP 1.3
#define READERS 8u
#define BATCH_WEIGHT 8u /* containers of batch work */
#define POOL_USE 0.3    /* connections in use that make a pool of one felt */
#define POOL_ROOM 1.2
#define AWAY_MS 30.0
#define TURNS 1000 /* of adding up times: as many as calls are deep */

const char *const fault_name[FAULT_KINDS] = {"antagonist", "host-cpu", "quota", "memory", "disk",
	"bandwidth", "loss", "code", "pause", "pool", "errors", "surge", "steal"};

const char *const fault_resource[FAULT_KINDS] = {"cpu", "cpu", "cpu", "memory", "disk", "network",
	"network", "code", "code", "code", "code", "workload", "cpu"};

static void *allocate(size_t count)
{
	void *p = calloc(count, sizeof(double));

	if (!p)
		abort();
	return p;
}

/* How long requests take where nothing is in their way, us: own work and that of their calls. */
static void add_up_times(const struct app *a, uint32_t phase, double *us)
{
	double *next = allocate(a->operations);

	for (int turn = 0; turn < TURNS; turn++) {
		double moved = 0;

		for (uint32_t i = 0; i < a->operations; i++)
			next[i] = a->operation[i].cpu_us + 2 * a->way_us;
		for (uint32_t i = 0; i < a->calls; i++)
			if (a->call[i].caller != APP_USER)
				next[a->call[i].caller] +=
					app_share(a, i, phase) * us[a->call[i].callee];
		for (uint32_t i = 0; i < a->operations; i++) {
			moved += fabs(next[i] - us[i]);
			us[i] = next[i];
		}
		if (moved < 1e-6)
			break;
	}
	free(next);
}

static void count_connections(
	struct usage *u, const struct app *a, uint32_t phase, const double *rate)
{
	double *us = allocate(a->operations);

	add_up_times(a, phase, us);
	for (uint32_t i = 0; i < a->calls; i++) {
		const struct app_call *c = &a->call[i];

		if (c->caller != APP_USER)
			u->connections[c->edge] +=
				rate[c->caller] * app_share(a, i, phase) * us[c->callee] / 1e6;
	}
	free(us);
}

void usage_open(struct usage *u, const struct app *a, uint32_t phase)
{
	double *rate = allocate(a->operations);
	size_t n = a->services;

	*u = (struct usage){.requests = allocate(n),
		.visits = allocate(n),
		.cores = allocate(n),
		.sent_mbit = allocate(n),
		.received_mbit = allocate(n),
		.connections = allocate(a->edges)};
	app_rates(a, phase, rate);
	for (uint32_t i = 0; i < a->calls; i++) {
		const struct app_call *c = &a->call[i];
		const struct app_operation *to = &a->operation[c->callee];
		double made = rate[c->callee]; /* the user's call is the only one of its callee */

		if (c->caller != APP_USER) {
			uint32_t from = a->operation[c->caller].service;

			made = rate[c->caller] * app_share(a, i, phase);
			u->sent_mbit[from] += made * to->request_bytes * 8e-6;
			u->received_mbit[from] += made * to->reply_bytes * 8e-6;
		}
		u->received_mbit[to->service] += made * to->request_bytes * 8e-6;
		u->sent_mbit[to->service] += made * to->reply_bytes * 8e-6;
	}
	for (uint32_t i = 0; i < a->operations; i++) {
		const struct app_operation *o = &a->operation[i];

		u->requests[o->service] += rate[i];
		u->cores[o->service] += rate[i] * o->cpu_us / 1e6;
	}
	for (uint32_t i = 0; i < a->services; i++)
		u->visits[i] = fmin(1, u->requests[i] / a->load.rate);
	count_connections(u, a, phase, rate);
	free(rate);
}

void usage_close(struct usage *u)
{
	free(u->requests);
	free(u->visits);
	free(u->cores);
	free(u->sent_mbit);
	free(u->received_mbit);
	free(u->connections);
	*u = (struct usage){0};
}

static bool needs_connections(const struct app *a, const struct usage *u, uint32_t service)
{
	for (uint32_t i = 0; i < a->edges; i++)
		if (a->edge[i].caller == service && u->connections[i] >= POOL_USE)
			return true;
	return false;
}

/* A batch container on the service's host, or the service itself where there is none. */
static uint32_t batch_of(const struct app *a, uint32_t service)
{
	for (uint32_t i = a->services; i-- > 0;)
		if (a->service[i].host == a->service[service].host &&
			!strncmp(a->service[i].name, "batch-", 6))
			return i;
	return APP_USER;
}

bool fault_fits(const struct app *a, const struct usage *u, enum fault_kind kind, uint32_t service)
{
	const struct app_service *s = &a->service[service];

	if (u->visits[service] < LEAST_VISITS)
		return false;
	switch (kind) {
	case FAULT_HOST_CPU:
		return batch_of(a, service) != APP_USER;
	case FAULT_MEMORY:
		return s->work_mb > 0;
	case FAULT_DISK:
		return s->reads_disk;
	case FAULT_POOL:
		return needs_connections(a, u, service);
	case FAULT_ERRORS:
		return service != a->operation[0].service && a->retries > 0;
	case FAULT_SURGE:
		return service == a->operation[0].service;
	default:
		return true;
	}
}

bool fault_names(const struct app *a, const struct fault *f, uint32_t service)
{
	const struct app_service *s = &a->service[service];

	if (f->kind == FAULT_STEAL)
		return false;
	if (service == f->service)
		return true;
	if (s->host != a->service[f->service].host)
		return false;
	return f->kind == FAULT_HOST_CPU || (f->kind == FAULT_DISK && s->reads_disk);
}

uint32_t fault_host(const struct app *a, const struct fault *f)
{
	return f->kind == FAULT_STEAL ? a->service[f->service].host : APP_NO_HOST;
}

static void set_slow_path(struct sim *s, uint32_t service, double requests, unsigned level)
{
	double busy = fmin(0.95, LOCK_BUSY + 0.15 * level);

	s->service[service].slow_ms = LOCK_MS;
	s->service[service].slow_share = fmin(1, busy / (requests * LOCK_MS / 1e3));
}

static void set_pools(struct sim *s, uint32_t service, const struct usage *u, unsigned level)
{
	for (uint32_t i = 0; i < s->app->edges; i++) {
		unsigned left;

		if (s->app->edge[i].caller != service)
			continue;
		left = u ? (unsigned)ceil(POOL_ROOM * u->connections[i]) : s->app->edge[i].pool;
		sim_set_pool(s, i, left > level + 1 ? left - level : 1);
	}
}

static double to_power(double x, unsigned n)
{
	return pow(x, (double)n);
}

void fault_apply(struct sim *s, const struct usage *u, const struct fault *f)
{
	const struct app *a = s->app;
	uint32_t i = f->service;
	struct service_state *t = &s->service[i];
	const struct app_service *from = &a->service[i];

	switch (f->kind) {
	case FAULT_ANTAGONIST:
		sim_set_neighbours(s, i, 2u << f->level, 1);
		break;
	case FAULT_HOST_CPU:
		sim_set_neighbours(s, batch_of(a, i), 64, BATCH_WEIGHT << f->level);
		break;
	case FAULT_QUOTA:
		sim_set_quota(s, i,
			fmax(QUOTA_LEAST,
				u->cores[i] * QUOTA_ROOM * to_power(QUOTA_STEP, f->level)));
		break;
	case FAULT_MEMORY:
		t->memory_mb = from->used_mb + from->work_mb * (0.4 - 0.15 * fmin(2, f->level));
		break;
	case FAULT_DISK:
		sim_set_readers(s, from->host, READERS << f->level);
		break;
	case FAULT_BANDWIDTH:
		sim_set_link(s, i,
			fmax(u->sent_mbit[i], u->received_mbit[i]) * RATE_ROOM *
				to_power(RATE_STEP, f->level),
			0);
		break;
	case FAULT_LOSS:
		sim_set_link(s, i, a->link_mbit, fmin(0.5, LOSS * to_power(2, f->level)));
		break;
	case FAULT_CODE:
		set_slow_path(s, i, u->requests[i], f->level);
		break;
	case FAULT_PAUSE:
		sim_set_pauses(s, i, 1, 100 * to_power(2, f->level));
		break;
	case FAULT_POOL:
		set_pools(s, i, u, f->level);
		break;
	case FAULT_ERRORS:
		t->error_share = fmin(0.9, 0.2 * to_power(2, f->level));
		break;
	case FAULT_SURGE:
		sim_set_surge(s, SURGE * to_power(SURGE_STEP, f->level));
		break;
	case FAULT_STEAL:
		sim_set_steal(s, from->host, AWAY_MS * to_power(2, f->level));
		break;
	default:
		break;
	}
}

void fault_undo(struct sim *s, const struct fault *f)
{
	const struct app *a = s->app;
	uint32_t i = f->service;
	const struct app_service *from = &a->service[i];

	switch (f->kind) {
	case FAULT_ANTAGONIST:
		sim_set_neighbours(s, i, 0, 1);
		break;
	case FAULT_HOST_CPU:
		sim_set_neighbours(s, batch_of(a, i), 0, 1);
		break;
	case FAULT_QUOTA:
		sim_set_quota(s, i, from->quota);
		break;
	case FAULT_MEMORY:
		s->service[i].memory_mb = from->memory_mb;
		break;
	case FAULT_DISK:
		sim_set_readers(s, from->host, 0);
		break;
	case FAULT_BANDWIDTH:
	case FAULT_LOSS:
		sim_set_link(s, i, a->link_mbit, 0);
		break;
	case FAULT_CODE:
		s->service[i].slow_share = 0;
		break;
	case FAULT_PAUSE:
		sim_set_pauses(s, i, from->pause_every_s, from->pause_ms);
		break;
	case FAULT_POOL:
		set_pools(s, i, NULL, 0);
		break;
	case FAULT_ERRORS:
		s->service[i].error_share = 0;
		break;
	case FAULT_SURGE:
		sim_set_surge(s, 1);
		break;
	case FAULT_STEAL:
		sim_set_steal(s, from->host, 0);
		break;
	default:
		break;
	}
}
