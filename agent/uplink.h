/*
 * The agent's end of the line: windows go out through the spool, leases come in.
 *
 * The agent's one thread calls these functions; none waits for the network. nng's
 * threads send, and step through the spool as acknowledgements arrive. A window
 * counts as stored when the analyzer says it is durable there. At any time
 *
 *     produced + recovered = stored + dropped + pending.
 *
 * An analyzer that goes away, and comes back, is logged once each. After
 * uplink_close() the process must end with _exit(), and it must not fork() after
 * uplink_open() (see common/net.h).
 */
#ifndef SAGE_AGENT_UPLINK_H
#define SAGE_AGENT_UPLINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/net.h"
#include "common/wire.h"

struct uplink;

struct uplink_options {
	const char *url;           /* tcp://HOST:PORT, tls+tcp://HOST:PORT; NULL = no analyzer */
	const char *node;          /* name of this node; NULL = host name */
	const char *spool_dir;     /* NULL = memory only */
	size_t spool_bytes;        /* at least SPOOL_LEAST_BYTES */
	uint64_t spool_max_age_ns; /* 0 = no bound */
	uint8_t mode;              /* of struct wire_poll */
	struct net_tls tls;        /* all NULL for tcp:// */
	const char *key_file;      /* seals what is sent (common/identity.h); NULL = no seal */
};

struct uplink_stats {
	bool connected;
	uint64_t last_ack_ns; /* wall clock; 0 = never */
	uint64_t produced;    /* windows pushed */
	uint64_t recovered;   /* windows found in the spool at start */
	uint64_t stored;      /* windows acknowledged */
	uint64_t dropped;     /* windows lost, by cause in loss[] */
	uint64_t pending;     /* windows in the spool */
	uint64_t spool_bytes;
	uint64_t reports_dropped;   /* lease reports that found no room */
	uint64_t loss[WIRE_LOSSES]; /* the uplink's own causes */
};

/* 0 or -errno, the reason logged. Strings are borrowed for the call only. */
int uplink_open(struct uplink **out, const struct uplink_options *o);

/*
 * Spool a window and send what can be sent. The uplink adds its own losses to those in
 * `w`. 0, or -errno with the window counted dropped.
 */
int uplink_push(struct uplink *u, const struct wire_window *w);

/*
 * Readable when leases arrived, the connection came or went, or the last window was
 * acknowledged; quiet again after uplink_take_leases(). Owned by the uplink.
 */
int uplink_fd(const struct uplink *u);

/*
 * The newest full set of leases, if one arrived since the last call: also an unchanged
 * set, which renews. *out is the caller's to close, untouched when false.
 */
bool uplink_take_leases(struct uplink *u, struct wire_leases *out);

/* Reports for the analyzer; kept (WIRE_MAX_REPORTS of them) until delivered, in order. */
void uplink_report(struct uplink *u, const struct wire_lease_report *r, size_t n);

void uplink_stats(struct uplink *u, struct uplink_stats *out);

/* Gives a connected analyzer two seconds to take what is left. NULL is allowed. */
void uplink_close(struct uplink *u);

#endif
