/*
 * The analyzer's HTTP interface, as a client: docs/api.md. Answers are JSON
 * documents owned by the caller (json_decref). One thread uses an api at a time.
 */
#ifndef SAGE_TESTBED_API_H
#define SAGE_TESTBED_API_H

#include <jansson.h>

struct api {
	void *curl;
	char base[128]; /* "http://127.0.0.1:8080" */
};

/* Returns 0 or -ENOMEM. */
int api_open(struct api *a, const char *base);
void api_close(struct api *a);

/* GET a path such as "/api/v1/status". NULL when there was no answer, or not JSON. */
json_t *api_get(struct api *a, const char *path);

/* POST a document (borrowed). Returns the HTTP status, or 0 when there was no answer. */
long api_post(struct api *a, const char *path, const json_t *body);

/* A number below a path of keys, such as "model.version"; NAN when it is not there. */
double api_number(const json_t *document, const char *keys);

/* A string likewise; "" when it is not there. Borrowed from the document. */
const char *api_text(const json_t *document, const char *keys);

#endif
