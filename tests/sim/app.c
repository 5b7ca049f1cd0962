#include "tests/sim/app.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TURNS 1000 /* of adding up rates: as many as calls are deep */

void app_init(struct app *a)
{
	*a = (struct app){
		.load = {.rate = 50, .period_s = 600, .connections = 1024},
		.way_us = 60,
		.link_mbit = 10000,
		.backoff_ms = 20,
		.pool = 64,
		.phases = 1,
	};
}

void app_clear(struct app *a)
{
	free(a->host);
	free(a->service);
	free(a->operation);
	free(a->call);
	free(a->edge);
	*a = (struct app){0};
}

/* Room for one more of `size` bytes, zeroed. Arrays grow at powers of two. */
static void *grow(void *array, uint32_t count, size_t size)
{
	char *more = array;

	if (!count || !(count & (count - 1))) {
		more = realloc(array, (count ? 2 * (size_t)count : 1) * size);
		if (!more)
			abort();
	}
	memset(more + count * size, 0, size);
	return more;
}

uint32_t app_host(struct app *a, double cores)
{
	struct app_host *h;

	a->host = grow(a->host, a->hosts, sizeof(*a->host));
	h = &a->host[a->hosts];
	*h = (struct app_host){.cores = cores, .read_us = 150, .disk_bytes_per_us = 545};
	snprintf(h->name, sizeof(h->name), "h%u", a->hosts + 1);
	return a->hosts++;
}

uint32_t app_service(struct app *a, uint32_t host, const char *name)
{
	struct app_service *s;

	a->service = grow(a->service, a->services, sizeof(*a->service));
	s = &a->service[a->services];
	*s = (struct app_service){
		.host = host,
		.workers = 64,
		.backlog = 1024,
		.memory_mb = 256,
		.used_mb = 60,
		.until = APP_ALWAYS,
	};
	if (name)
		snprintf(s->name, sizeof(s->name), "%s", name);
	else
		snprintf(s->name, sizeof(s->name), "s%u", a->services + 1);
	return a->services++;
}

uint32_t app_operation(struct app *a, uint32_t service, double cpu_us)
{
	a->operation = grow(a->operation, a->operations, sizeof(*a->operation));
	a->operation[a->operations] = (struct app_operation){
		.service = service,
		.cpu_us = cpu_us,
		.request_bytes = 200,
		.reply_bytes = 600,
	};
	return a->operations++;
}

uint32_t app_call(struct app *a, uint32_t caller, uint32_t callee, unsigned step)
{
	a->call = grow(a->call, a->calls, sizeof(*a->call));
	a->call[a->calls] = (struct app_call){
		.caller = caller,
		.callee = callee,
		.step = step,
		.chance = 1,
		.until = APP_ALWAYS,
	};
	return a->calls++;
}

/* Users' last; qsort is not stable, so a place breaks ties: the callee's number. */
static int by_caller(const void *x, const void *y)
{
	const struct app_call *a = x, *b = y;

	if (a->caller != b->caller)
		return a->caller < b->caller ? -1 : 1;
	if (a->step != b->step)
		return a->step < b->step ? -1 : 1;
	if (a->callee != b->callee)
		return a->callee < b->callee ? -1 : 1;
	return (a->from > b->from) - (a->from < b->from);
}

static uint32_t service_of(const struct app *a, uint32_t operation)
{
	return operation == APP_USER ? APP_USER : a->operation[operation].service;
}

struct pair {
	uint32_t caller, callee, call;
};

static int by_pair(const void *x, const void *y)
{
	const struct pair *a = x, *b = y;

	if (a->caller != b->caller)
		return a->caller < b->caller ? -1 : 1;
	if (a->callee != b->callee)
		return a->callee < b->callee ? -1 : 1;
	return (a->call > b->call) - (a->call < b->call);
}

static void find_edges(struct app *a)
{
	struct pair *pair = calloc(a->calls, sizeof(*pair));

	if (!pair)
		abort();
	for (uint32_t i = 0; i < a->calls; i++)
		pair[i] = (struct pair){
			service_of(a, a->call[i].caller), service_of(a, a->call[i].callee), i};
	qsort(pair, a->calls, sizeof(*pair), by_pair);
	for (uint32_t i = 0; i < a->calls; i++) {
		if (!i || pair[i].caller != pair[i - 1].caller ||
			pair[i].callee != pair[i - 1].callee) {
			bool user = pair[i].caller == APP_USER;

			a->edge = grow(a->edge, a->edges, sizeof(*a->edge));
			a->edge[a->edges++] = (struct app_edge){
				.caller = pair[i].caller,
				.callee = pair[i].callee,
				.pool = user ? (unsigned)a->load.connections : a->pool,
				.retries = user ? 0 : a->retries,
			};
		}
		a->call[pair[i].call].edge = a->edges - 1;
	}
	free(pair);
}

