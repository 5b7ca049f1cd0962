#include "analyzer/store_sqlite.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/clock.h"
#include "common/log.h"

#define MODELS_KEPT 5

static const char schema[] =
	"PRAGMA locking_mode = EXCLUSIVE;"
	"PRAGMA journal_mode = WAL;"
	"PRAGMA synchronous = NORMAL;"
	"CREATE TABLE IF NOT EXISTS mark (agent TEXT, boot BLOB, sequence INTEGER, at REAL,"
	" PRIMARY KEY (agent, boot)) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS batch (id INTEGER PRIMARY KEY AUTOINCREMENT,"
	" until INTEGER, body BLOB);"
	"CREATE TABLE IF NOT EXISTS column (id INTEGER PRIMARY KEY, entity TEXT, metric TEXT,"
	" UNIQUE (entity, metric));"
	"CREATE TABLE IF NOT EXISTS row (start REAL PRIMARY KEY, body BLOB);"
	"CREATE TABLE IF NOT EXISTS document (kind TEXT, id INTEGER, at REAL, body TEXT,"
	" PRIMARY KEY (kind, id));"
	"CREATE TABLE IF NOT EXISTS model (version INTEGER PRIMARY KEY, at REAL, about TEXT,"
	" body BLOB);";

static const char *const text[STATEMENTS] = {
	[SQL_BEGIN] = "BEGIN IMMEDIATE",
	[SQL_COMMIT] = "COMMIT",
	[SQL_ROLLBACK] = "ROLLBACK",
	[SQL_MARK_GET] = "SELECT sequence FROM mark WHERE agent = ?1 AND boot = ?2",
	[SQL_MARK_PUT] = "INSERT OR REPLACE INTO mark VALUES (?1, ?2, ?3, ?4)",
	[SQL_BATCH_PUT] = "INSERT INTO batch (until, body) VALUES (?1, ?2)",
	[SQL_BATCH_NEXT] = "SELECT id, body FROM batch WHERE id > ?1 ORDER BY id LIMIT 1",
	[SQL_BATCH_DELETE] = "DELETE FROM batch WHERE id <= ?1 AND until <= ?2",
	[SQL_COLUMN_PUT] = "INSERT OR IGNORE INTO column (entity, metric) VALUES (?1, ?2)",
	[SQL_COLUMN_GET] = "SELECT id FROM column WHERE entity = ?1 AND metric = ?2",
	[SQL_COLUMN_EACH] = "SELECT id, entity, metric FROM column ORDER BY id",
	[SQL_ROW_PUT] = "INSERT OR REPLACE INTO row VALUES (?1, ?2)",
	[SQL_ROW_EACH] =
		"SELECT start, body FROM (SELECT start, body FROM row"
		" WHERE start >= ?2 AND start < ?3 ORDER BY start DESC LIMIT ?1) ORDER BY start",
	[SQL_ROW_DELETE_OLD] = "DELETE FROM row WHERE start < ?1",
	[SQL_ROW_DELETE_SOME] = "DELETE FROM row WHERE start IN"
				" (SELECT start FROM row ORDER BY start LIMIT ?1)",
	[SQL_MARK_DELETE_OLD] = "DELETE FROM mark WHERE at < ?1",
	[SQL_DOCUMENT_PUT] = "INSERT OR REPLACE INTO document VALUES (?1, ?2, ?3, ?4)",
	[SQL_DOCUMENT_GET] = "SELECT body FROM document WHERE kind = ?1 AND id = ?2",
	[SQL_DOCUMENT_NEWEST] = "SELECT body FROM document WHERE kind = ?1"
				" ORDER BY id DESC LIMIT ?2",
	[SQL_DOCUMENT_LAST] = "SELECT max(id) FROM document WHERE kind = ?1",
	[SQL_DOCUMENT_DELETE_OLD] = "DELETE FROM document WHERE kind = 'incident' AND at < ?1",
	[SQL_MODEL_PUT] = "INSERT OR REPLACE INTO model VALUES (?1, ?2, ?3, ?4)",
	[SQL_MODEL_NEWEST] = "SELECT version, about, body FROM model ORDER BY version DESC LIMIT 1",
	[SQL_MODEL_DELETE_OLD] = "DELETE FROM model WHERE version <= ?1",
	[SQL_PAGES] = "SELECT (c.page_count - f.freelist_count) * s.page_size FROM"
		      " pragma_page_count c, pragma_freelist_count f, pragma_page_size s",
};

