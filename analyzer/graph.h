/*
 * The services and hosts of an application and the calls between services:
 * the entities that metrics belong to.
 *
 * An entity keeps its number for the life of the graph. Service `user` is the
 * outside world. An edge's name is `caller->callee`, a host's `host:NAME`, as in
 * the import format. Not locked: its owner is the thread that owns the
 * surrounding recording.
 */
#ifndef SAGE_ANALYZER_GRAPH_H
#define SAGE_ANALYZER_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GRAPH_NONE UINT32_MAX
#define GRAPH_USER "user"

enum entity_kind { ENTITY_SERVICE, ENTITY_EDGE, ENTITY_HOST };

struct entity {
	enum entity_kind kind;
	char *name;              /* owned */
	uint32_t caller, callee; /* edge: entity numbers of its services; else GRAPH_NONE */
	uint32_t host;           /* service: entity number of its host, or GRAPH_NONE */
	char protocol[16];       /* edge; may be empty */
	uint32_t *out, *in; /* service: numbers of the edges it calls on, is called on; owned */
	uint32_t outs, ins;
};

struct graph {
	struct entity *entity; /* [entities] */
	uint32_t entities;
	void *index; /* name -> number */
};

void graph_init(struct graph *g);
void graph_clear(struct graph *g);

/* Deep copy. Returns 0 or -ENOMEM. */
int graph_copy(struct graph *to, const struct graph *from);

/*
 * Find or make. Return the entity's number, or GRAPH_NONE when out of memory
 * or, for graph_entity(), when the name is malformed: empty, "a->" or "host:".
 */
uint32_t graph_service(struct graph *g, const char *name);
uint32_t graph_edge(struct graph *g, const char *caller, const char *callee);
uint32_t graph_host(struct graph *g, const char *name_with_prefix);
uint32_t graph_entity(struct graph *g, const char *name); /* decides by the form of the name */

/* Look up only. GRAPH_NONE when absent. */
uint32_t graph_find(const struct graph *g, const char *name);

/* Is a name fit to be shown and written: UTF-8 without control characters? */
bool graph_can_show(const char *name);

/*
 * Services ordered so that callees come before callers; members of a call
 * cycle stand in the order of their numbers, and `cyclic`, if not NULL, is set
 * for each of them. `order` [entities] receives service numbers only.
 * Returns how many, or -ENOMEM.
 */
long graph_order(const struct graph *g, uint32_t *order, bool *cyclic);

#endif
