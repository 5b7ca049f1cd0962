/* What a capture test has seen of one end of one edge, summed over reads. */
#ifndef SAGE_TESTS_SEEN_H
#define SAGE_TESTS_SEEN_H

#include "agent/capture.h"
#include "tests/bpf/traffic.h"

#define SEEN_OPERATIONS 64

struct seen {
	uint64_t cgroup_id; /* what to look for */
	uint16_t port;
	unsigned side;
	struct capture_edge sum; /* but for its operations */
	struct seen_operation {
		char name[WIRE_OPERATION];
		uint64_t calls, errors;
		uint64_t longest_ns;
	} operation[SEEN_OPERATIONS];
	unsigned operations;
};

/* What was seen of one operation; all zero when it was not. */
struct seen_operation seen_operation(const struct seen *s, const char *name);

struct both {
	struct seen client, server;
};

struct both seen_between(
	const struct traffic_cgroup *client, const struct traffic_cgroup *server, uint16_t port);

/* For capture_read(); ctx is a struct both. */
void seen_add(void *ctx, const struct capture_edge *e);

/*
 * Read windows until both ends have `calls` calls, answered or not, or 15 s are over: how a
 * connection ended is known when the kernel gets round to its last segment. 0 or -errno.
 */
int seen_wait_end(struct capture *c, struct both *b, uint64_t calls);

/* Read windows until both ends have `calls` calls, or 15 s are over. 0 or -errno of a read. */
int seen_wait(struct capture *c, struct both *b, uint64_t calls);

#endif
