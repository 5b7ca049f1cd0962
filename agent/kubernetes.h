/*
 * Names from Kubernetes: which pod and workload a container id belongs to.
 *
 * One streaming watch of the pods of this node, and of nothing else, on the API
 * server (https://kubernetes.io/docs/reference/using-api/api-concepts, "watch"
 * with resourceVersion 0: the pods there are come first, then the changes). The
 * stream is taken up again with a growing pause when it ends. The table of pods
 * is bounded; what does not fit keeps the names of its cgroup and is counted.
 * One thread; nothing blocks: everything hangs on one descriptor.
 */
#ifndef SAGE_AGENT_KUBERNETES_H
#define SAGE_AGENT_KUBERNETES_H

#include <stdbool.h>
#include <stdint.h>

#include "common/wire.h"

struct kubernetes;

struct kubernetes_options {
	const char *server;     /* "https://10.0.0.1:443" */
	const char *token_file; /* read again for every request: tokens rotate; NULL = none */
	const char *ca_file;    /* NULL = none */
	const char *node;       /* this node's name, as the cluster calls it */
	uint32_t max_pods;
};

struct kubernetes_stats {
	uint32_t pods;
	uint64_t events, refused, malformed, reconnects;
	bool connected;
	char trouble[WIRE_NAME]; /* why the last stream ended; "" when it has not */
};

/* The options of the cluster this process runs in. False, and *o untouched, when in none. */
bool kubernetes_in_cluster(struct kubernetes_options *o);

/* Start watching. Strings of `o` must outlive it. Returns 0, -EINVAL or -ENOMEM. */
int kubernetes_open(struct kubernetes **k, const struct kubernetes_options *o);

/* Readable when there is something to do: call kubernetes_events(). */
int kubernetes_fd(const struct kubernetes *k);
void kubernetes_events(struct kubernetes *k);

/*
 * The workload (service) and container name of a container id or of its first
 * 12 characters. False, with both untouched, when no pod here has it.
 */
bool kubernetes_name(const struct kubernetes *k, const char *container_id, char service[WIRE_NAME],
	char container[WIRE_NAME]);

void kubernetes_stats(const struct kubernetes *k, struct kubernetes_stats *out);

/* Safe on NULL. */
void kubernetes_close(struct kubernetes *k);

#endif
