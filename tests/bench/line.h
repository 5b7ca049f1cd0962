/* A straight line through samples, by least squares. */
#ifndef SAGE_TESTS_BENCH_LINE_H
#define SAGE_TESTS_BENCH_LINE_H

#include <stddef.h>

struct line {
	double mean;
	double slope;       /* y per x */
	double slope_error; /* its standard error, were the samples independent */
};

/* n > 2, and not all x the same. */
struct line line_fit(const double *x, const double *y, size_t n);

#endif
