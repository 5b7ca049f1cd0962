/* The operations of a window: what BATCH has had since its second version. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/wire_column.h"
#include "common/wire_window.h"

/* Least bytes one takes before compression: bounds what a count may claim. */
#define OPERATION_LEAST 6

static const struct wire_field made_errors = {
	offsetof(struct wire_operation, errors), sizeof(uint32_t)};
static const struct wire_field received_errors = {
	offsetof(struct wire_operation_flow, errors), sizeof(uint32_t)};

/* Printable ASCII, and not nothing. */
static bool is_name(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (text[i] < ' ' || text[i] > '~')
			return false;
	return size > 0 && size < WIRE_OPERATION;
}

int wire_operations_check(const struct wire_window *w)
{
	if (w->operations > WIRE_MAX_OPERATIONS)
		return -EINVAL;
	for (uint32_t i = 0; i < w->operations; i++) {
		const struct wire_operation *o = &w->operation[i];

		if (o->edge >= w->edges || (i && o->edge < o[-1].edge) ||
			!is_name(o->name, strnlen(o->name, sizeof(o->name))))
			return -EINVAL;
	}
	return 0;
}

void wire_put_operations(
	struct wire_writer *out, struct wire_tables *t, const struct wire_window *w)
{
	const struct wire_operation *o = w->operation;
	const uint32_t n = w->operations;
	uint32_t last = 0;

	wire_put_varint(out, n);
	if (!n)
		return;
	for (uint32_t i = 0; i < n; last = o[i++].edge)
		wire_put_varint(out, o[i].edge - last);
	for (uint32_t i = 0; i < n; i++)
		wire_put_varint(out, wire_table_intern(&t->strings, o[i].name, strlen(o[i].name)));
	wire_put_field(out, o, sizeof(*o), n, &made_errors);
	wire_put_hists(out, &o->latency, sizeof(*o), n);
}

static void get_name(struct wire_reader *r, const struct wire_table *strings, char *out)
{
	uint64_t number = wire_get_varint(r);

	if (r->bad || number >= strings->items ||
		!is_name(strings->item[number].data, strings->item[number].size)) {
		r->bad = true;
		return;
	}
	memcpy(out, strings->item[number].data, strings->item[number].size);
}

int wire_get_operations(struct wire_reader *r, const struct wire_tables *t,
	struct wire_budget *left, struct wire_window *w)
{
	uint32_t n = (uint32_t)wire_get_bounded(r, WIRE_MAX_OPERATIONS), last = 0;
	struct wire_operation_flow *o;
	int error;

	if (r->bad || n > left->operations || (size_t)n * OPERATION_LEAST > wire_reader_left(r))
		return -EBADMSG;
	left->operations -= n;
	if (!n)
		return 0;
	o = w->operation_flow = calloc(n, sizeof(*o));
	if (!o)
		return -ENOMEM;
	w->operations = n;
	for (uint32_t i = 0; i < n; i++) {
		last += (uint32_t)wire_get_bounded(r, WIRE_MAX_EDGES);
		o[i].edge = last;
		r->bad |= last >= w->edges;
		if (r->bad)
			return -EBADMSG;
	}
	for (uint32_t i = 0; i < n && !r->bad; i++)
		get_name(r, &t->strings, o[i].name);
	wire_get_field(r, o, sizeof(*o), n, &received_errors);
	error = wire_get_spreads(r, &o->latency, sizeof(*o), n, &w->bucket, &w->buckets);
	return error ? error : r->bad ? -EBADMSG : 0;
}
