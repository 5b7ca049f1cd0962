#include "common/wire_table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "common/wire.h"

#define ADDRESS 16

int wire_table_open(struct wire_table *t, uint32_t capacity)
{
	*t = (struct wire_table){.capacity = capacity, .slots = 16};
	while (t->slots < 2 * capacity)
		t->slots *= 2;
	t->item = calloc((size_t)capacity + 1, sizeof(*t->item));
	t->slot = calloc(t->slots, sizeof(*t->slot));
	if (t->item && t->slot)
		return 0;
	wire_table_close(t);
	return -ENOMEM;
}

void wire_table_close(struct wire_table *t)
{
	free(t->item);
	free(t->slot);
	*t = (struct wire_table){0};
}

uint32_t wire_table_intern(struct wire_table *t, const void *data, size_t size)
{
	uint32_t at = (uint32_t)XXH3_64bits(data, size) & (t->slots - 1);

	for (; t->slot[at]; at = (at + 1) & (t->slots - 1)) {
		const struct wire_item *known = &t->item[t->slot[at] - 1];

		if (known->size == size && !memcmp(known->data, data, size))
			return t->slot[at] - 1;
	}
	assert(t->items < t->capacity);
	t->item[t->items] = (struct wire_item){data, (uint32_t)size};
	t->slot[at] = ++t->items;
	return t->items - 1;
}

void wire_put_strings(struct wire_writer *w, const struct wire_table *t)
{
	wire_put_varint(w, t->items);
	for (uint32_t i = 0; i < t->items; i++)
		wire_put_varint(w, t->item[i].size);
	for (uint32_t i = 0; i < t->items; i++)
		wire_put_bytes(w, t->item[i].data, t->item[i].size);
}

/* The head of a table: its item count, each worth at least `least` bytes. */
static int get_items(struct wire_reader *r, struct wire_table *t, uint32_t max_items, size_t least)
{
	uint32_t items = (uint32_t)wire_get_bounded(r, max_items);

	*t = (struct wire_table){0};
	if (r->bad || items * least > wire_reader_left(r))
		return -EBADMSG;
	t->item = calloc((size_t)items + 1, sizeof(*t->item));
	if (!t->item)
		return -ENOMEM;
	t->items = t->capacity = items;
	return 0;
}

int wire_get_strings(struct wire_reader *r, struct wire_table *t, uint32_t max_items)
{
	int error = get_items(r, t, max_items, 1);

	if (error)
		return error;
	for (uint32_t i = 0; i < t->items; i++)
		t->item[i].size = (uint32_t)wire_get_bounded(r, WIRE_PATH - 1);
	for (uint32_t i = 0; i < t->items; i++) {
		t->item[i].data = wire_get_bytes(r, t->item[i].size);
		if (!t->item[i].data || memchr(t->item[i].data, 0, t->item[i].size))
			r->bad = true;
	}
	if (!r->bad)
		return 0;
	wire_table_close(t);
	return -EBADMSG;
}

void wire_put_addresses(struct wire_writer *w, const struct wire_table *t)
{
	wire_put_varint(w, t->items);
	for (uint32_t i = 0; i < t->items; i++)
		wire_put_bytes(w, t->item[i].data, ADDRESS);
}

int wire_get_addresses(struct wire_reader *r, struct wire_table *t, uint32_t max_items)
{
	int error = get_items(r, t, max_items, ADDRESS);

	if (error)
		return error;
	for (uint32_t i = 0; i < t->items; i++)
		t->item[i] = (struct wire_item){wire_get_bytes(r, ADDRESS), ADDRESS};
	return 0;
}
