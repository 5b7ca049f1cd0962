/* Batches, and the rows they become. The graph is kept as one document. */
#include "analyzer/store_sqlite.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "common/clock.h"
#include "common/log.h"

#define ROW_VALUES_MAX (4U << 20)

static void bind_agent(sqlite3_stmt *st, const struct wire_agent *a)
{
	sqlite3_bind_text(st, 1, a->name, -1, SQLITE_STATIC);
	sqlite3_bind_blob(st, 2, a->boot_id, sizeof(a->boot_id), SQLITE_STATIC);
}

static uint64_t last_sequence_locked(struct store *s, const struct wire_agent *a)
{
	sqlite3_stmt *st = store_statement(s, SQL_MARK_GET);
	uint64_t sequence = 0;

	bind_agent(st, a);
	if (sqlite3_step(st) == SQLITE_ROW)
		sequence = (uint64_t)sqlite3_column_int64(st, 0);
	sqlite3_reset(st);
	return sequence;
}

uint64_t store_last_sequence(struct store *s, const struct wire_agent *a)
{
	uint64_t sequence;

	pthread_mutex_lock(&s->lock);
	sequence = last_sequence_locked(s, a);
	pthread_mutex_unlock(&s->lock);
	return sequence;
}

static int put_batch(struct store *s, struct store_batch *b, double now_s)
{
	sqlite3_stmt *st;
	int err;

	b->id = 0;
	if (b->sequence <= last_sequence_locked(s, b->agent))
		return 0;
	st = store_statement(s, SQL_BATCH_PUT);
	sqlite3_bind_int64(st, 1, (int64_t)b->until_ns);
	sqlite3_bind_blob64(st, 2, b->body, b->size, SQLITE_STATIC);
	err = store_run(s, st);
	if (err)
		return err;
	b->id = sqlite3_last_insert_rowid(s->db);
	st = store_statement(s, SQL_MARK_PUT);
	bind_agent(st, b->agent);
	sqlite3_bind_int64(st, 3, (int64_t)b->sequence);
	sqlite3_bind_double(st, 4, now_s);
	return store_run(s, st);
}

int store_batches(struct store *s, struct store_batch *b, size_t n)
{
	double now_s = clock_wall_s();
	int err;

	pthread_mutex_lock(&s->lock);
	err = store_begin(s);
	if (!err) {
		for (size_t i = 0; !err && i < n; i++)
			err = put_batch(s, &b[i], now_s);
		err = store_end(s, err);
	}
	pthread_mutex_unlock(&s->lock);
	return err;
}

static int take_batch(struct store *s, sqlite3_stmt *st, int64_t *id, void **body, size_t *size)
{
	int code = sqlite3_step(st);
	size_t n;
	void *copy;

	if (code == SQLITE_DONE)
		return -ENOENT;
	if (code != SQLITE_ROW)
		return store_error(s, code);
	n = (size_t)sqlite3_column_bytes(st, 1);
	copy = malloc(n ? n : 1);
	if (!copy)
		return -ENOMEM;
	if (n)
		memcpy(copy, sqlite3_column_blob(st, 1), n);
	*id = sqlite3_column_int64(st, 0);
	*body = copy;
	*size = n;
	return 0;
}

int store_next_batch(struct store *s, int64_t after, int64_t *id, void **body, size_t *size)
{
	sqlite3_stmt *st;
	int err;

	pthread_mutex_lock(&s->lock);
	st = store_statement(s, SQL_BATCH_NEXT);
	sqlite3_bind_int64(st, 1, after);
	err = take_batch(s, st, id, body, size);
	sqlite3_reset(st);
	pthread_mutex_unlock(&s->lock);
	return err;
}

/* The store's number of a series column: asked once, then remembered. */
static int64_t column_id(struct store *s, const struct recording *r, uint32_t column)
{
	const struct series_column *c = &r->series.column[column];
	const char *entity = r->graph.entity[c->entity].name;
	sqlite3_stmt *st;

	if (s->column_id[column])
		return s->column_id[column];
	st = store_statement(s, SQL_COLUMN_PUT);
	sqlite3_bind_text(st, 1, entity, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 2, c->metric, -1, SQLITE_STATIC);
	if (store_run(s, st))
		return 0;
	st = store_statement(s, SQL_COLUMN_GET);
	sqlite3_bind_text(st, 1, entity, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 2, c->metric, -1, SQLITE_STATIC);
	if (sqlite3_step(st) == SQLITE_ROW)
		s->column_id[column] = sqlite3_column_int64(st, 0);
	sqlite3_reset(st);
	return s->column_id[column];
}

