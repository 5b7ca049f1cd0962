#include "analyzer/highwater.h"

#include <stdlib.h>
#include <uthash.h>

struct highwater_entry {
	struct wire_agent agent; /* the key: decoders pad the name with zeros */
	uint64_t sequence;
	UT_hash_handle hh;
};

void highwater_init(
	struct highwater *h, uint64_t (*durable)(void *, const struct wire_agent *), void *ctx)
{
	*h = (struct highwater){.durable = durable, .ctx = ctx};
}

static void forget_oldest(struct highwater *h)
{
	struct highwater_entry *oldest = h->all;

	HASH_DEL(h->all, oldest);
	free(oldest);
}

uint64_t *highwater_of(struct highwater *h, const struct wire_agent *a)
{
	struct highwater_entry *entry;

	HASH_FIND(hh, h->all, a, sizeof(*a), entry);
	if (entry)
		return &entry->sequence;
	if (HASH_COUNT(h->all) >= HIGHWATER_MAX)
		forget_oldest(h);
	entry = calloc(1, sizeof(*entry));
	if (!entry)
		return NULL;
	entry->agent = *a;
	entry->sequence = h->durable ? h->durable(h->ctx, a) : 0;
	HASH_ADD(hh, h->all, agent, sizeof(entry->agent), entry);
	return &entry->sequence;
}

void highwater_clear(struct highwater *h)
{
	while (h->all)
		forget_oldest(h);
}
