/*
 * Byte strings written once per batch and referred to by number.
 *
 * The encoder interns what it meets and gets the number; the decoder reads the
 * whole table first and looks numbers up. A table belongs to one encoding or
 * decoding and borrows the bytes it names.
 */
#ifndef SAGE_COMMON_WIRE_TABLE_H
#define SAGE_COMMON_WIRE_TABLE_H

#include "common/wire_codec.h"

struct wire_item {
	const void *data; /* borrowed */
	uint32_t size;
};

struct wire_table {
	struct wire_item *item; /* [items] owned */
	uint32_t *slot;         /* [slots] number + 1, 0 = free; only while encoding */
	uint32_t items, capacity, slots;
};

/* Room for `capacity` items to intern. 0 or -ENOMEM. */
int wire_table_open(struct wire_table *t, uint32_t capacity);

/* Safe on a zeroed table and twice. */
void wire_table_close(struct wire_table *t);

/* The number of these bytes, new or met before. The capacity is the caller's promise. */
uint32_t wire_table_intern(struct wire_table *t, const void *data, size_t size);

/* Strings: all lengths, then all bytes. */
void wire_put_strings(struct wire_writer *w, const struct wire_table *t);
int wire_get_strings(struct wire_reader *r, struct wire_table *t, uint32_t max_items);

/* Items of 16 bytes each. */
void wire_put_addresses(struct wire_writer *w, const struct wire_table *t);
int wire_get_addresses(struct wire_reader *r, struct wire_table *t, uint32_t max_items);

#endif
