/*
 * JSON by HTTP GET: the one file on libcurl of the file commands. Answers are
 * bounded in size and time. One thread at a time.
 */
#ifndef SAGE_ANALYZER_FETCH_H
#define SAGE_ANALYZER_FETCH_H

#include <jansson.h>
#include <stddef.h>

struct fetch {
	void *curl;
	const char *base; /* "http://127.0.0.1:8080"; the caller's */
	char *why;        /* the caller's, receives one line on failure */
	size_t why_size;
};

/* Returns 0 or -ENOMEM. */
int fetch_open(struct fetch *f, const char *base, char *why, size_t why_size);
void fetch_close(struct fetch *f);

/* Text made fit for a query. NULL when out of memory; release with free(). */
char *fetch_escape(const struct fetch *f, const char *text);

/*
 * GET base + path (made as by printf) and parse the answer. Returns 0 with *out owned by the
 * caller, or -errno with `why` filled: -ECONNREFUSED (and the like) when nobody answers,
 * -EBADMSG for another status than 200 or what is no JSON.
 */
int fetch_json(struct fetch *f, json_t **out, const char *path, ...)
	__attribute__((format(printf, 3, 4)));

#endif
