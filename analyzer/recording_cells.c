#include "analyzer/recording_cells.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_VALUES ((size_t)1 << 30) /* 4 GiB of floats */

int cells_push(struct cells *c, const struct cell *cell)
{
	if (c->count == c->capacity) {
		size_t capacity = c->capacity ? 2 * c->capacity : 4096;
		struct cell *bigger = realloc(c->cell, capacity * sizeof(*bigger));

		if (!bigger)
			return -ENOMEM;
		c->cell = bigger;
		c->capacity = capacity;
	}
	c->cell[c->count++] = *cell;
	return 0;
}

void cells_clear(struct cells *c)
{
	free(c->cell);
	memset(c, 0, sizeof(*c));
}

static int by_time(const void *a, const void *b)
{
	const struct cell *x = a, *y = b;

	if (x->start_s != y->start_s)
		return x->start_s < y->start_s ? -1 : 1;
	return (x->line > y->line) - (x->line < y->line);
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* The most frequent step between starts, the shorter one of equals; 0 for one window. */
static int usual_step(const double *start_s, size_t windows, double *out)
{
	double *step;
	size_t best = 0;

	*out = 0;
	if (windows < 2)
		return 0;
	step = malloc((windows - 1) * sizeof(*step));
	if (!step)
		return -ENOMEM;
	for (size_t i = 0; i + 1 < windows; i++)
		step[i] = round(1e3 * (start_s[i + 1] - start_s[i])) / 1e3;
	qsort(step, windows - 1, sizeof(*step), ascending);
	for (size_t i = 0, run = 0; i + 1 < windows; i++) {
		run = i && step[i] == step[i - 1] ? run + 1 : 1;
		if (run > best) {
			best = run;
			*out = step[i];
		}
	}
	free(step);
	return 0;
}

static size_t count_starts(const struct cells *c)
{
	size_t starts = 0;

	for (size_t i = 0; i < c->count; i++)
		starts += !i || c->cell[i].start_s != c->cell[i - 1].start_s;
	return starts;
}

int cells_into_series(
	struct cells *c, struct series *s, const char *file, char *why, size_t why_size)
{
	if (c->count)
		qsort(c->cell, c->count, sizeof(*c->cell), by_time);
	if (s->columns && count_starts(c) > MAX_VALUES / s->columns) {
		snprintf(why, why_size, "%s: %zu windows of %u columns are more than is kept", file,
			count_starts(c), s->columns);
		return -EFBIG;
	}
	for (size_t i = 0; i < c->count; i++) {
		const struct cell *cell = &c->cell[i];
		long row = series_row(s, cell->start_s);
		float there;

		if (row < 0) {
			snprintf(why, why_size, "%s: out of memory", file);
			return -ENOMEM;
		}
		there = s->column[cell->column].value[row];
		if (!isnan(there) && there != cell->value) {
			snprintf(why, why_size, "%s:%lu: a second, different value of %s at %.15g",
				file, cell->line, s->column[cell->column].metric, cell->start_s);
			return -EBADMSG;
		}
		series_set(s, (size_t)row, cell->column, cell->value);
	}
	if (usual_step(s->start_s, s->windows, &s->window_s)) {
		snprintf(why, why_size, "%s: out of memory", file);
		return -ENOMEM;
	}
	return 0;
}
