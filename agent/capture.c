#include "agent/capture.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "agent/capture_dns.h"
#include "agent/capture_listeners.h"
#include "agent/capture_operations.h"
#include "agent/capture_protocols.h"
#include "agent/capture_unix.h"
#include "agent/probe.h"
#include "agent/tls.h"
#include "bpf/event.h"
#include "common/log.h"

#define DEFAULT_EDGES 8192
#define DEFAULT_CONNECTIONS 16384

PROBE_OBJECT(rpc);
PROBE_OBJECT(rpc_probe);
PROBE_OBJECT(rpc_syscall);

struct strategy {
	const char *name;
	const unsigned char *begin, *end;
	const char *tracepoint[3]; /* all needed */
	const char *function;      /* needed; NULL = none */
	const char *entry[2];      /* functions whose entry or return is needed */
	const char *entry_means;   /* what a kernel without them has not */
	const char *skip[2];       /* programs of the object that belong to another strategy */
	const char *extra, *extra_function; /* a program, and what only some kernels have for it */
	bool keyed;                         /* connections are a map of fixed size */
	const char *how, *blind;
};

/* Best first. */
static const struct strategy strategies[] = {
	{
		.name = "socket",
		.begin = rpc_bpf,
		.end = rpc_bpf_end,
		.tracepoint = {"tcp_sendmsg_locked", "skb_copy_datagram_iovec"},
		.function = "bpf_dynptr_from_skb",
		.skip = {"rpc_sent"},
		.how = "both directions with their bytes",
		.blind = "TLS contents; zero-copy receive",
	},
	{
		.name = "probe",
		.begin = rpc_probe_bpf,
		.end = rpc_probe_bpf_end,
		.tracepoint = {"tcp_rcv_space_adjust", "inet_sock_set_state"},
		.entry = {"tcp_sendmsg_locked", "tcp_recvmsg"},
		.entry_means = "fentry on tcp_sendmsg_locked and tcp_recvmsg",
		.extra = "rpc_send_pages",
		.extra_function = "do_tcp_sendpages",
		.how = "both directions with their bytes",
		.blind = "TLS contents; splice and zero-copy receive; a call read together with "
			 "messages before it that are none",
	},
	{
		.name = "length",
		.begin = rpc_bpf,
		.end = rpc_bpf_end,
		.tracepoint = {"sock_send_length", "skb_copy_datagram_iovec"},
		.function = "bpf_dynptr_from_skb",
		.skip = {"rpc_send"},
		.how = "bytes of receives only",
		.blind = "TLS contents; zero-copy receive; sends that fail; errors as their server "
			 "sends them",
	},
	{
		.name = "syscall",
		.begin = rpc_syscall_bpf,
		.end = rpc_syscall_bpf_end,
		.tracepoint = {"sys_exit", "inet_sock_set_state"},
		.keyed = true,
		.how = "descriptor and bytes from the registers, as calls return",
		.blind =
			"io_uring, splice, sendmmsg and recvmmsg; 32-bit programs; TLS contents; a "
			"call read together with messages before it that are none",
	},
};

#define REFUSAL 300
#define STRATEGIES (sizeof(strategies) / sizeof(strategies[0]))

struct capture {
	const struct strategy *strategy;
	struct probe *probe;
	struct tls *tls;                    /* NULL when off or refused */
	int tls_error;                      /* 0 when off */
	struct capture_dns *dns;            /* NULL when off or refused */
	int dns_error;                      /* 0 when off */
	struct capture_unix *unix_streams;  /* NULL when refused, or not on this strategy */
	int edges, edge_values, edges_free; /* maps */
	uint32_t *epoch;                    /* live in the kernel half */
	uint64_t *losses;                   /* [RPC_LOSSES] live in the kernel half */
	unsigned max_edges, max_operations;
	struct capture_operations operations;
	char refusal[STRATEGIES][REFUSAL]; /* "" = taken, or not needed */
	struct capture_edge edge;          /* the one handed out */
	struct rpc_edge value;
	struct rpc_edge empty;
};

const char *capture_strategy_at(size_t rank)
{
	return rank < STRATEGIES ? strategies[rank].name : NULL;
}

