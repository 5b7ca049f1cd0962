/*
 * The values of metrics.csv on their way into a series.
 *
 * The file may have its lines in any order, and inserting a window into a series
 * moves every column; so values are gathered first and laid out once, when all
 * times are known. One thread at a time.
 */
#ifndef SAGE_ANALYZER_RECORDING_CELLS_H
#define SAGE_ANALYZER_RECORDING_CELLS_H

#include "analyzer/series.h"

struct cell {
	double start_s;
	unsigned long line; /* where it stood, for messages */
	uint32_t column;
	float value;
};

struct cells {
	struct cell *cell; /* [count] owned */
	size_t count, capacity;
};

/* Returns 0 or -ENOMEM. */
int cells_push(struct cells *c, const struct cell *cell);

/*
 * Make the windows and fill them; the length of a window becomes the most frequent
 * step between successive times. The columns must exist. Returns 0, -ENOMEM, -EFBIG
 * (more windows times columns than are kept), or -EBADMSG when one cell has two different
 * values; `why` is then filled, with `file` in front.
 */
int cells_into_series(
	struct cells *c, struct series *s, const char *file, char *why, size_t why_size);

void cells_clear(struct cells *c);

#endif
