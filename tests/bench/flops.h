/*
 * Counts the floating-point operations that pass through sgemm: programs linked with
 * -Wl,--wrap=cblas_sgemm. Any thread; off until started, since counting costs time.
 */
#ifndef SAGE_TESTS_BENCH_FLOPS_H
#define SAGE_TESTS_BENCH_FLOPS_H

#include <stdint.h>

void flops_start(void);

/* Stop counting; how many since the start (a multiply and an add are two). */
uint64_t flops_stop(void);

#endif