int store_error(struct store *s, int code)
{
	log_error("store: %s", sqlite3_errmsg(s->db));
	switch (code & 0xff) {
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EBADMSG;
	default:
		return -EIO;
	}
}

sqlite3_stmt *store_statement(struct store *s, enum statement which)
{
	sqlite3_reset(s->statement[which]);
	sqlite3_clear_bindings(s->statement[which]);
	return s->statement[which];
}

int store_run(struct store *s, sqlite3_stmt *st)
{
	int code = sqlite3_step(st), err = 0;

	if (code != SQLITE_DONE && code != SQLITE_ROW)
		err = store_error(s, code);
	sqlite3_reset(st);
	return err;
}

int store_begin(struct store *s)
{
	return store_run(s, store_statement(s, SQL_BEGIN));
}

int store_end(struct store *s, int err)
{
	if (!err)
		err = store_run(s, store_statement(s, SQL_COMMIT));
	if (err && !sqlite3_get_autocommit(s->db))
		store_run(s, store_statement(s, SQL_ROLLBACK));
	return err;
}

static int prepare_all(struct store *s)
{
	for (int i = 0; i < STATEMENTS; i++) {
		int code = sqlite3_prepare_v3(
			s->db, text[i], -1, SQLITE_PREPARE_PERSISTENT, &s->statement[i], NULL);

		if (code != SQLITE_OK)
			return code;
	}
	return SQLITE_OK;
}

static int open_file(struct store *s, const char *path)
{
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
	int code = sqlite3_open_v2(path, &s->db, flags, NULL);

	if (code == SQLITE_OK)
		code = sqlite3_exec(s->db, schema, NULL, NULL, NULL);
	if (code == SQLITE_OK)
		code = prepare_all(s);
	return code;
}

static int refuse(const struct store *s, const char *path, int code, char *why, size_t why_size)
{
	if (code == SQLITE_BUSY) {
		snprintf(why, why_size,
			"%s: in use by another process; stop it or choose another --data", path);
		return -EBUSY;
	}
	snprintf(why, why_size, "%s: %s; check the directory's rights, or move the file away", path,
		s->db ? sqlite3_errmsg(s->db) : sqlite3_errstr(code));
	return code == SQLITE_NOMEM ? -ENOMEM : -EIO;
}

int store_open(struct store **out, const char *dir, char *why, size_t why_size)
{
	struct store *s = calloc(1, sizeof(*s));
	char path[PATH_MAX];
	int code, err;

	if (!s)
		return -ENOMEM;
	pthread_mutex_init(&s->lock, NULL);
	if (mkdir(dir, 0700) && errno != EEXIST) {
		err = -errno;
		snprintf(why, why_size, "%s: cannot make this directory: %s", dir, strerror(errno));
		store_close(s);
		return err;
	}
	if (snprintf(path, sizeof(path), "%s/sage.db", dir) >= (int)sizeof(path)) {
		snprintf(why, why_size, "%s: path too long", dir);
		store_close(s);
		return -ENAMETOOLONG;
	}
	code = open_file(s, path);
	if (code != SQLITE_OK) {
		err = refuse(s, path, code, why, why_size);
		store_close(s);
		return err;
	}
	*out = s;
	return 0;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	for (int i = 0; i < STATEMENTS; i++)
		sqlite3_finalize(s->statement[i]);
	sqlite3_close(s->db);
	pthread_mutex_destroy(&s->lock);
	free(s->column_id);
	free(s);
}

