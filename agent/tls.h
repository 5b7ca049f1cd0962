/*
 * The contents of TLS: programs on the functions of the libraries processes use.
 *
 * A file is attached to once, for all processes that run it, present and future, and
 * detached when none has for a while. A file that cannot be attached to is told of once
 * and counted; its processes are not affected. Opt-in, as it costs each read and write
 * through the library and needs CAP_SYS_ADMIN as long as it runs. One thread.
 */
#ifndef SAGE_AGENT_TLS_H
#define SAGE_AGENT_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/probe.h"

struct tls;

/*
 * Load beside `rpc`, which is loaded and outlives it, and attach to what runs. `received`: to
 * reads as well, which cost most. Returns 0 or -errno.
 */
int tls_open(struct tls **t, const struct probe *rpc, bool received);

/* Once per window: attach to what is new, detach from what nobody uses. */
void tls_refresh(struct tls *t);

/* "uprobes: files 3, programs 14, files refused 1", for a person. */
void tls_describe(const struct tls *t, char *text, size_t size);

/* Detach and release. Takes NULL. */
void tls_close(struct tls *t);

#endif
