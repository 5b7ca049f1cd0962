/*
 * `sage-agent run`: collect a window, ship it, keep the leases, answer the command
 * line. One thread, one epoll set.
 */
#ifndef SAGE_AGENT_RUN_H
#define SAGE_AGENT_RUN_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/actuator.h"
#include "agent/collect.h"
#include "common/net.h"

#define RUN_ALLOW 64

struct run_options {
	const char *analyzer; /* "tcp://host:7411"; NULL = none: windows are spooled */
	const char *node;
	const char *spool_dir; /* NULL = in memory */
	size_t spool_bytes;
	unsigned spool_hours; /* windows older than this are dropped */
	const char *state_dir;
	const char *control;
	struct net_tls tls; /* all NULL without */
	const char *key_file;
	enum actuator_mode mode;
	const char *allow[RUN_ALLOW + 1]; /* NULL-terminated */
	unsigned interval_ms;
	bool once; /* collect one window, print it, leave */
	struct collect_options collect;
};

/* Returns the exit status of the process: 0 after SIGTERM or SIGINT, else 1. */
int run(const struct run_options *o);

#endif
