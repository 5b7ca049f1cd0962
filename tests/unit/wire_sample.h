/*
 * Windows like a busy node sends them, from a seed: for the tests of whatever
 * carries them. The caller closes what it gets.
 */
#ifndef SAGE_TESTS_WIRE_SAMPLE_H
#define SAGE_TESTS_WIRE_SAMPLE_H

#include "common/wire.h"

/* Containers with noisy counters, edges with `calls` lognormal latencies each. */
void sample_window(
	struct wire_window *w, uint32_t containers, uint32_t edges, unsigned calls, uint64_t seed);

/* Break the edges down: three operations for every other one, which share its calls. */
void sample_operations(struct wire_window *w);

/* Fails the running test where two windows differ; metrics within their 16 bits. */
void assert_windows_equal(const struct wire_window *a, const struct wire_window *b);

#endif
