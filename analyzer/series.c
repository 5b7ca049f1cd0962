#include "analyzer/series.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "analyzer/index.h"

/* Two starts nearer than this are the same window: times travel as decimals. */
#define SAME_START_S 1e-3

/*
 * A recording has as many columns as it has entities times metrics, but few names of metrics, and
 * who asks goes from entity to entity. So a column is found by its name's number among the few of
 * its entity: what is read lies close together, where a hash of both would be anywhere.
 */
struct place {
	uint32_t name, column;
};

struct series_list {
	struct place *place; /* [count] by name, ascending; owned */
	uint32_t count;
};

void series_init(struct series *s, double window_s)
{
	memset(s, 0, sizeof(*s));
	s->window_s = window_s;
}

void series_clear(struct series *s)
{
	for (uint32_t i = 0; i < s->columns; i++)
		free(s->column[i].value);
	for (uint32_t i = 0; i < s->names; i++)
		free(s->name[i]);
	for (size_t i = 0; i < s->lists; i++)
		free(s->of[i].place);
	free(s->name);
	free(s->of);
	free(s->column);
	free(s->start_s);
	index_free(s->index);
	series_init(s, 0);
}

static uint64_t name_hash(const char *name)
{
	return XXH3_64bits(name, strlen(name));
}

static bool has_name(const void *owner, uint32_t number, const void *key)
{
	const struct series *s = owner;

	return !strcmp(s->name[number], key);
}

static uint32_t find_name(const struct series *s, const char *metric)
{
	return index_find(s->index, name_hash(metric), has_name, s, metric);
}

/* Of an entity's columns, the first whose name is not before this one. */
static uint32_t find_place(const struct series_list *l, uint32_t name)
{
	uint32_t low = 0, high = l->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (l->place[middle].name < name)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

uint32_t series_find(const struct series *s, uint32_t entity, const char *metric)
{
	uint32_t name = entity < s->lists ? find_name(s, metric) : INDEX_NONE, at;
	const struct series_list *l;

	if (name == INDEX_NONE)
		return SERIES_NONE;
	l = &s->of[entity];
	at = find_place(l, name);
	return at < l->count && l->place[at].name == name ? l->place[at].column : SERIES_NONE;
}

uint32_t series_columns_of(const struct series *s, uint32_t entity)
{
	return entity < s->lists ? s->of[entity].count : 0;
}

const char *series_metric_of(const struct series *s, uint32_t entity, uint32_t i)
{
	return s->name[s->of[entity].place[i].name];
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

/* An array that doubles, with room for one more; NULL: out of memory, and it is as it was. */
static void *with_room(void *array, uint32_t used, size_t size)
{
	if (used & (used - 1))
		return array;
	return realloc(array, (used ? 2 * (size_t)used : 1) * size);
}

/* Find or make. INDEX_NONE when out of memory. */
static uint32_t name_number(struct series *s, const char *metric)
{
	uint32_t number = find_name(s, metric);
	struct index *index = s->index;
	char *copy, **name;

	if (number != INDEX_NONE)
		return number;
	name = with_room(s->name, s->names, sizeof(*name));
	if (!name)
		return INDEX_NONE;
	s->name = name;
	copy = strdup(metric);
	if (!copy || index_add(&index, name_hash(metric), s->names)) {
		free(copy);
		return INDEX_NONE;
	}
	s->index = index;
	s->name[s->names] = copy;
	return s->names++;
}

static struct series_list *list_of(struct series *s, uint32_t entity)
{
	size_t lists = s->lists ? s->lists : 16;
	struct series_list *bigger;

	if (entity < s->lists)
		return &s->of[entity];
	while (lists <= entity)
		lists *= 2;
	bigger = realloc(s->of, lists * sizeof(*bigger));
	if (!bigger)
		return NULL;
	memset(bigger + s->lists, 0, (lists - s->lists) * sizeof(*bigger));
	s->of = bigger;
	s->lists = lists;
	return &s->of[entity];
}

uint32_t series_column(struct series *s, uint32_t entity, const char *metric)
{
	uint32_t number = series_find(s, entity, metric), at;
	struct series_column c = {.entity = entity};
	struct series_column *column;
	struct series_list *list;
	struct place *place;

	if (number != SERIES_NONE)
		return number;
	number = s->columns;
	c.name = name_number(s, metric);
	list = list_of(s, entity);
	if (number == SERIES_NONE || c.name == INDEX_NONE || !list)
		return SERIES_NONE;
	column = with_room(s->column, number, sizeof(*column));
	if (!column)
		return SERIES_NONE;
	s->column = column;
	place = with_room(list->place, list->count, sizeof(*place));
	if (!place)
		return SERIES_NONE;
	list->place = place;
	c.metric = s->name[c.name];
	c.value = malloc((s->capacity ? s->capacity : 1) * sizeof(*c.value));
	if (!c.value)
		return SERIES_NONE;
	fill_absent(c.value, 0, s->capacity);
	at = find_place(list, c.name);
	memmove(list->place + at + 1, list->place + at, (list->count - at) * sizeof(*list->place));
	list->place[at] = (struct place){c.name, number};
	list->count++;
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
