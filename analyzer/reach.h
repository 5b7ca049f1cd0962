/*
 * How far an intervention reaches: the decoders that read, directly or through others, what it
 * sets, and which of their inputs it changes.
 *
 * The map of a network is made once and only read, by any number of threads; each has a reach of
 * its own. To follow an intervention takes as long as it reaches far, however large the network is.
 *
 * Legend as in gvae.h: S sources, nodes in topological order.
 */
#ifndef SAGE_ANALYZER_REACH_H
#define SAGE_ANALYZER_REACH_H

#include "analyzer/gvae.h"

struct reach_reader {
	uint32_t node, input; /* a decoder, and which of its inputs the source is */
};

struct reach_map {
	const struct gvae *g;
	uint32_t *node_of;      /* [ys] the node that has the Y column; owner of what follows */
	uint32_t *first_reader; /* [S + 1] readers of a source, in reader[] */
	uint32_t *first_latent; /* [nodes + 1] inputs of a node that are latents, in latent[] */
	uint32_t *latent;       /* [first_latent[nodes]] */
	uint32_t *first_edge;   /* [entities + 1] edges into a service, in edge[] */
	uint32_t *edge;         /* [first_edge[entities]] */
	uint32_t inputs;        /* of all nodes */
	struct reach_reader *reader; /* [inputs] owned */
};

/* Returns 0 or -ENOMEM. The network must outlive the map. */
int reach_map_open(struct reach_map *map, const struct gvae *g);
void reach_map_close(struct reach_map *map);

/* An input that differs from what was measured: set, or a latent that is drawn. */
struct reach_change {
	uint32_t source, input;
	uint32_t next; /* change of the same node, or GVAE_NONE */
};

struct reach {
	const struct reach_map *map;
	uint32_t *source, sources; /* [sources] moved: set, or decoded anew; owner of the numbers */
	uint32_t *node, nodes;     /* [nodes] touched, in topological order once followed */
	uint32_t *place;           /* [nodes of the network] index in node[], or GVAE_NONE */
	uint32_t *change_of;       /* [nodes of the network] of a touched one: its first change */
	struct reach_change *change; /* owned */
	uint32_t changes;
	bool *moved; /* [S] owned */
};

/* Returns 0 or -ENOMEM. The map must outlive it. */
int reach_open(struct reach *r, const struct reach_map *map);
void reach_close(struct reach *r);

/* Forget the last intervention; then set sources, then follow them. */
void reach_begin(struct reach *r);
void reach_set(struct reach *r, uint32_t source);

/* As model.h has it: of a service, by its entity, and of the network of the calls into it unless
 * its own latent alone is meant. */
void reach_set_service(struct reach *r, uint32_t z, enum resource resource);

void reach_follow(struct reach *r);

#endif
