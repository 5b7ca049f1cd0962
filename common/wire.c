#include "common/wire.h"

#include <errno.h>
#include <stdlib.h>

#include "common/wire_codec.h"

static const char *const protocol_names[WIRE_PROTOCOLS] = {
	[WIRE_TCP] = "tcp",
	[WIRE_HTTP1] = "http",
	[WIRE_THRIFT] = "thrift",
	[WIRE_REDIS] = "redis",
	[WIRE_MEMCACHED] = "memcached",
	[WIRE_POSTGRESQL] = "postgresql",
	[WIRE_MYSQL] = "mysql",
	[WIRE_MONGODB] = "mongodb",
	[WIRE_KAFKA] = "kafka",
	[WIRE_AMQP] = "amqp",
	[WIRE_NATS] = "nats",
	[WIRE_TLS] = "tls",
	[WIRE_DNS] = "dns",
};

static const char *const loss_names[WIRE_LOSSES] = {
	[LOSS_EDGE_TABLE_FULL] = "edge_table_full",
	[LOSS_CONNECTION_TABLE_FULL] = "connection_table_full",
	[LOSS_CONTAINER_TABLE_FULL] = "container_table_full",
	[LOSS_WINDOW_LATE] = "window_late",
	[LOSS_SPOOL_FULL] = "spool_full",
	[LOSS_SPOOL_DAMAGED] = "spool_damaged",
	[LOSS_BLIND_IO_URING] = "blind_io_uring",
	[LOSS_WINDOW_TOO_BIG] = "window_too_big",
	[LOSS_PROBE_MISSED] = "probe_missed",
	[LOSS_OPERATION_TABLE_FULL] = "operation_table_full",
	[LOSS_EDGE_OPERATIONS_FULL] = "edge_operations_full",
};

static const char *const knob_names[WIRE_KNOBS] = {
	[KNOB_CPU_QUOTA] = "cpu_quota",
	[KNOB_CPU_WEIGHT] = "cpu_weight",
	[KNOB_MEMORY_HIGH] = "memory_high",
	[KNOB_IO_READ_BPS] = "io_read_bps",
	[KNOB_IO_WRITE_BPS] = "io_write_bps",
	[KNOB_IO_READ_IOPS] = "io_read_iops",
	[KNOB_NET_RATE] = "net_rate",
};

static const char *const lease_state_names[WIRE_LEASE_STATES] = {
	[LEASE_APPLIED] = "applied",
	[LEASE_REVERTED] = "reverted",
	[LEASE_REFUSED] = "refused",
	[LEASE_YIELDED] = "yielded",
};

static const char *name_in(const char *const *names, unsigned known, unsigned number)
{
	return number < known ? names[number] : "unknown";
}

const char *wire_protocol_name(unsigned protocol)
{
	return name_in(protocol_names, WIRE_PROTOCOLS, protocol);
}

const char *wire_loss_name(unsigned loss)
{
	return name_in(loss_names, WIRE_LOSSES, loss);
}

const char *wire_knob_name(unsigned knob)
{
	return name_in(knob_names, WIRE_KNOBS, knob);
}

const char *wire_lease_state_name(unsigned state)
{
	return name_in(lease_state_names, WIRE_LEASE_STATES, state);
}

bool wire_is_version(uint8_t version, uint8_t kind)
{
	return version >= WIRE_VERSION &&
	       version <= (kind == WIRE_BATCH ? WIRE_VERSION_CONNECTIONS : WIRE_VERSION);
}

int wire_kind(const void *message, size_t size)
{
	const uint8_t *at = message;

	if (size < 2 || at[1] < WIRE_BATCH || at[1] > WIRE_SEALED || !wire_is_version(at[0], at[1]))
		return -EBADMSG;
	return at[1];
}

void wire_window_close(struct wire_window *w)
{
	free(w->container);
	free(w->edge);
	free(w->flow);
	free(w->operation);
	free(w->operation_flow);
	free(w->bucket);
	w->container = NULL;
	w->edge = NULL;
	w->flow = NULL;
	w->operation = NULL;
	w->operation_flow = NULL;
	w->bucket = NULL;
	w->containers = w->edges = w->operations = w->buckets = 0;
}

size_t wire_batch_bytes(const struct wire_batch *b)
{
	size_t bytes = b->windows * sizeof(*b->window);

	for (uint32_t i = 0; i < b->windows; i++) {
		const struct wire_window *w = &b->window[i];

		bytes += w->containers * sizeof(*w->container) + w->edges * sizeof(*w->flow) +
			 w->operations * sizeof(*w->operation_flow) +
			 w->buckets * sizeof(*w->bucket);
	}
	return bytes;
}

void wire_batch_close(struct wire_batch *b)
{
	for (uint32_t i = 0; i < b->windows; i++)
		wire_window_close(&b->window[i]);
	free(b->window);
	b->window = NULL;
	b->windows = 0;
}

void wire_poll_close(struct wire_poll *p)
{
	free(p->report);
	p->report = NULL;
	p->reports = 0;
}

void wire_leases_close(struct wire_leases *l)
{
	free(l->lease);
	l->lease = NULL;
	l->leases = 0;
}
