/*
 * What was measured: one float per window, entity and metric. NaN = absent.
 *
 * Columns are contiguous in time, so `value(column)[w]` walks one metric through
 * the windows. Windows are in ascending order of their start and may have gaps;
 * none overlap. One owner at a time; copy to hand to another thread.
 */
#ifndef SAGE_ANALYZER_SERIES_H
#define SAGE_ANALYZER_SERIES_H

#include <stddef.h>
#include <stdint.h>

#define SERIES_NONE UINT32_MAX

struct series_column {
	uint32_t entity;    /* number in the graph */
	uint32_t name;      /* number of the metric's name in this series */
	const char *metric; /* that name: "server_p99_us" */
	float *value;       /* [capacity], the first `windows` are meaningful; owned */
};

struct series_list; /* the columns of one entity */

struct series {
	double window_s; /* length of a window; 0 while unknown */
	size_t windows, capacity;
	double *start_s;              /* [capacity] Unix seconds, owned */
	struct series_column *column; /* [columns] */
	uint32_t columns;
	struct series_list *of; /* [lists] by entity; owned */
	size_t lists;
	char **name; /* [names] of metrics, each once; owned */
	uint32_t names;
	void *index; /* name -> its number */
};

void series_init(struct series *s, double window_s);
void series_clear(struct series *s);
int series_copy(struct series *to, const struct series *from);

/* Find or make a column (filled with NaN). SERIES_NONE when out of memory. */
uint32_t series_column(struct series *s, uint32_t entity, const char *metric);

/* Look up only. SERIES_NONE when absent. */
uint32_t series_find(const struct series *s, uint32_t entity, const char *metric);

/* How many columns an entity has, and the metric of the i'th: in the order in which the series
 * first met their names. */
uint32_t series_columns_of(const struct series *s, uint32_t entity);
const char *series_metric_of(const struct series *s, uint32_t entity, uint32_t i);

/* Values of a metric through time, or NULL when there is no such column. */
const float *series_values(const struct series *s, uint32_t entity, const char *metric);

/*
 * The row for a window that starts at start_s, made if new: appended when it is
 * the newest, inserted otherwise. New rows are all NaN. Returns its number, or
 * -ENOMEM.
 */
long series_row(struct series *s, double start_s);

/* What is not finite was not measured. */
void series_set(struct series *s, size_t row, uint32_t column, float value);

/* Forget the oldest rows so that at most `keep` remain. */
void series_trim(struct series *s, size_t keep);

/* Rows [*from, *to) whose start lies in [from_s, to_s). */
void series_range(const struct series *s, double from_s, double to_s, size_t *from, size_t *to);

#endif
