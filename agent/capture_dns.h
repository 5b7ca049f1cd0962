/*
 * DNS over UDP beside the connections of capture.h, in the same tables of edges.
 *
 * The kernel half is bpf/dns.bpf.c. It is loaded beside a strategy that is loaded and outlives
 * it; who reads the tables ends windows here too. One thread.
 */
#ifndef SAGE_AGENT_CAPTURE_DNS_H
#define SAGE_AGENT_CAPTURE_DNS_H

#include <stdint.h>

#include "agent/capture.h"
#include "agent/probe.h"

struct capture_dns;

/* Load beside `rpc` and attach. Returns 0 or -errno; what the kernel said is in the log. */
int capture_dns_open(
	struct capture_dns **d, const struct probe *rpc, const struct capture_options *o);

/* Count what has waited too long, in the window that is under way. 0 or -errno. */
int capture_dns_flush(struct capture_dns *d);

/* Count into window `epoch` from now on. */
void capture_dns_window(struct capture_dns *d, uint32_t epoch);

/* Add what was not captured since the start. */
void capture_dns_losses(const struct capture_dns *d, uint64_t loss[WIRE_LOSSES]);

/* A line for capture_support(); `d` is NULL when it is off, or was refused with `error`. */
void capture_dns_support(const struct capture_dns *d, int error,
	void (*line)(void *ctx, const char *feature, const char *how, const char *blind),
	void *ctx);

/* Detach and release. Takes NULL. */
void capture_dns_close(struct capture_dns *d);

#endif
