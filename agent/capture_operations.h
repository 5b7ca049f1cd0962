/*
 * The operations that the edges of ended windows are broken down into.
 *
 * Use, per window: operations_collect(); operations_of() for each edge, while it still has its
 * place; operations_give_back(). Memory is taken by open. One thread, that of capture.h.
 */
#ifndef SAGE_AGENT_CAPTURE_OPERATIONS_H
#define SAGE_AGENT_CAPTURE_OPERATIONS_H

#include "agent/capture.h"
#include "agent/probe.h"
#include "bpf/event.h"

/* What one edge is broken down into, at most; the rest of its calls are told only as a sum. */
#define EDGE_OPERATIONS 16

struct capture_operations {
	int keys, values, free; /* maps */
	uint32_t room;
	uint32_t count;                   /* of ended windows, collected */
	struct place_of_operation *place; /* [room] by edge */
	struct capture_operation *one;    /* [one_room] of the edge asked for last */
	uint32_t one_room;
	struct rpc_operation_calls value, empty;
};

/* Before the probe is loaded: room for `room` operations in a window, 0 = none are told apart. */
int operations_configure(struct probe *p, uint32_t room);

/* After: 0, -ENOENT or -ENOMEM; on failure close. */
int operations_open(struct capture_operations *o, struct probe *p, uint32_t room);

/* Find those of all windows but `epoch`. */
void operations_collect(struct capture_operations *o, uint32_t epoch);

/* Those of the edge at place `edge`; good until the next call. */
const struct capture_operation *operations_of(
	struct capture_operations *o, uint32_t edge, unsigned protocol, uint32_t *count);

/* Empty and free the places of all that were collected. */
void operations_give_back(struct capture_operations *o);

/* Safe on a zeroed struct and twice. */
void operations_close(struct capture_operations *o);

#endif
