/*
 * A small shop on two nodes, acted: what two agents would ship about it, second by second.
 *
 * Every request walks the calls below it, so latencies at both ends, self times and the
 * counters agree with each other as they do in a real application. When `stock` is
 * throttled its CPU limit falls and some of its calls wait for the next period; everything
 * above it gets slow with it. The same seed gives the same shop. One thread.
 */
#ifndef SAGE_TESTS_SHOP_H
#define SAGE_TESTS_SHOP_H

#include <stdbool.h>

#include "common/wire.h"
#include "tests/testbed/random.h"

#define SHOP_NODES 2
#define SHOP_SERVICES 9
#define SHOP_EDGES 11
#define SHOP_LIMIT 1000    /* of stock's CPU, in 1/1000 core: its normal */
#define SHOP_THROTTLED 250 /* and when it is throttled */

extern const char *const shop_node[SHOP_NODES];

struct shop_calls {
	struct hist client, server, self; /* client end; server end; without its own calls */
};

struct shop {
	struct random random;
	uint64_t second;                    /* Unix; the next one to be played */
	int64_t limit;                      /* of stock's CPU, in 1/1000 core */
	struct shop_calls edge[SHOP_EDGES]; /* of the second played last */
};

void shop_init(struct shop *s, uint64_t second);

/* Play one second. */
void shop_play(struct shop *s);

/*
 * The second played last as the agent of a node ships it; release with
 * wire_window_close(). Returns 0 or -ENOMEM.
 */
int shop_window(const struct shop *s, unsigned node, struct wire_window *out);

#endif
