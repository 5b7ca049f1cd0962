/*
 * Everything this node can tell, gathered once per window: containers and their
 * counters, the scheduler, the host, and the calls capture saw.
 *
 * A source the kernel refuses costs its metrics only: collect_support() says
 * which. All memory is taken at open. One thread.
 */
#ifndef SAGE_AGENT_COLLECT_H
#define SAGE_AGENT_COLLECT_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/capture.h"
#include "agent/cgroup_name.h"
#include "agent/kubernetes.h"
#include "common/wire.h"

struct collect_options {
	struct cgroup_rules rules;
	const char *cgroup_below;       /* see cgroup_tree_find(); NULL = all mounts */
	const struct kubernetes *names; /* NULL without a cluster; not owned */
	const char *strategy;           /* see capture.h; NULL = the best */
	bool tls, tls_sent_only;        /* look into TLS, see capture.h */
	bool no_dns;                    /* likewise */
	uint16_t dns_port[CAPTURE_DNS_PORTS];
	bool perf;   /* count perf events per container, see perf.h */
	bool no_bpf; /* this process may not load programs: counters only */
	uint32_t max_containers, max_edges, max_connections;
	uint32_t max_operations; /* 0 = edges are not broken down */
};

struct collector;

/* Returns 0, -ENOENT without a cgroup hierarchy, -ENOMEM; already logged. */
int collect_open(struct collector **c, const struct collect_options *o);

/* Readable when cgroups came or went: call collect_events(). -1 when there is nothing to watch. */
int collect_fd(const struct collector *c);
void collect_events(struct collector *c);

/*
 * The window that ended now. Valid until the next call; owned by the collector.
 * Losses are filled in from all of the collector's sources.
 */
struct wire_window *collect_window(struct collector *c, uint64_t start_ns, uint64_t duration_ns);

/* One line per feature: how it is seen here or why not, and what that way cannot see. */
typedef void collect_line(void *ctx, const char *feature, const char *how, const char *blind);
void collect_support(const struct collector *c, collect_line *line, void *ctx);

/* Safe on NULL. */
void collect_close(struct collector *c);

#endif