void app_finish(struct app *a)
{
	app_call(a, APP_USER, 0, 0);
	qsort(a->call, a->calls, sizeof(*a->call), by_caller);
	for (uint32_t i = a->calls; i-- > 0;) {
		struct app_operation *o;

		if (a->call[i].caller == APP_USER)
			continue;
		o = &a->operation[a->call[i].caller];
		o->first = i;
		o->calls++;
	}
	for (uint32_t i = 0; i < a->operations; i++)
		a->service[a->operation[i].service].reads_disk |= a->operation[i].reads > 0;
	find_edges(a);
}

/* Per request: the system calls of its messages and the stack below them. */
static double handling_us(enum service_kind kind)
{
	return kind == KIND_TIER ? 120 : 60;
}

/* What a real server takes for a request of the testbed's, by what its container was seen to use.
 */
static double own_us(const struct service *s)
{
	static const double store_us[KINDS] = {[KIND_NGINX] = 60,
		[KIND_REDIS] = 50,
		[KIND_MEMCACHED] = 50,
		[KIND_POSTGRESQL] = 150};

	return s->cpu_us + store_us[s->kind];
}

void app_from_topology(struct app *a, const struct topology *t, double cores)
{
	app_init(a);
	a->load = *t;
	app_host(a, cores);
	a->host[0].read_us = 240;
	for (size_t i = 0; i < t->services; i++) {
		const struct service *from = &t->service[i];
		uint32_t number = app_service(a, 0, from->name);
		struct app_service *s = &a->service[number];
		struct app_operation *o;

		s->quota = from->quota;
		s->memory_mb = from->memory_mb;
		s->work_mb = from->work_mb;
		s->used_mb = fmin(60, from->memory_mb / 2);
		app_operation(a, number, own_us(from) + handling_us(from->kind));
		o = &a->operation[i];
		o->reads = from->reads;
		o->pages = from->pages;
		o->reply_bytes = from->reply_bytes;
	}
	for (uint32_t i = 0; i < t->services; i++) {
		const struct service *from = &t->service[i];

		for (size_t k = 0; k < from->calls; k++) {
			uint32_t number = app_call(a, i, from->call[k].callee, from->call[k].step);
			struct app_call *c = &a->call[number];

			c->pick = from->call[k].pick;
			c->chance = from->call[k].chance;
		}
	}
	app_finish(a);
	a->way_us = 15;
}

/* Weights of the alternatives of a call's step. */
static double weight_of_step(const struct app *a, uint32_t i, uint32_t phase)
{
	const struct app_call *c = &a->call[i];
	const struct app_operation *o = &a->operation[c->caller];
	double weight = 0;

	for (uint32_t k = o->first; k < o->first + o->calls; k++) {
		const struct app_call *other = &a->call[k];

		if (other->step == c->step && other->from <= phase && phase < other->until)
			weight += other->pick;
	}
	return weight;
}

double app_share(const struct app *a, uint32_t call, uint32_t phase)
{
	const struct app_call *c = &a->call[call];

	if (phase < c->from || phase >= c->until)
		return 0;
	return c->pick > 0 ? c->pick / weight_of_step(a, call, phase) : c->chance;
}

void app_rates(const struct app *a, uint32_t phase, double *rate)
{
	double *next = calloc(a->operations, sizeof(*next));

	if (!next)
		abort();
	memset(rate, 0, a->operations * sizeof(*rate));
	rate[0] = a->load.rate;
	for (int turn = 0; turn < TURNS; turn++) {
		double moved = 0;

		memset(next, 0, a->operations * sizeof(*next));
		next[0] = a->load.rate;
		for (uint32_t i = 0; i < a->calls; i++) {
			const struct app_call *c = &a->call[i];

			if (c->caller != APP_USER)
				next[c->callee] += rate[c->caller] * app_share(a, i, phase);
		}
		for (uint32_t i = 0; i < a->operations; i++)
			moved += fabs(next[i] - rate[i]);
		memcpy(rate, next, a->operations * sizeof(*rate));
		if (moved < 1e-9)
			break;
	}
	free(next);
}

uint32_t app_find_service(const struct app *a, const char *name)
{
	for (uint32_t i = 0; i < a->services; i++)
		if (!strcmp(a->service[i].name, name))
			return i;
	return APP_USER;
}