/* ---- documents and models --------------------------------------------- */

int store_put_locked(struct store *s, const char *kind, int64_t id, double at_s, const json_t *body)
{
	char *json = json_dumps(body, JSON_COMPACT | JSON_ENCODE_ANY);
	sqlite3_stmt *st;
	int err;

	if (!json)
		return -ENOMEM;
	st = store_statement(s, SQL_DOCUMENT_PUT);
	sqlite3_bind_text(st, 1, kind, -1, SQLITE_STATIC);
	sqlite3_bind_int64(st, 2, id);
	sqlite3_bind_double(st, 3, at_s);
	sqlite3_bind_text(st, 4, json, -1, SQLITE_STATIC);
	err = store_run(s, st);
	free(json);
	return err;
}

int store_put(struct store *s, const char *kind, int64_t id, double at_s, const json_t *body)
{
	int err;

	pthread_mutex_lock(&s->lock);
	err = store_put_locked(s, kind, id, at_s, body);
	pthread_mutex_unlock(&s->lock);
	return err;
}

static json_t *column_json(sqlite3_stmt *st, int column)
{
	const char *body = (const char *)sqlite3_column_text(st, column);

	return body ? json_loads(body, JSON_DECODE_ANY, NULL) : NULL;
}

json_t *store_get_locked(struct store *s, const char *kind, int64_t id)
{
	sqlite3_stmt *st = store_statement(s, SQL_DOCUMENT_GET);
	json_t *found = NULL;

	sqlite3_bind_text(st, 1, kind, -1, SQLITE_STATIC);
	sqlite3_bind_int64(st, 2, id);
	if (sqlite3_step(st) == SQLITE_ROW)
		found = column_json(st, 0);
	sqlite3_reset(st);
	return found;
}

json_t *store_get(struct store *s, const char *kind, int64_t id)
{
	json_t *found;

	pthread_mutex_lock(&s->lock);
	found = store_get_locked(s, kind, id);
	pthread_mutex_unlock(&s->lock);
	return found;
}

json_t *store_newest(struct store *s, const char *kind, size_t limit)
{
	json_t *all = json_array();
	sqlite3_stmt *st;

	pthread_mutex_lock(&s->lock);
	st = store_statement(s, SQL_DOCUMENT_NEWEST);
	sqlite3_bind_text(st, 1, kind, -1, SQLITE_STATIC);
	sqlite3_bind_int64(st, 2, (int64_t)limit);
	while (all && sqlite3_step(st) == SQLITE_ROW) {
		json_t *one = column_json(st, 0);

		if (one)
			json_array_append_new(all, one);
	}
	sqlite3_reset(st);
	pthread_mutex_unlock(&s->lock);
	return all;
}

int64_t store_last_id(struct store *s, const char *kind)
{
	sqlite3_stmt *st;
	int64_t id = 0;

	pthread_mutex_lock(&s->lock);
	st = store_statement(s, SQL_DOCUMENT_LAST);
	sqlite3_bind_text(st, 1, kind, -1, SQLITE_STATIC);
	if (sqlite3_step(st) == SQLITE_ROW)
		id = sqlite3_column_int64(st, 0);
	sqlite3_reset(st);
	pthread_mutex_unlock(&s->lock);
	return id;
}

static int put_model(struct store *s, int64_t version, double at_s, const char *about,
	const void *blob, size_t size)
{
	sqlite3_stmt *st = store_statement(s, SQL_MODEL_PUT);
	int err;

	sqlite3_bind_int64(st, 1, version);
	sqlite3_bind_double(st, 2, at_s);
	sqlite3_bind_text(st, 3, about, -1, SQLITE_STATIC);
	sqlite3_bind_blob64(st, 4, blob, size, SQLITE_STATIC);
	err = store_run(s, st);
	if (err)
		return err;
	st = store_statement(s, SQL_MODEL_DELETE_OLD);
	sqlite3_bind_int64(st, 1, version - MODELS_KEPT);
	return store_run(s, st);
}

