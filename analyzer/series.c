#include "analyzer/series.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "analyzer/index.h"

/* Two starts nearer than this are the same window: times travel as decimals. */
#define SAME_START_S 1e-3

void series_init(struct series *s, double window_s)
{
	memset(s, 0, sizeof(*s));
	s->window_s = window_s;
}

void series_clear(struct series *s)
{
	for (uint32_t i = 0; i < s->columns; i++) {
		free(s->column[i].metric);
		free(s->column[i].value);
	}
	free(s->column);
	free(s->start_s);
	index_free(s->index);
	series_init(s, 0);
}

struct key {
	uint32_t entity;
	const char *metric;
};

static uint64_t key_hash(const struct key *k)
{
	return XXH3_64bits_withSeed(k->metric, strlen(k->metric), k->entity);
}

static bool has_key(const void *owner, uint32_t number, const void *key)
{
	const struct series *s = owner;
	const struct key *k = key;

	return s->column[number].entity == k->entity &&
	       !strcmp(s->column[number].metric, k->metric);
}

uint32_t series_find(const struct series *s, uint32_t entity, const char *metric)
{
	struct key k = {entity, metric};
	uint32_t number = index_find(s->index, key_hash(&k), has_key, s, &k);

	return number == INDEX_NONE ? SERIES_NONE : number;
}

const float *series_values(const struct series *s, uint32_t entity, const char *metric)
{
	uint32_t column = series_find(s, entity, metric);

	return column == SERIES_NONE ? NULL : s->column[column].value;
}

static void fill_absent(float *value, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		value[i] = NAN;
}

static bool column_room(struct series *s)
{
	uint32_t used = s->columns;
	struct series_column *bigger;

	if (used & (used - 1))
		return true;
	bigger = realloc(s->column, (used ? 2 * (size_t)used : 1) * sizeof(*bigger));
	if (bigger)
		s->column = bigger;
	return bigger;
}

uint32_t series_column(struct series *s, uint32_t entity, const char *metric)
{
	uint32_t number = series_find(s, entity, metric);
	struct key k = {entity, metric};
	struct index *index = s->index;
	struct series_column c = {.entity = entity};

	if (number != SERIES_NONE)
		return number;
	number = s->columns;
	if (number == SERIES_NONE || !column_room(s))
		return SERIES_NONE;
	c.metric = strdup(metric);
	c.value = malloc((s->capacity ? s->capacity : 1) * sizeof(*c.value));
	if (!c.metric || !c.value || index_add(&index, key_hash(&k), number)) {
		free(c.metric);
		free(c.value);
		return SERIES_NONE;
	}
	s->index = index;
	fill_absent(c.value, 0, s->capacity);
	s->column[s->columns++] = c;
	return number;
}

/* Every column grows before `capacity` does, so a failure half way leaves a usable series. */
static int row_room(struct series *s, size_t want)
{
	size_t capacity = s->capacity ? s->capacity : 64;
	double *start;

	if (want <= s->capacity)
		return 0;
	while (capacity < want)
		capacity *= 2;
	start = realloc(s->start_s, capacity * sizeof(*start));
	if (!start)
		return -ENOMEM;
	s->start_s = start;
	for (uint32_t i = 0; i < s->columns; i++) {
		float *value = realloc(s->column[i].value, capacity * sizeof(*value));

		if (!value)
			return -ENOMEM;
		fill_absent(value, s->capacity, capacity);
		s->column[i].value = value;
	}
	s->capacity = capacity;
	return 0;
}

/* The first row that starts at or after `start_s`. */
static size_t lower_bound(const struct series *s, double start_s)
{
	size_t low = 0, high = s->windows;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (s->start_s[middle] < start_s)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

long series_row(struct series *s, double start_s)
{
	size_t row = lower_bound(s, start_s - SAME_START_S);
	size_t after = s->windows - row;

	if (row < s->windows && s->start_s[row] < start_s + SAME_START_S)
		return (long)row;
	if (row_room(s, s->windows + 1))
		return -ENOMEM;
	memmove(s->start_s + row + 1, s->start_s + row, after * sizeof(*s->start_s));
	s->start_s[row] = start_s;
	for (uint32_t i = 0; i < s->columns; i++) {
		float *value = s->column[i].value;

		memmove(value + row + 1, value + row, after * sizeof(*value));
		value[row] = NAN;
	}
	s->windows++;
	return (long)row;
}

void series_set(struct series *s, size_t row, uint32_t column, float value)
{
	s->column[column].value[row] = isfinite(value) ? value : NAN;
}

void series_trim(struct series *s, size_t keep)
{
	size_t gone;

	if (s->windows <= keep)
		return;
	gone = s->windows - keep;
	memmove(s->start_s, s->start_s + gone, keep * sizeof(*s->start_s));
	for (uint32_t i = 0; i < s->columns; i++) {
		float *value = s->column[i].value;

		memmove(value, value + gone, keep * sizeof(*value));
		fill_absent(value, keep, s->windows);
	}
	s->windows = keep;
}

void series_range(const struct series *s, double from_s, double to_s, size_t *from, size_t *to)
{
	*from = lower_bound(s, from_s);
	*to = lower_bound(s, to_s);
	if (*to < *from)
		*to = *from;
}

int series_copy(struct series *to, const struct series *from)
{
	struct series s;

	series_init(&s, from->window_s);
	if (row_room(&s, from->windows))
		goto no_memory;
	for (uint32_t i = 0; i < from->columns; i++) {
		uint32_t column = series_column(&s, from->column[i].entity, from->column[i].metric);

		if (column == SERIES_NONE)
			goto no_memory;
		memcpy(s.column[column].value, from->column[i].value,
			from->windows * sizeof(float));
	}
	if (from->windows)
		memcpy(s.start_s, from->start_s, from->windows * sizeof(*s.start_s));
	s.windows = from->windows;
	*to = s;
	return 0;
no_memory:
	series_clear(&s);
	return -ENOMEM;
}