static int remember_columns(struct store *s, uint32_t columns)
{
	int64_t *grown;

	if (columns <= s->columns)
		return 0;
	grown = realloc(s->column_id, columns * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	memset(grown + s->columns, 0, (columns - s->columns) * sizeof(*grown));
	s->column_id = grown;
	s->columns = columns;
	return 0;
}

/*
 * A row on disk: the number of values (u32), then zlib over all their column
 * numbers (u32 each) followed by all values (float each), in host byte order.
 */
static int pack(struct store *s, const struct recording *r, size_t row, void **out, size_t *size)
{
	uint32_t columns = r->series.columns, n = 0;
	uint32_t *id = malloc((columns ? columns : 1) * 2 * sizeof(*id));
	uLongf packed = compressBound(columns * 2 * (uLong)sizeof(*id));
	char *body = malloc(sizeof(n) + packed);

	for (uint32_t c = 0; id && body && c < columns; c++) {
		float value = r->series.column[c].value[row];
		int64_t number = isfinite(value) ? column_id(s, r, c) : 0;

		if (number <= 0 || number > UINT32_MAX)
			continue;
		id[n] = (uint32_t)number;
		memcpy(&id[columns + n++], &value, sizeof(value));
	}
	if (id && n)
		memmove(id + n, id + columns, n * sizeof(*id));
	if (!id || !body ||
		compress2((Bytef *)body + sizeof(n), &packed, (const Bytef *)id,
			n * 2 * (uLong)sizeof(*id), 1) != Z_OK) {
		free(id);
		free(body);
		return -ENOMEM;
	}
	memcpy(body, &n, sizeof(n));
	free(id);
	*out = body;
	*size = sizeof(n) + packed;
	return 0;
}

static json_t *graph_json(const struct graph *g)
{
	json_t *all = json_array();

	for (uint32_t i = 0; all && i < g->entities; i++) {
		const struct entity *e = &g->entity[i];
		const char *host = e->kind == ENTITY_SERVICE && e->host != GRAPH_NONE
					   ? g->entity[e->host].name
					   : "";

		json_array_append_new(all, json_pack("[sss]", e->name, e->protocol, host));
	}
	return all;
}

static int put_graph(struct store *s, const struct recording *r)
{
	json_t *graph;
	int err;

	if (s->graph_entities == r->graph.entities && s->graph_columns == r->series.columns)
		return 0;
	graph = graph_json(&r->graph);
	err = graph ? store_put_locked(s, "graph", 1, 0, graph) : -ENOMEM;
	json_decref(graph);
	return err;
}

/* What was numbered or noted inside a transaction holds once it is committed. */
static void settle(struct store *s, const struct recording *r, int err)
{
	if (err) {
		memset(s->column_id, 0, s->columns * sizeof(*s->column_id));
		return;
	}
	s->graph_entities = r->graph.entities;
	s->graph_columns = r->series.columns;
}

static int put_row(
	struct store *s, const struct recording *r, size_t row, int64_t merged, uint64_t settled_ns)
{
	sqlite3_stmt *st;
	size_t size;
	void *body;
	int err = pack(s, r, row, &body, &size);

	if (err)
		return err;
	st = store_statement(s, SQL_ROW_PUT);
	sqlite3_bind_double(st, 1, r->series.start_s[row]);
	sqlite3_bind_blob64(st, 2, body, size, SQLITE_STATIC);
	err = store_run(s, st);
	free(body);
	if (err)
		return err;
	st = store_statement(s, SQL_BATCH_DELETE);
	sqlite3_bind_int64(st, 1, merged);
	sqlite3_bind_int64(st, 2, (int64_t)settled_ns);
	return store_run(s, st);
}

int store_row(
	struct store *s, const struct recording *r, size_t row, int64_t merged, uint64_t settled_ns)
{
	int err;

	pthread_mutex_lock(&s->lock);
	err = remember_columns(s, r->series.columns);
	if (!err)
		err = store_begin(s);
	if (!err) {
		err = put_graph(s, r);
		if (!err)
			err = put_row(s, r, row, merged, settled_ns);
		err = store_end(s, err);
		settle(s, r, err);
	}
	pthread_mutex_unlock(&s->lock);
	return err;
}

/* ---- reading back ----------------------------------------------------- */

static int load_entity(struct graph *g, const json_t *one)
{
	const char *name = json_string_value(json_array_get(one, 0));
	const char *protocol = json_string_value(json_array_get(one, 1));
	uint32_t number =
		name && protocol && graph_can_show(name) ? graph_entity(g, name) : GRAPH_NONE;

	if (number == GRAPH_NONE)
		return -EBADMSG;
	snprintf(g->entity[number].protocol, sizeof(g->entity[number].protocol), "%s", protocol);
	return 0;
}

static void load_host(struct graph *g, const json_t *one)
{
	const char *host = json_string_value(json_array_get(one, 2));
	uint32_t number = graph_find(g, json_string_value(json_array_get(one, 0)));

	if (host && *host && number != GRAPH_NONE)
		g->entity[number].host = graph_find(g, host);
}

/* Entities first, in their order, so that each gets its old number; then where they run. */
static int load_graph(struct store *s, struct graph *g)
{
	json_t *all = store_get_locked(s, "graph", 1), *one;
	int err = 0;
	size_t i;

	json_array_foreach(all, i, one)
	{
		err = load_entity(g, one);
		if (err)
			break;
	}
	for (i = 0; !err && i < json_array_size(all); i++)
		load_host(g, json_array_get(all, i));
	json_decref(all);
	return err;
}

/* Column numbers of the store -> of the series. */
struct column_map {
	uint32_t *column; /* [size]; SERIES_NONE where there is none */
	size_t size;
};

static int map_column(struct column_map *m, int64_t id, uint32_t column)
{
	if (id <= 0 || id > UINT32_MAX)
		return -EBADMSG;
	if ((size_t)id >= m->size) {
		size_t size = (size_t)id * 2;
		uint32_t *grown = realloc(m->column, size * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		memset(grown + m->size, 0xff, (size - m->size) * sizeof(*grown));
		m->column = grown;
		m->size = size;
	}
	m->column[id] = column;
	return 0;
}

static int load_columns(struct store *s, struct recording *r, struct column_map *m)
{
	sqlite3_stmt *st = store_statement(s, SQL_COLUMN_EACH);
	int err = 0;

	while (!err && sqlite3_step(st) == SQLITE_ROW) {
		const char *entity = (const char *)sqlite3_column_text(st, 1);
		const char *metric = (const char *)sqlite3_column_text(st, 2);
		uint32_t number = entity && graph_can_show(entity) ? graph_entity(&r->graph, entity)
								   : GRAPH_NONE,
			 column;

		if (number == GRAPH_NONE || !metric) {
			err = -EBADMSG;
			break;
		}
		column = series_column(&r->series, number, metric);
		err = column == SERIES_NONE ? -ENOMEM
					    : map_column(m, sqlite3_column_int64(st, 0), column);
	}
	sqlite3_reset(st);
	return err;
}

static int unpack(struct recording *r, const struct column_map *m, double start_s, const char *body,
	size_t size)
{
	uint32_t n, *id;
	uLongf length;
	long row;

	if (size < sizeof(n))
		return -EBADMSG;
	memcpy(&n, body, sizeof(n));
	if (n > ROW_VALUES_MAX)
		return -EBADMSG;
	length = n * 2 * (uLong)sizeof(*id);
	id = malloc(length ? length : 1);
	row = id ? series_row(&r->series, start_s) : -ENOMEM;
	if (row < 0) {
		free(id);
		return -ENOMEM;
	}
	if (uncompress((Bytef *)id, &length, (const Bytef *)body + sizeof(n), size - sizeof(n)) !=
			Z_OK ||
		length != n * 2 * (uLong)sizeof(*id))
		n = 0;
	for (uint32_t i = 0; i < n; i++) {
		float value;

		memcpy(&value, &id[n + i], sizeof(value));
		if (id[i] < m->size && m->column[id[i]] != SERIES_NONE)
			series_set(&r->series, (size_t)row, m->column[id[i]], value);
	}
	free(id);
	return n ? 0 : -EBADMSG;
}

static int load_rows(struct store *s, struct recording *r, const struct column_map *m,
	double from_s, double to_s, size_t keep)
{
	sqlite3_stmt *st = store_statement(s, SQL_ROW_EACH);
	size_t damaged = 0;
	int err = 0;

	sqlite3_bind_int64(st, 1, keep < INT64_MAX ? (int64_t)keep : INT64_MAX);
	sqlite3_bind_double(st, 2, from_s);
	sqlite3_bind_double(st, 3, to_s);
	while (err != -ENOMEM && sqlite3_step(st) == SQLITE_ROW) {
		err = unpack(r, m, sqlite3_column_double(st, 0), sqlite3_column_blob(st, 1),
			(size_t)sqlite3_column_bytes(st, 1));
		damaged += err == -EBADMSG;
	}
	sqlite3_reset(st);
	if (damaged)
		log_warning("store: %zu damaged rows, left empty", damaged);
	return err == -ENOMEM ? err : 0;
}

int store_rows(struct store *s, struct recording *r, double from_s, double to_s, size_t keep)
{
	struct column_map m = {0};
	int err;

	pthread_mutex_lock(&s->lock);
	err = load_graph(s, &r->graph);
	if (!err)
		err = load_columns(s, r, &m);
	if (!err)
		err = load_rows(s, r, &m, from_s, to_s, keep);
	pthread_mutex_unlock(&s->lock);
	free(m.column);
	return err;
}
