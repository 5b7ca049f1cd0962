/*
 * One window in columns, its names and addresses as numbers into the batch's
 * tables. Used by the batch codec alone.
 */
#ifndef SAGE_COMMON_WIRE_WINDOW_H
#define SAGE_COMMON_WIRE_WINDOW_H

#include "common/wire.h"
#include "common/wire_table.h"

struct wire_tables {
	struct wire_table strings, addresses;
};

/* What a batch may still hold; keeps what a small message unfolds into bounded. */
struct wire_budget {
	uint32_t containers, edges, operations;
};

/* -EINVAL when a bound or an index is broken, checked before anything is written. */
int wire_window_check(const struct wire_window *w);

void wire_put_window(struct wire_writer *out, struct wire_tables *t, const struct wire_window *w);

/* Fill a zeroed window; the caller closes it, also after a failure. 0, -EBADMSG, -ENOMEM. */
int wire_get_window(struct wire_reader *r, const struct wire_tables *t, struct wire_budget *left,
	struct wire_window *w);

/* The same for a window's operations, which follow it; its edges are there by then. */
int wire_operations_check(const struct wire_window *w);
void wire_put_operations(
	struct wire_writer *out, struct wire_tables *t, const struct wire_window *w);
int wire_get_operations(struct wire_reader *r, const struct wire_tables *t,
	struct wire_budget *left, struct wire_window *w);

/* And for what its edges' connections tell, which follows those. */
uint32_t wire_connections_count(const struct wire_window *w);
void wire_put_connections(struct wire_writer *out, const struct wire_window *w);
int wire_get_connections(struct wire_reader *r, struct wire_window *w);

#endif
