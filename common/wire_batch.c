#include "common/wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/wire_window.h"

/* Sums over the batch, checked against what a receiver accepts. */
static int check_batch(const struct wire_batch *b, struct wire_budget *used)
{
	*used = (struct wire_budget){0};
	if (b->windows > WIRE_MAX_WINDOWS)
		return -EINVAL;
	for (uint32_t i = 0; i < b->windows; i++) {
		int error = wire_window_check(&b->window[i]);

		if (!error)
			error = wire_operations_check(&b->window[i]);
		if (error)
			return error;
		used->containers += b->window[i].containers;
		used->edges += b->window[i].edges;
		used->operations += b->window[i].operations;
	}
	if (used->containers > WIRE_MAX_BATCH_CONTAINERS || used->edges > WIRE_MAX_BATCH_EDGES ||
		used->operations > WIRE_MAX_BATCH_OPERATIONS)
		return -E2BIG;
	return 0;
}

static int open_tables(struct wire_tables *t, const struct wire_budget *size)
{
	int error = wire_table_open(&t->strings, 4 * size->containers + size->operations);

	return error ? error : wire_table_open(&t->addresses, 2 * size->edges);
}

static void close_tables(struct wire_tables *t)
{
	wire_table_close(&t->strings);
	wire_table_close(&t->addresses);
}

/* The oldest version that says all there is. */
static uint8_t version_of(const struct wire_batch *b, const struct wire_budget *size)
{
	for (uint32_t i = 0; i < b->windows; i++)
		if (wire_connections_count(&b->window[i]))
			return WIRE_VERSION_CONNECTIONS;
	return size->operations ? WIRE_VERSION_OPERATIONS : WIRE_VERSION;
}

/* The part that is compressed: tables, then windows. Tells which version of a batch it is. */
static int put_body(struct wire_writer *body, const struct wire_batch *b, uint8_t *version)
{
	struct wire_writer columns = {0};
	struct wire_tables tables = {0};
	struct wire_budget size;
	int error = check_batch(b, &size);

	if (!error)
		error = open_tables(&tables, &size);
	if (!error) {
		*version = version_of(b, &size);
		for (uint32_t i = 0; i < b->windows; i++) {
			wire_put_window(&columns, &tables, &b->window[i]);
			if (*version >= WIRE_VERSION_OPERATIONS)
				wire_put_operations(&columns, &tables, &b->window[i]);
			if (*version >= WIRE_VERSION_CONNECTIONS)
				wire_put_connections(&columns, &b->window[i]);
		}
		wire_put_strings(body, &tables.strings);
		wire_put_addresses(body, &tables.addresses);
		wire_put_varint(body, b->windows);
		wire_put_bytes(body, columns.data, columns.size);
		error = columns.error;
	}
	close_tables(&tables);
	wire_writer_close(&columns);
	return error ? error : body->error;
}

int wire_encode_batch(const struct wire_batch *b, void **out, size_t *size)
{
	struct wire_writer body = {0}, w = {0};
	uint8_t version = WIRE_VERSION;
	int error = put_body(&body, b, &version);

	if (!error) {
		wire_put_u8(&w, version);
		wire_put_u8(&w, WIRE_BATCH);
		wire_put_agent(&w, &b->agent);
		wire_put_u64(&w, b->sequence);
		wire_put_deflated(&w, body.data, body.size);
		error = wire_writer_take(&w, out, size);
	}
	wire_writer_close(&body);
	return error;
}

static uint8_t get_batch_head(struct wire_reader *r, struct wire_agent *agent, uint64_t *sequence)
{
	uint8_t version = wire_get_head(r, WIRE_BATCH);

	wire_get_agent(r, agent);
	*sequence = wire_get_u64(r);
	return version;
}

int wire_decode_batch_head(
	const void *message, size_t size, struct wire_agent *agent, uint64_t *sequence)
{
	struct wire_agent who;
	struct wire_reader r;
	uint64_t number;

	wire_reader_init(&r, message, size);
	get_batch_head(&r, &who, &number);
	if (r.bad)
		return -EBADMSG;
	*agent = who;
	*sequence = number;
	return 0;
}

static int get_windows(
	struct wire_reader *r, const struct wire_tables *t, uint8_t version, struct wire_batch *b)
{
	struct wire_budget left = {
		WIRE_MAX_BATCH_CONTAINERS, WIRE_MAX_BATCH_EDGES, WIRE_MAX_BATCH_OPERATIONS};
	uint32_t n = (uint32_t)wire_get_bounded(r, WIRE_MAX_WINDOWS);
	int error = 0;

	if (r->bad)
		return -EBADMSG;
	b->window = calloc(n ? n : 1, sizeof(*b->window));
	if (!b->window)
		return -ENOMEM;
	b->windows = n;
	for (uint32_t i = 0; i < n && !error; i++) {
		error = wire_get_window(r, t, &left, &b->window[i]);
		if (!error && version >= WIRE_VERSION_OPERATIONS)
			error = wire_get_operations(r, t, &left, &b->window[i]);
		if (!error && version >= WIRE_VERSION_CONNECTIONS)
			error = wire_get_connections(r, &b->window[i]);
	}
	if (!error && (r->bad || wire_reader_left(r)))
		error = -EBADMSG;
	return error;
}

static int get_body(const void *data, size_t size, uint8_t version, struct wire_batch *b)
{
	struct wire_tables tables = {0};
	struct wire_reader r;
	int error;

	wire_reader_init(&r, data, size);
	error = wire_get_strings(
		&r, &tables.strings, 4 * WIRE_MAX_BATCH_CONTAINERS + WIRE_MAX_BATCH_OPERATIONS);
	if (!error)
		error = wire_get_addresses(&r, &tables.addresses, 2 * WIRE_MAX_BATCH_EDGES);
	if (!error)
		error = get_windows(&r, &tables, version, b);
	close_tables(&tables);
	return error;
}

int wire_decode_batch(const void *message, size_t size, struct wire_batch *out)
{
	struct wire_batch b = {0};
	struct wire_reader r;
	uint8_t *body = NULL, version;
	size_t body_size;
	int error;

	wire_reader_init(&r, message, size);
	version = get_batch_head(&r, &b.agent, &b.sequence);
	error = wire_get_inflated(&r, &body, &body_size);
	if (!error)
		error = get_body(body, body_size, version, &b);
	free(body);
	if (error) {
		wire_batch_close(&b);
		return error;
	}
	*out = b;
	return 0;
}

int wire_encode_ack(const struct wire_ack *a, void **out, size_t *size)
{
	struct wire_writer w = {0};

	wire_put_head(&w, WIRE_ACK);
	wire_put_u64(&w, a->sequence);
	wire_put_u32(&w, a->credit);
	return wire_writer_take(&w, out, size);
}

int wire_decode_ack(const void *message, size_t size, struct wire_ack *out)
{
	struct wire_reader r;
	struct wire_ack a;

	wire_reader_init(&r, message, size);
	wire_get_head(&r, WIRE_ACK);
	a.sequence = wire_get_u64(&r);
	a.credit = wire_get_u32(&r);
	if (r.bad || wire_reader_left(&r))
		return -EBADMSG;
	*out = a;
	return 0;
}
