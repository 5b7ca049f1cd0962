#include "tests/testbed/peer.h"

#include <errno.h>
#include <mysql.h>
#include <stdio.h>
#include <stdlib.h>

struct peer {
	MYSQL *database;
};

static void mysql_peer_close(struct peer *p)
{
	if (!p)
		return;
	mysql_close(p->database);
	free(p);
}

static struct peer *mysql_peer_open(const struct service *s, const char *address)
{
	struct peer *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->database = mysql_init(NULL);
	if (!p->database ||
		!mysql_real_connect(p->database, address, "root", "", NULL, s->port, NULL, 0)) {
		mysql_peer_close(p);
		return NULL;
	}
	return p;
}

static int mysql_peer_send(struct peer *p, struct random *r)
{
	char text[80];
	int size = snprintf(text, sizeof(text),
		random_unit(r) < PEER_WRITES ? "UPDATE sage.post SET seen = seen + 1 WHERE id = %u"
					     : "SELECT body FROM sage.post WHERE id = %u",
		random_below(r, PEER_KEYS));

	return mysql_send_query(p->database, text, (unsigned long)size) ? -EIO : 0;
}

static int mysql_peer_receive(struct peer *p, bool *ok)
{
	MYSQL_RES *rows;

	if (mysql_read_query_result(p->database))
		return -EIO;
	rows = mysql_store_result(p->database);
	*ok = rows || !mysql_field_count(p->database);
	mysql_free_result(rows);
	return 0;
}

static int mysql_peer_fill(struct peer *p, const struct service *s)
{
	static const char *const format[] = {
		"CREATE DATABASE sage",
		"USE sage", /* whose sequence the numbers below are */
		"CREATE TABLE sage.post (id int PRIMARY KEY, seen int, body text)",
		"INSERT INTO sage.post SELECT seq, 0, REPEAT('x', %u) FROM seq_0_to_%d",
	};
	char text[128];

	for (size_t i = 0; i < sizeof(format) / sizeof(*format); i++) {
		snprintf(text, sizeof(text), format[i], (unsigned)s->reply_bytes, PEER_KEYS - 1);
		if (mysql_query(p->database, text))
			return -EIO;
	}
	return 0;
}

const struct peer_protocol peer_mysql = {
	mysql_peer_open, mysql_peer_close, mysql_peer_send, mysql_peer_receive, mysql_peer_fill};
