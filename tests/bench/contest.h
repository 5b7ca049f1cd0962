/*
 * The job of cvae.h, done by the analyzer's engine and by PyTorch in turns, beside the sgemm peak
 * of the same moments: medians of ratios hold where the machine is busy with other things.
 */
#ifndef SAGE_TESTS_BENCH_CONTEST_H
#define SAGE_TESTS_BENCH_CONTEST_H

#include <jansson.h>

struct contest_options {
	unsigned epochs, rounds, threads;
};

/* Run, print, and return what was measured; NULL after saying what failed. Without PyTorch that is
 * said, and only the engine measured. */
json_t *contest_run(const struct contest_options *o);

#endif
