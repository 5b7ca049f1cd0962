#include "agent/capture_operations.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/operation.h"

/* CPUs that begin operations of an edge at the same time may pass its bound by one each. */
#define RACING 16

struct place_of_operation {
	struct rpc_operation_key key;
	uint32_t place;
};

int operations_configure(struct probe *p, uint32_t room)
{
	uint32_t each = room ? EDGE_OPERATIONS : 0;
	int err = probe_set(p, "edge_operations", &each, sizeof(each));

	room = room ? room : 1; /* the least a map can have */
	if (err || (err = probe_resize(p, "operations", room)) ||
		(err = probe_resize(p, "operation_values", room)))
		return err;
	return probe_resize(p, "operations_free", room);
}

int operations_open(struct capture_operations *o, struct probe *p, uint32_t room)
{
	int err = 0;

	memset(o, 0, sizeof(*o));
	o->room = room;
	o->keys = probe_map(p, "operations");
	o->values = probe_map(p, "operation_values");
	o->free = probe_map(p, "operations_free");
	if (o->keys < 0 || o->values < 0 || o->free < 0)
		return -ENOENT;
	if (!room)
		return 0;
	o->one_room = EDGE_OPERATIONS + RACING;
	o->place = calloc(room, sizeof(*o->place));
	o->one = calloc(o->one_room, sizeof(*o->one));
	if (!o->place || !o->one)
		return -ENOMEM;
	for (uint32_t place = room; place-- && !err;)
		err = probe_map_update(o->free, NULL, &place);
	return err;
}

static int by_edge(const void *x, const void *y)
{
	const struct place_of_operation *a = x, *b = y;

	return (a->key.edge > b->key.edge) - (a->key.edge < b->key.edge);
}

void operations_collect(struct capture_operations *o, uint32_t epoch)
{
	struct rpc_operation_key key;
	bool more;

	o->count = 0;
	if (!o->room)
		return;
	for (more = !probe_map_next(o->keys, NULL, &key); more && o->count < o->room;
		more = !probe_map_next(o->keys, &key, &key)) {
		struct place_of_operation *at = &o->place[o->count];

		if (key.epoch == epoch || probe_map_lookup(o->keys, &key, &at->place))
			continue;
		at->key = key;
		o->count++;
	}
	qsort(o->place, o->count, sizeof(*o->place), by_edge);
}

static void fill_hist(struct hist *h, const struct rpc_operation_calls *from)
{
	memcpy(h->count, from->count, sizeof(h->count));
	h->sum_ns = from->sum_ns;
	h->total = 0;
	for (unsigned i = 0; i < HIST_BUCKETS; i++)
		h->total += h->count[i];
}

/* Add one to the list of its edge; different keys may have one name. */
static void add(struct capture_operations *o, const char *name, uint32_t *count)
{
	struct capture_operation *to;
	struct hist more;
	uint32_t i;

	for (i = 0; i < *count && strcmp(o->one[i].name, name) != 0; i++)
		;
	to = &o->one[i];
	if (i == o->one_room)
		return;
	fill_hist(i < *count ? &more : &to->latency, &o->value);
	if (i < *count) {
		hist_merge(&to->latency, &more);
		to->errors += o->value.errors;
		return;
	}
	strcpy(to->name, name);
	to->errors = o->value.errors;
	++*count;
}

/* The first at `edge` or behind it. */
static uint32_t first_of(const struct capture_operations *o, uint32_t edge)
{
	uint32_t low = 0, high = o->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (o->place[middle].key.edge < edge)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct capture_operation *operations_of(
	struct capture_operations *o, uint32_t edge, unsigned protocol, uint32_t *count)
{
	char name[WIRE_OPERATION];
	uint32_t found = 0;

	for (uint32_t i = first_of(o, edge); i < o->count && o->place[i].key.edge == edge; i++) {
		const struct place_of_operation *at = &o->place[i];

		if (operation_name(name, protocol, &at->key.text) &&
			!probe_map_lookup(o->values, &at->place, &o->value))
			add(o, name, &found);
	}
	*count = found;
	return o->one;
}

void operations_give_back(struct capture_operations *o)
{
	for (uint32_t i = 0; i < o->count; i++) {
		struct place_of_operation *at = &o->place[i];

		/* Empty first: whoever takes it next adds to what is there. */
		(void)probe_map_update(o->values, &at->place, &o->empty);
		(void)probe_map_delete(o->keys, &at->key);
		(void)probe_map_update(o->free, NULL, &at->place);
	}
	o->count = 0;
}

void operations_close(struct capture_operations *o)
{
	free(o->place);
	free(o->one);
	o->place = NULL;
	o->one = NULL;
	o->room = o->count = 0;
}
