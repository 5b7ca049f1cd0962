#include "agent/capture_dns.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/event.h"
#include "common/log.h"

#define DNS_PORT 53

PROBE_OBJECT(dns);

struct capture_dns {
	struct probe *probe;
	uint32_t *epoch;  /* live in the kernel half */
	uint64_t *losses; /* [RPC_LOSSES] likewise */
};

static int share(struct probe *p, const struct probe *rpc)
{
	static const char *const maps[] = {"edges", "edge_values", "edges_free", "ends",
		"listeners", "operations", "operation_values", "operations_free", "threads"};
	int err = 0;

	for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]) && !err; i++)
		err = probe_share(p, rpc, maps[i]);
	return err;
}

static int configure(struct probe *p, const struct capture_options *o)
{
	uint8_t has_cast = probe_kernel_has_function("bpf_rdonly_cast");
	uint16_t port[CAPTURE_DNS_PORTS] = {DNS_PORT};
	int32_t subsystem = o->cgroup_subsys;
	int err;

	if (o->dns_port[0])
		memcpy(port, o->dns_port, sizeof(port));
	if ((err = probe_set(p, "dns_ports", port, sizeof(port))) ||
		(err = probe_set(p, "has_cast", &has_cast, sizeof(has_cast))) ||
		(err = probe_set(p, "cgroup_subsystem", &subsystem, sizeof(subsystem))))
		return err;
	/* Queries are open for less long than connections. */
	return o->max_connections ? probe_resize(p, "dns_queries", (o->max_connections + 1) / 2)
				  : 0;
}

static int start(struct capture_dns *d, const struct probe *rpc)
{
	const uint32_t *epoch = probe_variable(rpc, "epoch", sizeof(*epoch));

	d->epoch = probe_variable(d->probe, "epoch", sizeof(*d->epoch));
	d->losses = probe_variable(d->probe, "losses", sizeof(*d->losses) * RPC_LOSSES);
	if (!epoch || !d->epoch || !d->losses)
		return -ENOENT;
	*d->epoch = *epoch;
	return probe_attach(d->probe);
}

int capture_dns_open(
	struct capture_dns **out, const struct probe *rpc, const struct capture_options *o)
{
	struct capture_dns *d = calloc(1, sizeof(*d));
	int err;

	if (!d)
		return -ENOMEM;
	err = probe_open(&d->probe, "dns", dns_bpf, dns_bpf_end);
	if (!err)
		err = share(d->probe, rpc);
	if (!err)
		err = configure(d->probe, o);
	if (!err)
		err = probe_load(d->probe);
	if (!err)
		err = start(d, rpc);
	if (err) {
		log_warning("dns: not loaded: %s: %s; going on without", strerror(-err),
			d->probe ? probe_refusal(d->probe) : "the object cannot be opened");
		capture_dns_close(d);
		return err;
	}
	*out = d;
	return 0;
}

int capture_dns_flush(struct capture_dns *d)
{
	return probe_iterate(d->probe, "dns_flush", "dns_queries");
}

void capture_dns_window(struct capture_dns *d, uint32_t epoch)
{
	__atomic_store_n(d->epoch, epoch, __ATOMIC_SEQ_CST);
}

void capture_dns_losses(const struct capture_dns *d, uint64_t loss[WIRE_LOSSES])
{
	loss[LOSS_EDGE_TABLE_FULL] += d->losses[RPC_LOSS_EDGES];
	loss[LOSS_CONNECTION_TABLE_FULL] += d->losses[RPC_LOSS_CONNECTIONS];
	loss[LOSS_PROBE_MISSED] += probe_missed(d->probe);
}

void capture_dns_support(const struct capture_dns *d, int error,
	void (*line)(void *ctx, const char *feature, const char *how, const char *blind), void *ctx)
{
	char how[128] = "in use: tracepoints net_dev_queue, netif_receive_skb";

	if (!d)
		snprintf(how, sizeof(how), "no: %s", error ? strerror(-error) : "off");
	line(ctx, "capture: dns over udp", how,
		"ports not in --dns-ports, or redirected as a query leaves; IP options and "
		"extension "
		"headers; on cgroup v1, at its client, a query that waits for a neighbour's "
		"address");
}

void capture_dns_close(struct capture_dns *d)
{
	if (!d)
		return;
	probe_close(d->probe);
	free(d);
}