int store_put_model(struct store *s, int64_t version, double at_s, const json_t *about,
	const void *blob, size_t size)
{
	char *json = json_dumps(about, JSON_COMPACT);
	int err;

	if (!json)
		return -ENOMEM;
	pthread_mutex_lock(&s->lock);
	err = store_begin(s);
	if (!err)
		err = store_end(s, put_model(s, version, at_s, json, blob, size));
	pthread_mutex_unlock(&s->lock);
	free(json);
	return err;
}

static int take_model(sqlite3_stmt *st, int64_t *version, json_t **about, void **blob, size_t *size)
{
	size_t n = (size_t)sqlite3_column_bytes(st, 2);
	json_t *j = column_json(st, 1);
	void *copy = malloc(n ? n : 1);

	if (!j || !copy) {
		json_decref(j);
		free(copy);
		return j ? -ENOMEM : -EBADMSG;
	}
	if (n)
		memcpy(copy, sqlite3_column_blob(st, 2), n);
	*version = sqlite3_column_int64(st, 0);
	*about = j;
	*blob = copy;
	*size = n;
	return 0;
}

int store_newest_model(struct store *s, int64_t *version, json_t **about, void **blob, size_t *size)
{
	sqlite3_stmt *st;
	int err = -ENOENT;

	pthread_mutex_lock(&s->lock);
	st = store_statement(s, SQL_MODEL_NEWEST);
	if (sqlite3_step(st) == SQLITE_ROW)
		err = take_model(st, version, about, blob, size);
	sqlite3_reset(st);
	pthread_mutex_unlock(&s->lock);
	return err;
}

/* ---- bounds ----------------------------------------------------------- */

static uint64_t bytes_locked(struct store *s)
{
	sqlite3_stmt *st = store_statement(s, SQL_PAGES);
	uint64_t bytes = 0;

	if (sqlite3_step(st) == SQLITE_ROW)
		bytes = (uint64_t)sqlite3_column_int64(st, 0);
	sqlite3_reset(st);
	return bytes;
}

uint64_t store_bytes(struct store *s)
{
	uint64_t bytes;

	pthread_mutex_lock(&s->lock);
	bytes = bytes_locked(s);
	pthread_mutex_unlock(&s->lock);
	return bytes;
}

static int delete_before(struct store *s, enum statement which, double before_s)
{
	sqlite3_stmt *st = store_statement(s, which);

	sqlite3_bind_double(st, 1, before_s);
	return store_run(s, st);
}

/* Rows go oldest first, some at a time, until the rest fits or none is left. */
static int delete_to_fit(struct store *s, uint64_t max_bytes)
{
	int err = 0;

	while (!err && bytes_locked(s) > max_bytes) {
		sqlite3_stmt *st = store_statement(s, SQL_ROW_DELETE_SOME);

		sqlite3_bind_int64(st, 1, 256);
		err = store_run(s, st);
		if (sqlite3_changes(s->db) == 0)
			break;
	}
	return err;
}

int store_trim(struct store *s, double before_s, uint64_t max_bytes)
{
	static const enum statement old[] = {
		SQL_ROW_DELETE_OLD, SQL_MARK_DELETE_OLD, SQL_DOCUMENT_DELETE_OLD};
	int err;

	pthread_mutex_lock(&s->lock);
	err = store_begin(s);
	if (!err) {
		for (size_t i = 0; !err && i < sizeof(old) / sizeof(*old); i++)
			err = delete_before(s, old[i], before_s);
		if (!err)
			err = delete_to_fit(s, max_bytes);
		err = store_end(s, err);
	}
	pthread_mutex_unlock(&s->lock);
	return err;
}
