/* Polls: each is held until its agent's leases change, or its time has come. */
#include <stdlib.h>
#include <xxhash.h>

#include "analyzer/intake_state.h"
#include "common/clock.h"
#include "common/log.h"

/* How long an agent with these leases may go without an answer. */
static uint64_t hold_ns(const struct wire_leases *l)
{
	uint64_t ms = INTAKE_HOLD_MS;

	for (uint32_t k = 0; k < l->leases; k++) {
		if (l->lease[k].ttl_ms / 3 < ms)
			ms = l->lease[k].ttl_ms / 3;
	}
	return ms * 1000000;
}

/* The current leases of an agent as a message; *hold may be NULL. */
static int leases_of(
	struct intake *i, const struct wire_poll *p, void **message, size_t *size, uint64_t *hold)
{
	struct wire_leases leases = {0};
	int error = i->o.poll(i->o.ctx, p, &leases);

	if (!error)
		error = wire_encode_leases(&leases, message, size);
	if (error && !i->leasing_fails)
		log_error("intake: leases of %s: %s; agents are told nothing meanwhile",
			p->agent.name, strerror(-error));
	i->leasing_fails = error != 0;
	if (!error && hold)
		*hold = hold_ns(&leases);
	wire_leases_close(&leases);
	return error;
}

/* Decide under the lock: true when the poll now waits. *older gets a poll it replaces. */
static bool hold_poll(struct intake *i, struct poller *one, struct net_request *r, uint64_t hash,
	uint64_t hold, bool at_once, struct net_request **older)
{
	bool wait;

	pthread_mutex_lock(&i->lock);
	*older = pollers_release(&i->pollers, one);
	wait = !at_once && !one->woken && one->answered && one->hash == hash && hold &&
	       !net_request_park(r);
	if (wait)
		pollers_hold(&i->pollers, one, r, clock_monotonic_ns() + hold);
	one->hash = hash;
	/* woken meanwhile: what we answer may be old, so the next poll is not held */
	one->answered = !one->woken;
	pthread_mutex_unlock(&i->lock);
	return wait;
}

static void answer_poll(struct intake *i, struct net_request *r, const void *message, size_t size)
{
	intake_count(i, &i->stats.polls, 1);
	net_request_answer(r, message, size);
}

static struct poller *greet(struct intake *i, const struct wire_poll *p)
{
	struct poller *one;

	pthread_mutex_lock(&i->lock);
	one = pollers_get(&i->pollers, p);
	if (one)
		one->woken = false;
	pthread_mutex_unlock(&i->lock);
	return one;
}

void intake_take_poll(struct intake *i, struct net_request *r, const void *data, size_t size)
{
	struct net_request *older;
	struct poller *one;
	struct wire_poll p;
	void *message;
	size_t length;
	uint64_t hold;

	if (wire_decode_poll(data, size, &p)) {
		intake_refuse(i, r, 0, 0);
		return;
	}
	one = greet(i, &p);
	if (!one || leases_of(i, &p, &message, &length, &hold)) {
		intake_ack(
			r, 0, 0); /* not what it asked for: it keeps what it has and asks again */
		wire_poll_close(&p);
		return;
	}
	if (!hold_poll(i, one, r, XXH3_64bits(message, length), hold, p.reports > 0, &older))
		answer_poll(i, r, message, length);
	if (older)
		answer_poll(i, older, message, length);
	free(message);
	wire_poll_close(&p);
}

void intake_answer_held(struct intake *i, struct poller *one)
{
	struct wire_poll p = {.agent = one->agent, .mode = one->mode};
	struct net_request *r;
	void *message;
	size_t size;

	pthread_mutex_lock(&i->lock);
	r = pollers_release(&i->pollers, one);
	one->woken = false;
	pthread_mutex_unlock(&i->lock);
	if (leases_of(i, &p, &message, &size, NULL)) {
		intake_ack(r, 0, 0);
		return;
	}
	one->hash = XXH3_64bits(message, size);
	answer_poll(i, r, message, size);
	free(message);
}
