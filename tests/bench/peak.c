#include "tests/bench/peak.h"

#include <cblas.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"

#define SIDE 768 /* three matrices of 2.3 MB: past where larger ones are faster */

#define CORETYPE "OPENBLAS_CORETYPE"

const char *peak_kernels(void)
{
	return openblas_get_corename();
}

/* What OpenBLAS should have found, or NULL when its own choice is as good. */
static const char *better_kernels(void)
{
#ifdef __x86_64__
	static const char *const old[] = {"Prescott", "Core2", "Nehalem", "Generic"};
	const char *now = peak_kernels();

	for (size_t i = 0; i < sizeof(old) / sizeof(*old); i++) {
		if (strcmp(now, old[i]))
			continue;
		if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
			__builtin_cpu_supports("avx512dq"))
			return "SkylakeX";
		return __builtin_cpu_supports("avx2") ? "Haswell" : NULL;
	}
#endif
	return NULL;
}

void peak_start(char **argv)
{
	const char *want = getenv(CORETYPE) ? NULL : better_kernels();

	if (want && !setenv(CORETYPE, want, 1))
		execv("/proc/self/exe", argv);
}

struct runner {
	pthread_t thread;
	float *block; /* a, b, out, each [SIDE][SIDE]; owned */
	uint64_t from_ns, until_ns, end_ns;
	size_t products;
};

static void *multiply(void *argument)
{
	struct runner *r = argument;
	float *a = r->block, *b = a + SIDE * SIDE, *out = b + SIDE * SIDE;

	do {
		cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, SIDE, SIDE, SIDE, 1, a, SIDE,
			b, SIDE, 0, out, SIDE);
		r->products++;
		r->end_ns = clock_monotonic_ns();
	} while (r->end_ns < r->until_ns);
	return NULL;
}

static int open_runner(struct runner *r)
{
	size_t count = (size_t)3 * SIDE * SIDE;

	r->block = malloc(count * sizeof(float));
	if (!r->block)
		return -1;
	for (size_t i = 0; i < count; i++)
		r->block[i] = (float)(i % 17) / 17;
	return 0;
}

static double rate(const struct runner *r)
{
	double flops = 2.0 * SIDE * SIDE * SIDE * (double)r->products;

	return r->products ? flops / (double)(r->end_ns - r->from_ns) : 0;
}

double peak_gflops(unsigned threads, double seconds)
{
	struct runner runner[PEAK_THREADS] = {0};
	unsigned open = 0, started = 1;
	uint64_t now_ns;
	double sum = 0;

	openblas_set_num_threads(1); /* the threads are ours */
	while (open < threads && !open_runner(&runner[open]))
		open++;
	now_ns = clock_monotonic_ns();
	for (unsigned i = 0; i < open; i++) {
		runner[i].from_ns = now_ns;
		runner[i].until_ns = now_ns + (uint64_t)(seconds * 1e9);
	}
	while (open == threads && started < threads &&
		!pthread_create(&runner[started].thread, NULL, multiply, &runner[started]))
		started++;
	if (open == threads)
		multiply(&runner[0]);
	for (unsigned i = 1; i < started; i++)
		pthread_join(runner[i].thread, NULL);
	for (unsigned i = 0; i < open; i++) {
		sum += rate(&runner[i]);
		free(runner[i].block);
	}
	return open == threads && started == threads ? sum : 0;
}
