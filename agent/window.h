/*
 * One window being filled: containers with their metrics, and the edges between
 * them. The arrays are taken at open and used again for every window; what does
 * not fit is counted. One thread.
 */
#ifndef SAGE_AGENT_WINDOW_H
#define SAGE_AGENT_WINDOW_H

#include <stdbool.h>

#include "agent/capture.h"
#include "agent/containers.h"
#include "common/wire.h"

struct window {
	struct wire_window wire; /* what is sent; its arrays are owned here */
	uint32_t max_containers, max_edges, max_operations;
	uint32_t *place; /* [max_containers] slot in the container table -> index in `wire` */
	bool *by_calls;  /* [max_containers] network metrics come from the calls */
	uint64_t edges_refused;      /* since open */
	uint64_t operations_refused; /* likewise, in calls */
};

/* Returns 0 or -ENOMEM. */
int window_open(
	struct window *w, uint32_t max_containers, uint32_t max_edges, uint32_t max_operations);

/* Forget the last window and start one. Times as in struct wire_window. */
void window_begin(struct window *w, uint64_t start_ns, uint64_t duration_ns);

/* Add a live container; the caller fills its metrics. */
struct wire_container *window_add_container(
	struct window *w, uint32_t slot, const struct container *c);

/*
 * Add what capture saw, with the operations it is broken down into, if one of its ends is a
 * container; ends that are none are dropped.
 */
void window_add_edge(struct window *w, const struct containers *c, const struct capture_edge *e);

/*
 * All calls of the window are in: containers in the host's network get their bytes as network
 * metrics. Without this call, because they could not be read, those metrics stay absent.
 */
void window_finish(struct window *w);

/* Safe on a zeroed struct and twice. */
void window_close(struct window *w);

#endif
