#include "tests/testbed/peer.h"

#include <errno.h>
#include <postgresql/libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>

struct peer {
	PGconn *database;
};

static void database_close(struct peer *p)
{
	if (!p)
		return;
	PQfinish(p->database);
	free(p);
}

static struct peer *database_open(const struct service *s, const char *address)
{
	char where[160];
	struct peer *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	snprintf(where, sizeof(where),
		"host=%s port=%u user=postgres dbname=postgres connect_timeout=5 sslmode=disable "
		"gssencmode=disable",
		address, s->port);
	p->database = PQconnectdb(where);
	if (PQstatus(p->database) != CONNECTION_OK) {
		database_close(p);
		return NULL;
	}
	return p;
}

static int database_send(struct peer *p, struct random *r)
{
	char key[16];
	const char *values[] = {key};
	const char *statement = random_unit(r) < PEER_WRITES
					? "UPDATE post SET seen = seen + 1 WHERE id = $1::int"
					: "SELECT body FROM post WHERE id = $1::int";

	snprintf(key, sizeof(key), "%u", random_below(r, PEER_KEYS));
	if (!PQsendQueryParams(p->database, statement, 1, NULL, values, NULL, NULL, 0))
		return -EIO;
	return 0;
}

static int database_receive(struct peer *p, bool *ok)
{
	PGresult *result;
	bool good = true;

	while ((result = PQgetResult(p->database))) {
		ExecStatusType status = PQresultStatus(result);

		good = good && (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK);
		PQclear(result);
	}
	if (PQstatus(p->database) != CONNECTION_OK)
		return -EIO;
	*ok = good;
	return 0;
}

static int database_fill(struct peer *p, const struct service *s)
{
	char sql[256];
	PGresult *result;
	bool good;

	snprintf(sql, sizeof(sql),
		"CREATE TABLE post (id int PRIMARY KEY, seen int, body text);"
		"INSERT INTO post SELECT i, 0, repeat('x', %u) FROM generate_series(0, %d) i",
		(unsigned)s->reply_bytes, PEER_KEYS - 1);
	result = PQexec(p->database, sql);
	good = PQresultStatus(result) == PGRES_COMMAND_OK;
	PQclear(result);
	return good ? 0 : -EIO;
}

const struct peer_protocol peer_postgresql = {
	database_open, database_close, database_send, database_receive, database_fill};
