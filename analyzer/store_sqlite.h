/* Inside the store: the connection and its prepared statements. Only store_*.c include this. */
#ifndef SAGE_ANALYZER_STORE_SQLITE_H
#define SAGE_ANALYZER_STORE_SQLITE_H

#include <pthread.h>
#include <sqlite3.h>

#include "analyzer/store.h"

enum statement {
	SQL_BEGIN,
	SQL_COMMIT,
	SQL_ROLLBACK,
	SQL_MARK_GET,
	SQL_MARK_PUT,
	SQL_BATCH_PUT,
	SQL_BATCH_NEXT,
	SQL_BATCH_DELETE,
	SQL_COLUMN_PUT,
	SQL_COLUMN_GET,
	SQL_COLUMN_EACH,
	SQL_ROW_PUT,
	SQL_ROW_EACH,
	SQL_ROW_DELETE_OLD,
	SQL_ROW_DELETE_SOME,
	SQL_MARK_DELETE_OLD,
	SQL_DOCUMENT_PUT,
	SQL_DOCUMENT_GET,
	SQL_DOCUMENT_NEWEST,
	SQL_DOCUMENT_LAST,
	SQL_DOCUMENT_DELETE_OLD,
	SQL_MODEL_PUT,
	SQL_MODEL_NEWEST,
	SQL_MODEL_DELETE_OLD,
	SQL_PAGES,
	STATEMENTS
};

struct store {
	pthread_mutex_t lock; /* around every use of what follows */
	sqlite3 *db;
	sqlite3_stmt *statement[STATEMENTS];
	int64_t *column_id; /* [columns] of the series -> number in the store */
	uint32_t columns;
	uint32_t graph_entities, graph_columns; /* as last written */
};

/* The statement, reset and unbound, ready to bind. */
sqlite3_stmt *store_statement(struct store *s, enum statement which);

/* Step a statement that yields no row. Returns 0 or -errno (logged). */
int store_run(struct store *s, sqlite3_stmt *st);

/* -errno for a result code; logs what the database said. */
int store_error(struct store *s, int code);

int store_begin(struct store *s);
int store_end(struct store *s, int err); /* commit, or roll back when err; returns err or worse */

/* A document, with the lock held. */
int store_put_locked(
	struct store *s, const char *kind, int64_t id, double at_s, const json_t *body);
json_t *store_get_locked(struct store *s, const char *kind, int64_t id);

#endif
