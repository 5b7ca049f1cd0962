#include "analyzer/translate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NEAR_RATIO 0.1 /* counts of the same calls at two ends differ by the window's edges */
#define NEAR_CALLS 3
#define FEWEST_CALLS 5 /* fewer agree by chance */

/* ---- by calls */

/* Calls between one service and one target, or one service and one callee. */
struct flow {
	const struct translate_end *end; /* the first of them */
	double calls;
};

struct flows {
	struct flow flow[TRANSLATE_MAX];
	size_t count;
};

static bool same_target(const struct translate_end *a, const struct translate_end *b)
{
	return a->service == b->service && a->port == b->port && a->protocol == b->protocol &&
	       !memcmp(a->peer_addr, b->peer_addr, 16);
}

static bool same_arrival(const struct translate_end *a, const struct translate_end *b)
{
	return a->service == b->service && a->peer == b->peer && a->protocol == b->protocol;
}

static void add(struct flows *f, const struct translate_end *e,
	bool same(const struct translate_end *, const struct translate_end *))
{
	for (size_t i = 0; i < f->count; i++) {
		if (!same(f->flow[i].end, e))
			continue;
		f->flow[i].calls += e->calls;
		return;
	}
	if (f->count < TRANSLATE_MAX)
		f->flow[f->count++] = (struct flow){.end = e, .calls = e->calls};
}

static bool sends_somewhere_unknown(const struct flows *targets, uint32_t service)
{
	for (size_t i = 0; i < targets->count; i++)
		if (targets->flow[i].end->service == service)
			return true;
	return false;
}

/* Does the caller itself see calls to this callee? Then these arrivals are explained. */
static bool explained(
	const struct translate_end *arrival, const struct translate_end *end, size_t ends)
{
	for (size_t i = 0; i < ends; i++)
		if (end[i].client && end[i].service == arrival->peer &&
			end[i].peer == arrival->service)
			return true;
	return false;
}

static bool fits(const struct flow *target, const struct flow *arrival)
{
	double more = fmax(target->calls, arrival->calls);

	return target->end->service == arrival->end->peer &&
	       target->end->protocol == arrival->end->protocol && more >= FEWEST_CALLS &&
	       fabs(target->calls - arrival->calls) <= NEAR_RATIO * more + NEAR_CALLS;
}

/* The one arrival that fits, NULL when none or several do. */
static const struct flow *only_arrival(const struct flow *target, const struct flows *arrivals)
{
	const struct flow *found = NULL;

	for (size_t i = 0; i < arrivals->count; i++) {
		if (!fits(target, &arrivals->flow[i]))
			continue;
		if (found)
			return NULL;
		found = &arrivals->flow[i];
	}
	return found;
}

static size_t targets_fitting(const struct flow *arrival, const struct flows *targets)
{
	size_t n = 0;

	for (size_t i = 0; i < targets->count; i++)
		n += fits(&targets->flow[i], arrival);
	return n;
}

static size_t learn_by_calls(
	struct resolve *r, const struct flows *targets, const struct flows *arrivals, double now_s)
{
	size_t learnt = 0;

	for (size_t i = 0; i < targets->count; i++) {
		const struct flow *target = &targets->flow[i];
		const struct flow *arrival = only_arrival(target, arrivals);

		if (!arrival || targets_fitting(arrival, targets) != 1)
			continue;
		resolve_learn(r, target->end->agent, target->end->peer_addr, target->end->port,
			arrival->end->service, now_s);
		learnt++;
	}
	return learnt;
}

/* ---- by connection */

/* In place of a service: the connection is known to go elsewhere than to a virtual address. */
#define TAKEN (RESOLVE_AMBIGUOUS - 1)

static void add_connections(struct resolve *seen, const struct translate_end *e)
{
	const uint8_t *client = e->client ? e->local_addr : e->peer_addr;

	for (unsigned i = 0; i < e->ports; i++)
		resolve_learn(seen, e->agent, client, e->client_port[i],
			e->client ? TAKEN : e->service, 0);
}

/* The service whose server saw one of these connections. */
static uint32_t service_reached(const struct resolve *seen, const struct translate_end *e)
{
	for (unsigned i = 0; i < e->ports; i++) {
		uint32_t service = resolve_find(seen, e->agent, e->local_addr, e->client_port[i]);

		if (service < TAKEN)
			return service;
	}
	return RESOLVE_UNKNOWN;
}

static size_t learn_by_connection(
	struct resolve *r, struct translate_end *end, size_t ends, double now_s)
{
	struct resolve seen;
	size_t learnt = 0;

	resolve_init(&seen);
	for (size_t i = 0; i < ends; i++)
		if (!end[i].client || end[i].peer != RESOLVE_UNKNOWN)
			add_connections(&seen, &end[i]);
	for (size_t i = 0; i < ends; i++) {
		uint32_t service = RESOLVE_UNKNOWN;

		if (end[i].client && end[i].peer == RESOLVE_UNKNOWN)
			service = service_reached(&seen, &end[i]);
		if (service == RESOLVE_UNKNOWN)
			continue;
		resolve_learn(r, end[i].agent, end[i].peer_addr, end[i].port, service, now_s);
		end[i].peer = service;
		learnt++;
	}
	resolve_clear(&seen);
	return learnt;
}

/* ---- both */

size_t translate_learn(struct resolve *r, struct translate_end *end, size_t ends, double now_s)
{
	struct flows *targets = calloc(2, sizeof(*targets)), *arrivals;
	size_t learnt = learn_by_connection(r, end, ends, now_s);

	if (!targets)
		return learnt;
	arrivals = targets + 1;
	for (size_t i = 0; i < ends; i++)
		if (end[i].client && end[i].peer == RESOLVE_UNKNOWN)
			add(targets, &end[i], same_target);
	for (size_t i = 0; targets->count && i < ends; i++)
		if (!end[i].client && sends_somewhere_unknown(targets, end[i].peer) &&
			!explained(&end[i], end, ends))
			add(arrivals, &end[i], same_arrival);
	learnt += learn_by_calls(r, targets, arrivals, now_s);
	free(targets);
	return learnt;
}
