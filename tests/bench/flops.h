/*
 * Counts the floating-point operations of perceptrons: programs linked with
 * -Wl,--wrap=mlp_forward,--wrap=mlp_backward. Any thread; off until started.
 */
#ifndef SAGE_TESTS_BENCH_FLOPS_H
#define SAGE_TESTS_BENCH_FLOPS_H

#include <stdint.h>

void flops_start(void);

/* Stop counting; how many since the start (a multiply and an add are two). */
uint64_t flops_stop(void);

#endif
