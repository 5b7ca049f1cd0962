/*
 * The sgemm peak of this machine: large square products, one in each thread, as fast as
 * matrix.h does them. What the model reaches is shown beside it.
 */
#ifndef SAGE_TESTS_BENCH_PEAK_H
#define SAGE_TESTS_BENCH_PEAK_H

#define PEAK_THREADS 64

/* GFLOP/s of `threads` (1 .. PEAK_THREADS) at once, over about `seconds`. 0 when out of memory. */
double peak_gflops(unsigned threads, double seconds);

#endif
