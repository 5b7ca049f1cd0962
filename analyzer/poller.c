#include "analyzer/poller.h"

#include <stdlib.h>
#include <string.h>

void pollers_init(struct pollers *p)
{
	*p = (struct pollers){.next_due_ns = UINT64_MAX};
}

/* Make room: oldest first, never one that waits for an answer. */
static void forget_one(struct pollers *p)
{
	struct poller *one, *next;

	HASH_ITER(hh, p->all, one, next)
	{
		if (one->waiting)
			continue;
		HASH_DEL(p->all, one);
		free(one);
		return;
	}
}

struct poller *pollers_get(struct pollers *p, const struct wire_poll *from)
{
	struct poller *one;

	HASH_FIND_STR(p->all, from->agent.name, one);
	if (!one) {
		if (HASH_COUNT(p->all) >= POLLERS_MAX)
			forget_one(p);
		one = calloc(1, sizeof(*one));
		if (!one)
			return NULL;
		one->agent = from->agent;
		HASH_ADD_STR(p->all, agent.name, one);
	}
	if (memcmp(one->agent.boot_id, from->agent.boot_id, sizeof(one->agent.boot_id)) != 0) {
		memcpy(one->agent.boot_id, from->agent.boot_id, sizeof(one->agent.boot_id));
		one->answered = false; /* a new boot knows nothing */
	}
	one->mode = from->mode;
	return one;
}

static void wake_all(struct pollers *p)
{
	struct poller *one, *next;

	HASH_ITER(hh, p->all, one, next)
	{
		one->woken = true;
	}
}

void pollers_wake(struct pollers *p, const char *name)
{
	struct poller *one;

	p->next_due_ns = 0;
	if (!name) {
		wake_all(p);
		return;
	}
	HASH_FIND_STR(p->all, name, one);
	if (one)
		one->woken = true;
}

void pollers_hold(struct pollers *p, struct poller *one, struct net_request *r, uint64_t due_ns)
{
	one->waiting = r;
	one->due_ns = due_ns;
	p->waiting++;
	if (due_ns < p->next_due_ns)
		p->next_due_ns = due_ns;
}

struct net_request *pollers_release(struct pollers *p, struct poller *one)
{
	struct net_request *r = one->waiting;

	p->waiting -= r != NULL;
	one->waiting = NULL;
	return r;
}

struct poller *pollers_due(struct pollers *p, uint64_t now_ns)
{
	struct poller *one, *next;
	uint64_t next_due_ns = UINT64_MAX;

	if (now_ns < p->next_due_ns)
		return NULL;
	HASH_ITER(hh, p->all, one, next)
	{
		if (!one->waiting)
			continue;
		if (one->woken || one->due_ns <= now_ns)
			return one;
		if (one->due_ns < next_due_ns)
			next_due_ns = one->due_ns;
	}
	p->next_due_ns = next_due_ns;
	return NULL;
}

void pollers_clear(struct pollers *p)
{
	struct poller *one, *next;

	HASH_ITER(hh, p->all, one, next)
	{
		HASH_DEL(p->all, one);
		free(one);
	}
	pollers_init(p);
}
