#include "analyzer/operations.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define HASH_FUNCTION(key, size, hash) ((hash) = (unsigned)XXH3_64bits(key, size))
#include <uthash.h>

#define MINUTE_NS 60000000000ULL
#define RECENT_MINUTES 2
#define MEANT_RISE 1.2 /* of the mean, to be called one */
#define MOST 0.5       /* of the time all operations take more */

struct minute {
	int64_t number; /* since 1970; the place holds another one's otherwise */
	uint64_t errors;
	struct span latency;
};

struct node {
	struct operation_key key;
	int64_t newest;
	struct minute minute[OPERATIONS_MINUTES]; /* by number, modulo */
	UT_hash_handle hh;
};

void operations_init(struct operations *o)
{
	memset(o, 0, sizeof(*o));
}

static void drop(struct operations *o, struct node *n)
{
	struct node *index = o->index;

	HASH_DEL(index, n);
	o->index = index;
	o->rows--;
	for (int i = 0; i < OPERATIONS_MINUTES; i++)
		span_clear(&n->minute[i].latency);
	free(n);
}

void operations_clear(struct operations *o)
{
	while (o->index)
		drop(o, o->index);
	operations_init(o);
}

/* Rows without a call in all the minutes that are kept. */
static void drop_idle(struct operations *o)
{
	struct node *n, *next, *index = o->index;

	HASH_ITER(hh, index, n, next)
	{
		if (n->newest + OPERATIONS_MINUTES <= o->newest)
			drop(o, n);
	}
}

static struct node *node_of(struct operations *o, const struct operation_key *key)
{
	struct node *n, *index = o->index;

	HASH_FIND(hh, index, key, sizeof(*key), n);
	if (n)
		return n;
	n = calloc(1, sizeof(*n));
	if (!n)
		return NULL;
	n->key = *key;
	HASH_ADD(hh, index, key, sizeof(*key), n);
	o->index = index;
	o->rows++;
	return n;
}

static bool has_room(struct operations *o, const struct operation_key *key)
{
	struct node *n, *index = o->index;

	if (o->rows < OPERATIONS_MAX)
		return true;
	HASH_FIND(hh, index, key, sizeof(*key), n);
	if (n)
		return true;
	drop_idle(o);
	return o->rows < OPERATIONS_MAX;
}

/* A window of the past belongs where it began; what time is now the windows say. */
static int64_t minute_of(struct operations *o, const struct wire_window *w)
{
	int64_t number = (int64_t)(w->start_ns / MINUTE_NS);

	if (number > o->newest)
		o->newest = number;
	if (w->start_ns + w->duration_ns > o->last_ns)
		o->last_ns = w->start_ns + w->duration_ns;
	return number;
}

int operations_add(struct operations *o, const struct operation_key *key,
	const struct wire_operation_flow *from, const struct wire_window *w)
{
	int64_t number = minute_of(o, w);
	struct minute *m;
	struct node *n;

	if (number + OPERATIONS_MINUTES <= o->newest)
		return 0;
	if (!has_room(o, key)) {
		o->refused++;
		return 0;
	}
	n = node_of(o, key);
	if (!n)
		return -ENOMEM;
	m = &n->minute[number % OPERATIONS_MINUTES];
	if (m->number != number) {
		span_clear(&m->latency);
		*m = (struct minute){.number = number};
	}
	if (span_add(&m->latency, &from->latency, w->bucket))
		return -ENOMEM;
	m->errors += from->errors;
	if (number > n->newest)
		n->newest = number;
	return 0;
}

uint64_t operations_recent_ns(const struct operations *o)
{
	return o->newest < RECENT_MINUTES ? 0
					  : (uint64_t)(o->newest - RECENT_MINUTES + 1) * MINUTE_NS;
}

/* The minutes from .. to - 1 that are kept. */
static struct operation_period period(
	const struct operations *o, const struct node *n, int64_t from, int64_t to)
{
	struct operation_period p = {.mean_us = NAN, .p50_us = NAN, .p99_us = NAN};
	uint64_t start_ns, end_ns = (uint64_t)to * MINUTE_NS;
	struct hist all;

	hist_clear(&all);
	if (from <= o->newest - OPERATIONS_MINUTES)
		from = o->newest - OPERATIONS_MINUTES + 1;
	for (int i = 0; i < OPERATIONS_MINUTES; i++) {
		const struct minute *m = &n->minute[i];

		if (m->number < from || m->number >= to || m->number <= 0)
			continue;
		span_merge(&all, &m->latency);
		p.errors += m->errors;
	}
	p.calls = all.total;
	if (!p.calls)
		return p;
	start_ns = (uint64_t)from * MINUTE_NS;
	if (end_ns > o->last_ns)
		end_ns = o->last_ns;
	p.calls_per_s =
		end_ns > start_ns ? (double)p.calls * 1e9 / (double)(end_ns - start_ns) : NAN;
	p.mean_us = hist_mean_ns(&all) / 1e3;
	p.p50_us = (double)hist_quantile_ns(&all, 0.5) / 1e3;
	p.p99_us = (double)hist_quantile_ns(&all, 0.99) / 1e3;
	return p;
}

static struct operation_row row_of(const struct operations *o, const struct node *n, int64_t since)
{
	struct operation_row r = {.key = n->key,
		.now = period(o, n, since, o->newest + 1),
		.before = period(o, n, o->newest - OPERATIONS_MINUTES + 1, since)};

	if (r.now.calls && r.before.calls && r.now.mean_us > MEANT_RISE * r.before.mean_us)
		r.added = (r.now.mean_us - r.before.mean_us) * r.now.calls_per_s;
	return r;
}

static int by_added(const void *x, const void *y)
{
	const struct operation_row *a = x, *b = y;

	if (a->added != b->added)
		return a->added < b->added ? 1 : -1;
	if (a->now.calls != b->now.calls)
		return a->now.calls < b->now.calls ? 1 : -1;
	return strcmp(a->key.name, b->key.name);
}

int operations_of_service(const struct operations *o, const char *service, uint64_t since_ns,
	struct operation_row **rows, size_t *count)
{
	int64_t since = (int64_t)(since_ns / MINUTE_NS);
	struct node *n, *next, *index = o->index;
	struct operation_row *all;
	size_t found = 0;

	HASH_ITER(hh, index, n, next)
	found += !strcmp(n->key.service, service);
	all = calloc(found ? found : 1, sizeof(*all));
	if (!all)
		return -ENOMEM;
	found = 0;
	HASH_ITER(hh, index, n, next)
	{
		if (strcmp(n->key.service, service) != 0)
			continue;
		all[found] = row_of(o, n, since);
		found += all[found].now.calls || all[found].before.calls;
	}
	qsort(all, found, sizeof(*all), by_added);
	*rows = all;
	*count = found;
	return 0;
}

const struct operation_row *operations_slowed(const struct operation_row *rows, size_t count)
{
	const struct operation_row *most = NULL;
	double added = 0;

	for (size_t i = 0; i < count; i++) {
		if (rows[i].key.side != WIRE_SERVER)
			continue;
		added += rows[i].added;
		if (rows[i].added > 0 && (!most || rows[i].added > most->added))
			most = &rows[i];
	}
	return most && most->added > MOST * added ? most : NULL;
}
