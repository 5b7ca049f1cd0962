/*
 * RPC over unix stream sockets beside the connections of capture.h, in the same tables of edges.
 *
 * The kernel half is bpf/unix.bpf.c. It is loaded beside a strategy whose receives go on to it,
 * and outlived by that; who reads the tables ends windows here too. What sees the senders costs
 * TCP a little, so it is attached in the window after RPC was first seen over such a socket and
 * detached when there has been none for a minute. One thread.
 */
#ifndef SAGE_AGENT_CAPTURE_UNIX_H
#define SAGE_AGENT_CAPTURE_UNIX_H

#include <stdint.h>

#include "agent/capture.h"
#include "agent/probe.h"

struct capture_unix;

/*
 * Load beside `rpc`. Returns 0, -ENOTSUP when that strategy's receives do not go on anywhere, or
 * -errno; what the kernel said is in the log.
 */
int capture_unix_open(
	struct capture_unix **u, const struct probe *rpc, const struct capture_options *o);

/* Count what has been quiet, in the window that is under way. 0 or -errno. */
int capture_unix_flush(struct capture_unix *u);

/* Count into window `epoch` from now on, and attach or detach what the last one calls for. */
void capture_unix_window(struct capture_unix *u, uint32_t epoch);

/* Add what was not captured since the start. */
void capture_unix_losses(const struct capture_unix *u, uint64_t loss[WIRE_LOSSES]);

/* Lines for capture_support(); `u` is NULL when it is not there. */
void capture_unix_support(const struct capture_unix *u,
	void (*line)(void *ctx, const char *feature, const char *how, const char *blind),
	void *ctx);

/* Detach and release. Takes NULL. */
void capture_unix_close(struct capture_unix *u);

#endif
