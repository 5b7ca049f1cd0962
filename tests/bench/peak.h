/*
 * The sgemm peak of this machine: large square products, one in each thread, as fast as OpenBLAS
 * does them. What the model reaches is shown beside it.
 */
#ifndef SAGE_TESTS_BENCH_PEAK_H
#define SAGE_TESTS_BENCH_PEAK_H

#define PEAK_THREADS 64

/*
 * Call first in main(). OpenBLAS picks its kernels while the library loads and takes some newer
 * CPUs for one of 2004, at a sixth of their speed: then this starts the program again with
 * OPENBLAS_CORETYPE set, which PyTorch then inherits. Returns when nothing is to be done, or when
 * that failed.
 */
void peak_start(char **argv);

/* OpenBLAS's kernels in use ("Zen", "SkylakeX", "Prescott"). */
const char *peak_kernels(void);

/* GFLOP/s of `threads` (1 .. PEAK_THREADS) at once, over about `seconds`. 0 when out of memory. */
double peak_gflops(unsigned threads, double seconds);

#endif