const char *capture_strategy_lacks(size_t rank)
{
	const struct strategy *s = &strategies[rank];

	for (size_t i = 0; i < sizeof(s->tracepoint) / sizeof(s->tracepoint[0]); i++)
		if (s->tracepoint[i] && !probe_kernel_has_tracepoint(s->tracepoint[i]))
			return s->tracepoint[i];
	if (s->function && !probe_kernel_has_function(s->function))
		return s->function;
	for (size_t i = 0; i < sizeof(s->entry) / sizeof(s->entry[0]); i++)
		if (s->entry[i] && !probe_kernel_has_entry(s->entry[i]))
			return s->entry_means;
	return NULL;
}

/*
 * The coarse clocks move once per jiffy. CONFIG_HZ would need the kernel's configuration, which
 * is a file of the host that a container does not see.
 */
static uint32_t jiffy_ns(void)
{
	struct timespec t;

	return clock_getres(CLOCK_MONOTONIC_COARSE, &t) ? 0 : (uint32_t)t.tv_nsec;
}

static int configure(struct capture *c, const struct capture_options *o)
{
	uint32_t connections = o->max_connections ? o->max_connections : DEFAULT_CONNECTIONS;
	uint32_t tick_ns = jiffy_ns();
	int32_t subsystem = o->cgroup_subsys;
	uint8_t tls_sent = o->tls, tls_received = o->tls && !o->tls_sent_only;
	const struct strategy *s = c->strategy;
	int err;

	if ((err = probe_set(c->probe, "max_connections", &connections, sizeof(connections))) ||
		(err = probe_set(c->probe, "cgroup_subsystem", &subsystem, sizeof(subsystem))) ||
		(err = probe_set(c->probe, "tick_ns", &tick_ns, sizeof(tick_ns))) ||
		(err = probe_resize(c->probe, "edges", c->max_edges)) ||
		(err = probe_resize(c->probe, "edge_values", c->max_edges)) ||
		(err = probe_resize(c->probe, "edges_free", c->max_edges)) ||
		(err = probe_set(c->probe, "tls_sent", &tls_sent, sizeof(tls_sent))) ||
		(err = probe_set(c->probe, "tls_received", &tls_received, sizeof(tls_received))) ||
		(err = probe_resize(c->probe, "ends", connections)) ||
		(err = operations_configure(c->probe, c->max_operations)))
		return err;
	if (!o->tls && ((err = probe_resize(c->probe, "tls_threads", 1)) ||
			       (err = probe_resize(c->probe, "tls_heard", 1))))
		return err;
	if (s->keyed && (err = probe_resize(c->probe, "connections", connections)))
		return err;
	for (size_t i = 0; i < sizeof(s->skip) / sizeof(s->skip[0]); i++)
		if (s->skip[i] && (err = probe_skip(c->probe, s->skip[i])))
			return err;
	if (s->extra && !probe_kernel_has_function(s->extra_function))
		return probe_skip(c->probe, s->extra);
	return 0;
}

static void add_listener(void *ctx, const struct rpc_listener *l)
{
	const int *map = ctx;
	uint8_t yes = 1;

	(void)probe_map_update(*map, l, &yes); /* full: the message's bytes tell the role instead */
}

/* All places for edges are empty at first. */
static int fill_free(const struct capture *c)
{
	int err = 0;

	for (uint32_t place = c->max_edges; place-- && !err;)
		err = probe_map_update(c->edges_free, NULL, &place);
	return err;
}

static int start(struct capture *c)
{
	int listeners = probe_map(c->probe, "listeners");
	int err;

	c->edges = probe_map(c->probe, "edges");
	c->edge_values = probe_map(c->probe, "edge_values");
	c->edges_free = probe_map(c->probe, "edges_free");
	c->epoch = probe_variable(c->probe, "epoch", sizeof(*c->epoch));
	c->losses = probe_variable(c->probe, "losses", sizeof(*c->losses) * RPC_LOSSES);
	if (c->edges < 0 || c->edge_values < 0 || c->edges_free < 0 || listeners < 0 || !c->epoch ||
		!c->losses)
		return -ENOENT;
	if ((err = fill_free(c)) ||
		(err = operations_open(&c->operations, c->probe, c->max_operations)))
		return err;
	err = capture_listeners_scan("/proc", add_listener, &listeners);
	if (err)
		log_warning("capture: /proc: cannot list listening ports: %s; older connections are"
			    " told apart by their contents",
			strerror(-err));
	return probe_attach(c->probe);
}

