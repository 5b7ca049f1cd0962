#include "tests/bench/line.h"

#include <math.h>

static double mean(const double *value, size_t n)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += value[i];
	return sum / (double)n;
}

struct line line_fit(const double *x, const double *y, size_t n)
{
	double at = mean(x, n), xx = 0, xy = 0, residual = 0;
	struct line l = {.mean = mean(y, n)};

	for (size_t i = 0; i < n; i++) {
		xx += (x[i] - at) * (x[i] - at);
		xy += (x[i] - at) * (y[i] - l.mean);
	}
	l.slope = xy / xx;
	for (size_t i = 0; i < n; i++) {
		double off = y[i] - l.mean - l.slope * (x[i] - at);

		residual += off * off;
	}
	l.slope_error = sqrt(residual / (double)(n - 2) / xx);
	return l;
}
