#include "analyzer/index.h"

#include <errno.h>
#include <stdlib.h>

struct slot {
	uint64_t hash;
	uint32_t number; /* INDEX_NONE marks a free slot */
};

struct index {
	struct slot *slot; /* [slots], linear probing */
	size_t slots;      /* a power of two, at most half of them used */
	size_t used;
};

uint32_t index_find(
	const struct index *x, uint64_t hash, index_match match, const void *owner, const void *key)
{
	if (!x)
		return INDEX_NONE;
	for (size_t i = hash & (x->slots - 1);; i = (i + 1) & (x->slots - 1)) {
		const struct slot *s = &x->slot[i];

		if (s->number == INDEX_NONE)
			return INDEX_NONE;
		if (s->hash == hash && match(owner, s->number, key))
			return s->number;
	}
}

static void place(struct slot *slot, size_t slots, struct slot s)
{
	size_t i = s.hash & (slots - 1);

	while (slot[i].number != INDEX_NONE)
		i = (i + 1) & (slots - 1);
	slot[i] = s;
}

static int grow(struct index *x)
{
	size_t slots = x->slots ? 2 * x->slots : 64;
	struct slot *slot = calloc(slots, sizeof(*slot));

	if (!slot)
		return -ENOMEM;
	for (size_t i = 0; i < slots; i++)
		slot[i].number = INDEX_NONE;
	for (size_t i = 0; i < x->slots; i++)
		if (x->slot[i].number != INDEX_NONE)
			place(slot, slots, x->slot[i]);
	free(x->slot);
	x->slot = slot;
	x->slots = slots;
	return 0;
}

int index_add(struct index **x, uint64_t hash, uint32_t number)
{
	bool fresh = !*x;
	struct index *to = fresh ? calloc(1, sizeof(*to)) : *x;

	if (!to)
		return -ENOMEM;
	if (2 * (to->used + 1) > to->slots && grow(to)) {
		if (fresh)
			free(to);
		return -ENOMEM;
	}
	place(to->slot, to->slots, (struct slot){.hash = hash, .number = number});
	to->used++;
	*x = to;
	return 0;
}

void index_free(struct index *x)
{
	if (!x)
		return;
	free(x->slot);
	free(x);
}