/* Whether the kernel offers a strategy; if not, why not is kept for capture_support(). */
static bool is_offered(struct capture *c, size_t rank)
{
	const char *lacks = capture_strategy_lacks(rank);

	if (lacks)
		snprintf(c->refusal[rank], REFUSAL, "this kernel has no %s", lacks);
	return !lacks;
}

static int try_strategy(struct capture *c, size_t rank, const struct capture_options *o)
{
	const struct strategy *s = &strategies[rank];
	int err;

	if (!is_offered(c, rank)) {
		log_info("capture: strategy %s: %s", s->name, c->refusal[rank]);
		return -EOPNOTSUPP;
	}
	c->strategy = s;
	err = probe_open(&c->probe, s->name, s->begin, s->end);
	if (!err && !(err = configure(c, o)) && !(err = probe_load(c->probe)) && !(err = start(c)))
		return 0;
	snprintf(c->refusal[rank], REFUSAL, "not loaded: %s: %s", strerror(-err),
		c->probe ? probe_refusal(c->probe) : "the object cannot be opened");
	log_warning("capture: strategy %s: %s", s->name, c->refusal[rank]);
	operations_close(&c->operations);
	probe_close(c->probe);
	c->probe = NULL;
	return err;
}

static void open_tls(struct capture *c, const struct capture_options *o)
{
	if (o->tls)
		c->tls_error = tls_open(&c->tls, c->probe, !o->tls_sent_only);
	if (c->tls_error)
		log_warning(
			"tls: %s; going on without the contents of TLS", strerror(-c->tls_error));
}

int capture_open(struct capture **out, const struct capture_options *o)
{
	struct capture *c = calloc(1, sizeof(*c));
	int err = -EINVAL;

	if (!c)
		return -ENOMEM;
	c->max_edges = o->max_edges ? o->max_edges : DEFAULT_EDGES;
	c->max_operations = o->max_operations;
	for (size_t i = 0; i < STRATEGIES; i++) {
		if (o->strategy && strcmp(o->strategy, strategies[i].name) != 0)
			continue;
		err = try_strategy(c, i, o);
		if (err)
			continue;
		while (++i < STRATEGIES)
			(void)is_offered(c, i);
		open_tls(c, o);
		capture_unix_open(&c->unix_streams, c->probe, o);
		c->dns_error = o->no_dns ? 0 : capture_dns_open(&c->dns, c->probe, o);
		*out = c;
		return 0;
	}
	capture_close(c);
	return err;
}

static void fill_hist(struct hist *h, const struct rpc_edge *from)
{
	hist_clear(h);
	memcpy(h->count, from->count, sizeof(h->count));
	h->sum_ns = from->sum_ns;
	for (unsigned i = 0; i < HIST_BUCKETS; i++)
		h->total += h->count[i];
}

static void fill_edge(
	struct capture_edge *e, const struct rpc_edge_key *key, const struct rpc_edge *from)
{
	e->cgroup_id = key->cgroup_id;
	e->peer_cgroup_id = key->peer_cgroup_id;
	e->side = key->side == RPC_SERVER ? WIRE_SERVER : WIRE_CLIENT;
	e->protocol = key->protocol;
	e->port = key->port;
	memcpy(e->local_addr, key->local_addr, sizeof(e->local_addr));
	memcpy(e->peer_addr, key->peer_addr, sizeof(e->peer_addr));
	fill_hist(&e->latency, from);
	e->calls = e->latency.total;
	e->errors = from->errors;
	e->unanswered = from->unanswered;
	e->bytes_sent = from->bytes_sent;
	e->bytes_received = from->bytes_received;
	e->retransmits = from->retransmits;
	e->segments_sent = from->segments;
	e->resets_sent = from->resets_sent;
	e->resets_received = from->resets_received;
	e->client_port = from->client_port;
	e->rtt_us = from->rtt_samples ? (float)((double)from->rtt_us / from->rtt_samples) : NAN;
	e->connect_us = from->connect_us ? (float)from->connect_us : NAN;
}

