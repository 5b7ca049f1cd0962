/*
 * A made-up fleet of nodes and what their agents would send: encoded batches of one second,
 * containers that call each other over two ends. The same seed gives the same bytes.
 */
#ifndef SAGE_TESTS_BENCH_FLEET_H
#define SAGE_TESTS_BENCH_FLEET_H

#include <stddef.h>
#include <stdint.h>

#define FLEET_CALLS 200 /* in each edge and second */

struct made_fleet {
	unsigned nodes, containers; /* containers of each node; two edges each */
	unsigned services;          /* that containers take turns in being */
};

/*
 * The batch of one node's second, numbered by it: *out is the caller's (free). Returns 0 or
 * -ENOMEM.
 */
int made_fleet_batch(const struct made_fleet *f, unsigned node, uint64_t start_s, uint64_t sequence,
	void **out, size_t *size);

#endif
