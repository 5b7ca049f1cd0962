#include "agent/capture_unix.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/event.h"
#include "common/clock.h"
#include "common/log.h"

PROBE_OBJECT(unix);

#define NONE_FOR_NS 60000000000ULL /* without RPC: its senders are not watched any more */

struct capture_unix {
	struct probe *probe;
	uint32_t *epoch;      /* live in the kernel half */
	uint64_t *losses;     /* [RPC_LOSSES] likewise */
	uint64_t *recognised; /* messages, likewise */
	uint32_t *timing;     /* likewise */
	uint64_t seen;        /* of `recognised`, at the last window's end */
	uint64_t seen_ns;     /* when that grew last */
	struct probe_link *sent;
	bool refused; /* said already */
};

static int share(struct probe *p, const struct probe *rpc)
{
	static const char *const maps[] = {"edges", "edge_values", "edges_free", "ends",
		"listeners", "operations", "operation_values", "operations_free", "threads",
		"unix_reads"};
	int err = 0;

	for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]) && !err; i++)
		err = probe_share(p, rpc, maps[i]);
	return err;
}

static int configure(struct probe *p, const struct capture_options *o)
{
	int32_t subsystem = o->cgroup_subsys;
	uint32_t sets = UNIX_SETS;
	int err = probe_set(p, "cgroup_subsystem", &subsystem, sizeof(subsystem));

	if (o->max_connections) /* most connections of a node are TCP's */
		sets = (o->max_connections / 4 + UNIX_WAYS - 1) / UNIX_WAYS;
	if (!sets)
		sets = 1;
	if (!err)
		err = probe_set(p, "unix_set_count", &sets, sizeof(sets));
	return err ? err : probe_resize(p, "unix_sets", sets);
}

static int start(struct capture_unix *u, const struct probe *rpc)
{
	const uint32_t *epoch = probe_variable(rpc, "epoch", sizeof(*epoch));

	u->epoch = probe_variable(u->probe, "epoch", sizeof(*u->epoch));
	u->losses = probe_variable(u->probe, "losses", sizeof(*u->losses) * RPC_LOSSES);
	u->recognised = probe_variable(u->probe, "recognised", sizeof(*u->recognised));
	u->timing = probe_variable(u->probe, "timing", sizeof(*u->timing));
	if (!epoch || !u->epoch || !u->losses || !u->recognised || !u->timing)
		return -ENOENT;
	*u->epoch = *epoch;
	return probe_jump(u->probe, "unix_reads", "unix_read");
}

int capture_unix_open(
	struct capture_unix **out, const struct probe *rpc, const struct capture_options *o)
{
	struct capture_unix *u;
	int err;

	if (probe_map(rpc, "unix_reads") < 0)
		return -ENOTSUP;
	u = calloc(1, sizeof(*u));
	if (!u)
		return -ENOMEM;
	err = probe_open(&u->probe, "unix", unix_bpf, unix_bpf_end);
	if (!err)
		err = share(u->probe, rpc);
	if (!err)
		err = configure(u->probe, o);
	if (!err)
		err = probe_load(u->probe);
	if (!err)
		err = start(u, rpc);
	if (err) {
		log_warning("unix sockets: not loaded: %s: %s; going on without", strerror(-err),
			u->probe ? probe_refusal(u->probe) : "the object cannot be opened");
		capture_unix_close(u);
		return err;
	}
	*out = u;
	return 0;
}

int capture_unix_flush(struct capture_unix *u)
{
	return probe_iterate(u->probe, "unix_flush", "unix_sets");
}

static void watch_senders(struct capture_unix *u)
{
	int err = probe_attach_one(u->probe, "unix_sent", &u->sent);

	if (!err) {
		__atomic_store_n(u->timing, 1, __ATOMIC_SEQ_CST);
		return;
	}
	if (!u->refused)
		log_warning("unix sockets: senders cannot be watched: %s; their calls are not "
			    "counted",
			strerror(-err));
	u->refused = true;
}

static void leave_senders(struct capture_unix *u)
{
	__atomic_store_n(u->timing, 0, __ATOMIC_SEQ_CST);
	probe_detach(u->sent);
	u->sent = NULL;
}

void capture_unix_window(struct capture_unix *u, uint32_t epoch)
{
	uint64_t recognised = __atomic_load_n(u->recognised, __ATOMIC_RELAXED);
	uint64_t now = clock_monotonic_ns();

	__atomic_store_n(u->epoch, epoch, __ATOMIC_SEQ_CST);
	if (recognised != u->seen) {
		u->seen = recognised;
		u->seen_ns = now;
		if (!u->sent)
			watch_senders(u);
	} else if (u->sent && now - u->seen_ns > NONE_FOR_NS) {
		leave_senders(u);
	}
}

void capture_unix_losses(const struct capture_unix *u, uint64_t loss[WIRE_LOSSES])
{
	loss[LOSS_EDGE_TABLE_FULL] += u->losses[RPC_LOSS_EDGES];
	loss[LOSS_CONNECTION_TABLE_FULL] += u->losses[RPC_LOSS_CONNECTIONS];
	loss[LOSS_PROBE_MISSED] += probe_missed(u->probe);
}

void capture_unix_support(const struct capture_unix *u,
	void (*line)(void *ctx, const char *feature, const char *how, const char *blind), void *ctx)
{
	const char *how = "no: this strategy does not see their reads, or the kernel refused it";

	if (u && u->sent)
		how = "in use: reads by skb_copy_datagram_iovec, senders by sk_data_ready";
	else if (u)
		how = "possible: reads by skb_copy_datagram_iovec; senders are watched once there "
		      "is RPC";
	line(ctx, "capture: unix streams", how,
		"protocols that are not recognised; calls of the window in which the first was "
		"seen; unanswered calls for 10 minutes; socketpair, bound clients; datagrams, "
		"seqpacket");
}

void capture_unix_close(struct capture_unix *u)
{
	if (!u)
		return;
	probe_detach(u->sent);
	probe_close(u->probe);
	free(u);
}