static int read_place(struct capture *c, const struct rpc_edge_key *key, uint32_t *place)
{
	int err = probe_map_lookup(c->edges, key, place);

	return err ? err : probe_map_lookup(c->edge_values, place, &c->value);
}

static void hand_out(struct capture *c, const struct rpc_edge_key *key,
	void (*each)(void *ctx, const struct capture_edge *e), void *ctx)
{
	struct rpc_edge_key self = *key;
	uint32_t place;

	if (read_place(c, key, &place))
		return;
	fill_edge(&c->edge, key, &c->value);
	c->edge.operation =
		operations_of(&c->operations, place, key->protocol, &c->edge.operations);
	hist_clear(&c->edge.self);
	self.side = RPC_SELF;
	if (key->side == RPC_SERVER && read_place(c, &self, &place) == 0)
		fill_hist(&c->edge.self, &c->value);
	each(ctx, &c->edge);
}

/* Empty the place first: whoever takes it next adds to what is there. */
static void give_back(struct capture *c, const struct rpc_edge_key *key)
{
	uint32_t place;

	if (probe_map_lookup(c->edges, key, &place))
		return;
	(void)probe_map_update(c->edge_values, &place, &c->empty);
	(void)probe_map_delete(c->edges, key);
	(void)probe_map_update(c->edges_free, NULL, &place);
}

/* Go over the edges of ended windows: hand out and delete; self entries belong to others. */
static void sweep(struct capture *c, bool selves,
	void (*each)(void *ctx, const struct capture_edge *e), void *ctx)
{
	struct rpc_edge_key key, next;
	bool more = probe_map_next(c->edges, NULL, &next) == 0;

	while (more) {
		key = next;
		more = probe_map_next(c->edges, &key, &next) == 0; /* before `key` goes */
		if (key.epoch == *c->epoch || (key.side == RPC_SELF) != selves)
			continue;
		if (!selves)
			hand_out(c, &key, each, ctx);
		give_back(c, &key);
	}
}

int capture_read(
	struct capture *c, void (*each)(void *ctx, const struct capture_edge *e), void *ctx)
{
	int err = probe_iterate(c->probe, "rpc_flush", "connections");

