/* What the parts of `sage-agent run` share: its main loop and its answers. One thread. */
#ifndef SAGE_AGENT_RUN_STATE_H
#define SAGE_AGENT_RUN_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/actuator.h"
#include "agent/collect.h"
#include "agent/kubernetes.h"
#include "agent/run.h"
#include "agent/tick.h"
#include "agent/uplink.h"

#define RUN_WATCHES 8

struct agent;

struct watch {
	void (*handler)(struct agent *a);
};

struct agent {
	const struct run_options *o;
	struct collector *collector;
	struct actuator *actuator; /* NULL when its state directory cannot be used */
	struct uplink *uplink;
	struct kubernetes *kubernetes; /* NULL without a cluster */
	struct control *control;       /* NULL when its socket cannot be made */
	struct tick tick;
	int epoll, signals;
	struct watch watch[RUN_WATCHES];
	unsigned watches;
	struct wire_window *window; /* the last one; the collector's. NULL before the first */
	uint64_t started_ns;        /* monotonic */
	uint64_t ticks, windows, late;
	int push_error, lease_error; /* told already; 0 when the last one went well */
	bool stopping;
};

#endif
