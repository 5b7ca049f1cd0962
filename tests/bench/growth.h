/*
 * By which power of its services the time to diagnose an application grows: one line and one row
 * of JSON per shape, and pair of sizes.
 */
#ifndef SAGE_TESTS_BENCH_GROWTH_H
#define SAGE_TESTS_BENCH_GROWTH_H

#include <jansson.h>

#include "tests/bench/model_case.h"

/* Of cases of the same shape and windows, from `least` services on. `count` cases, small ones
 * first.
 */
json_t *growth_print(const struct synthetic *list, const struct model_case *result, size_t count,
	unsigned least);

#endif
