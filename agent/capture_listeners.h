/* The ports that are listened on now, in every network namespace that has a process. */
#ifndef SAGE_AGENT_CAPTURE_LISTENERS_H
#define SAGE_AGENT_CAPTURE_LISTENERS_H

#include "bpf/event.h"

/*
 * Hand each listening TCP port to `each`, possibly more than once. Reads /proc; a
 * process that ends meanwhile or may not be read is passed over. 0 or -errno.
 */
int capture_listeners_scan(
	const char *proc, void (*each)(void *ctx, const struct rpc_listener *l), void *ctx);

#endif
