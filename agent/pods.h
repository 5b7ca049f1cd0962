/*
 * The pods of this node, by container id: what the watch has told so far.
 *
 * Filled from the JSON of watch events. Bounded: `max` pods of up to
 * PODS_CONTAINERS containers, taken at open. One thread.
 */
#ifndef SAGE_AGENT_PODS_H
#define SAGE_AGENT_PODS_H

#include <stdint.h>

#include "common/wire.h"

#define PODS_CONTAINERS 16
#define PODS_ID 13 /* the first 12 characters of a container id, and a zero */

struct pod_container {
	char id[PODS_ID];
	char name[WIRE_NAME];
};

struct pod {
	char uid[40]; /* "" marks a free slot */
	char workload[WIRE_NAME];
	uint32_t containers;
	struct pod_container container[PODS_CONTAINERS];
};

struct pods {
	struct pod *pod; /* [max] */
	uint32_t max, used;
	uint64_t refused; /* pods and containers that did not fit */
	char version[32]; /* resourceVersion to go on from; "0" = from the start */
};

enum pods_result {
	PODS_TAKEN,
	PODS_RESTART,  /* the server has forgotten our place: start again from 0 */
	PODS_MALFORMED /* not a watch event; ignored */
};

/* Returns 0, -EINVAL (max 0) or -ENOMEM. */
int pods_open(struct pods *p, uint32_t max);
void pods_close(struct pods *p);

/* Take one line of the stream. */
enum pods_result pods_event(struct pods *p, const char *line, size_t length);

/* The watch starts from 0 and will tell of every pod again: forget them all. */
void pods_restart(struct pods *p);

const struct pod *pods_find(
	const struct pods *p, const char *container_id, const struct pod_container **container);

#endif