	if (c->dns && !err)
		err = capture_dns_flush(c->dns);
	if (c->unix_streams && !err)
		err = capture_unix_flush(c->unix_streams);
	if (err)
		return err;
	__atomic_add_fetch(c->epoch, 1, __ATOMIC_SEQ_CST);
	if (c->dns)
		capture_dns_window(c->dns, *c->epoch);
	if (c->unix_streams)
		capture_unix_window(c->unix_streams, *c->epoch);
	/*
	 * Programs that read the old number may still be counting. The barrier outwaits
	 * them; a kernel with nohz_full CPUs refuses it, and then a program had better be
	 * done in the time it takes to get here.
	 */
	(void)syscall(__NR_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
	operations_collect(&c->operations, *c->epoch);
	sweep(c, false, each, ctx);
	sweep(c, true, NULL, NULL);
	operations_give_back(&c->operations);
	if (c->tls)
		tls_refresh(c->tls);
	return 0;
}

void capture_losses(const struct capture *c, uint64_t loss[WIRE_LOSSES])
{
	loss[LOSS_EDGE_TABLE_FULL] += c->losses[RPC_LOSS_EDGES];
	loss[LOSS_CONNECTION_TABLE_FULL] += c->losses[RPC_LOSS_CONNECTIONS];
	loss[LOSS_BLIND_IO_URING] += c->losses[RPC_LOSS_IO_URING];
	loss[LOSS_OPERATION_TABLE_FULL] += c->losses[RPC_LOSS_OPERATIONS];
	loss[LOSS_EDGE_OPERATIONS_FULL] += c->losses[RPC_LOSS_EDGE_OPERATIONS];
	loss[LOSS_PROBE_MISSED] += probe_missed(c->probe);
	if (c->dns)
		capture_dns_losses(c->dns, loss);
	if (c->unix_streams)
		capture_unix_losses(c->unix_streams, loss);
}

static void support_tls(const struct capture *c,
	void (*line)(void *ctx, const char *feature, const char *how, const char *blind), void *ctx)
{
	char how[128];

	if (c->tls)
		tls_describe(c->tls, how, sizeof(how));
	else
		snprintf(how, sizeof(how), "no: %s",
			c->tls_error ? strerror(-c->tls_error) : "off; --tls looks inside");
	line(ctx, "tls", how,
		c->tls ? "libraries without OpenSSL's functions; what Go programs read"
		       : "calls under TLS are counted as tls, their errors unknown");
}

/* "tracepoints a, b; fentry c, d" */
static void name_hooks(const struct strategy *s, char *to, size_t size)
{
	size_t used = 0;

	for (size_t i = 0; i < sizeof(s->tracepoint) / sizeof(s->tracepoint[0]); i++)
		if (s->tracepoint[i] && used < size)
			used += (size_t)snprintf(to + used, size - used, "%s%s",
				i ? ", " : "tracepoints ", s->tracepoint[i]);
	for (size_t i = 0; i < sizeof(s->entry) / sizeof(s->entry[0]); i++)
		if (s->entry[i] && used < size)
			used += (size_t)snprintf(to + used, size - used, "%s%s",
				i ? ", " : "; functions ", s->entry[i]);
}

void capture_strategy_needs(size_t rank, char *to, size_t size)
{
	const char *function = strategies[rank].function;
	size_t used;

	name_hooks(&strategies[rank], to, size);
	used = strlen(to);
	if (function)
		snprintf(to + used, size - used, "; %s in them", function);
}

const char *capture_strategy_blind(size_t rank)
{
	return strategies[rank].blind;
}

static void support_strategy(const struct capture *c, size_t rank,
	void (*line)(void *ctx, const char *feature, const char *how, const char *blind), void *ctx)
{
	const struct strategy *s = &strategies[rank];
	char feature[32], how[REFUSAL + 8], hooks[128] = "";
	const char *refusal = c->refusal[rank];

	name_hooks(s, hooks, sizeof(hooks));
	snprintf(feature, sizeof(feature), "capture: %s", s->name);
	if (s == c->strategy)
		snprintf(how, sizeof(how), "in use: %s: %s", hooks, s->how);
	else if (*refusal)
		snprintf(how, sizeof(how), "no: %s", refusal);
	else
		snprintf(how, sizeof(how), "possible: %s: %s", hooks, s->how);
	line(ctx, feature, how, s->blind);
}

void capture_support(const struct capture *c,
	void (*line)(void *ctx, const char *feature, const char *how, const char *blind), void *ctx)
{
	for (size_t rank = 0; rank < STRATEGIES; rank++)
		support_strategy(c, rank, line, ctx);
	capture_dns_support(c->dns, c->dns_error, line, ctx);
	capture_unix_support(c->unix_streams, line, ctx);
	line(ctx, "rpc self time", "calls of the thread that reads the request and answers it",
		"work handed to another thread; event loops with several requests open");
	capture_protocols(line, ctx);
	line(ctx, "rpc operations",
		c->max_operations
			? "the first 40 bytes of requests: HTTP/1 method and path without what may "
			  "identify, commands, verb and table of a statement, method names"
			: "no: off; --operations tells them apart",
		"requests that the strategy does not see; all but the first of a pipeline; inline "
		"Redis commands; under TLS without its contents");
	support_tls(c, line, ctx);
	line(ctx, "tcp rtt, retransmits", "the socket's own counters, once per window", "");
	line(ctx, "tcp resets", "tracepoints tcp_send_reset, tcp_receive_reset",
		"at a server: of connections it has not moved a byte on");
	line(ctx, "redirected addresses",
		"the client's address and port, which both ends of a connection agree on",
		"between nodes, where those are translated too: paired by the number of calls");
	line(ctx, "connect time", "from the first SYN to established", "");
}

const char *capture_strategy(const struct capture *c)
{
	return c->strategy->name;
}

void capture_close(struct capture *c)
{
	if (!c)
		return;
	capture_dns_close(c->dns);
	capture_unix_close(c->unix_streams);
	tls_close(c->tls);
	operations_close(&c->operations);
	probe_close(c->probe);
	free(c);
}
