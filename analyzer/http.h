/*
 * The HTTP server: connections, limits and who may change things. What the paths
 * mean is in api.h. The one file that knows libmicrohttpd.
 *
 * A few threads answer side by side; the handler runs on any of them. At most
 * HTTP_CONNECTIONS at a time, HTTP_PER_ADDRESS from one address, idle for HTTP_IDLE_S;
 * bodies are limited to HTTP_BODY_MAX. GET is open. POST needs the bearer
 * token, or, when there is none, a peer on this host; and never comes from a page of
 * another origin.
 */
#ifndef SAGE_ANALYZER_HTTP_H
#define SAGE_ANALYZER_HTTP_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define HTTP_CONNECTIONS 256
#define HTTP_PER_ADDRESS 64
#define HTTP_IDLE_S 30
#define HTTP_BODY_MAX (64U << 10)

struct http;

/* What a handler is asked. Borrowed for the call. */
struct http_request {
	const char *path;
	bool post;
	const json_t *body; /* of a POST; NULL when it had none */
	void *connection;
};

/* What it answers: JSON, text (owned, free()d), or constant data. */
struct http_reply {
	unsigned status;
	json_t *json; /* owned by the reply */
	char *text;   /* owned by the reply */
	const void *data;
	size_t size;
	const char *type;     /* of text and data */
	const char *encoding; /* NULL or "gzip" */
};

typedef void http_handler(void *ctx, const struct http_request *q, struct http_reply *r);

struct http_options {
	const char *address; /* "127.0.0.1:8080", "[::]:8080", ":8080" */
	const char *token;   /* NULL: only this host may POST */
	http_handler *handler;
	void *ctx;
};

/* Listen. On failure -errno with one line in `why`. */
int http_open(struct http **out, const struct http_options *o, char *why, size_t why_size);

/* Waits for the answers under way. NULL is fine. */
void http_close(struct http *h);

/* The port listened on, after port 0 was asked for. */
unsigned http_port(const struct http *h);

/* A parameter of the query string, or NULL. */
const char *http_query(const struct http_request *q, const char *name);

/* Does the client take gzip? */
bool http_takes_gzip(const struct http_request *q);

/* {"error": ...} with a status of 4xx or 5xx. */
void http_fail(struct http_reply *r, unsigned status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
