/* The simulated testbed beside a recording of the real one, service by service. */
#ifndef SAGE_TESTS_BENCH_SIM_RECORDED_H
#define SAGE_TESTS_BENCH_SIM_RECORDED_H

#include <jansson.h>

#include "tests/testbed/topology.h"

/*
 * Print medians over the first windows of a recording, before any incident, and over as many
 * simulated ones of the same length. Returns 0 or -errno, having said why; adds rows.
 */
int sim_recorded_compare(const struct topology *t, const char *directory, json_t *rows);

#endif
