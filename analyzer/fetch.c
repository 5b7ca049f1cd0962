#include "analyzer/fetch.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_BYTES ((size_t)256 << 20)
#define CONNECT_TIMEOUT_S 5L
#define ANSWER_TIMEOUT_S 120L

struct answer {
	char *text; /* owned */
	size_t size, capacity;
};

int fetch_open(struct fetch *f, const char *base, char *why, size_t why_size)
{
	*f = (struct fetch){.base = base, .why = why, .why_size = why_size};
	if (curl_global_init(CURL_GLOBAL_DEFAULT))
		return -ENOMEM;
	f->curl = curl_easy_init();
	if (!f->curl) {
		curl_global_cleanup();
		return -ENOMEM;
	}
	return 0;
}

void fetch_close(struct fetch *f)
{
	if (!f->curl)
		return;
	curl_easy_cleanup(f->curl);
	curl_global_cleanup();
	f->curl = NULL;
}

char *fetch_escape(const struct fetch *f, const char *text)
{
	char *escaped = curl_easy_escape(f->curl, text, 0);
	char *copy = escaped ? strdup(escaped) : NULL;

	curl_free(escaped);
	return copy;
}

/* Returning less than what came makes libcurl give up. */
static size_t take(char *data, size_t one, size_t size, void *context)
{
	struct answer *a = context;

	(void)one;
	if (size > ANSWER_BYTES - a->size)
		return 0;
	if (a->size + size > a->capacity) {
		size_t capacity = 2 * (a->size + size);
		char *bigger = realloc(a->text, capacity);

		if (!bigger)
			return 0;
		a->text = bigger;
		a->capacity = capacity;
	}
	memcpy(a->text + a->size, data, size);
	a->size += size;
	return size;
}

static int get(struct fetch *f, const char *url, struct answer *a)
{
	CURL *c = f->curl;
	long status = 0;
	CURLcode code;

	curl_easy_reset(c);
	curl_easy_setopt(c, CURLOPT_URL, url);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, a);
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, CONNECT_TIMEOUT_S);
	curl_easy_setopt(c, CURLOPT_TIMEOUT, ANSWER_TIMEOUT_S);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_NOPROXY, "*");
	code = curl_easy_perform(c);
	if (code != CURLE_OK) {
		snprintf(f->why, f->why_size, "%s: %s; is the analyzer running there?", url,
			curl_easy_strerror(code));
		return code == CURLE_WRITE_ERROR ? -EMSGSIZE : -ECONNREFUSED;
	}
	curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
	if (status != 200) {
		snprintf(f->why, f->why_size, "%s: answered with status %ld: %.*s", url, status,
			(int)(a->size < 200 ? a->size : 200), a->size ? a->text : "");
		return -EBADMSG;
	}
	return 0;
}

static int get_json(struct fetch *f, const char *url, json_t **out)
{
	struct answer a = {0};
	json_error_t reason;
	json_t *value;
	int error = get(f, url, &a);

	if (!error) {
		value = json_loadb(a.size ? a.text : "", a.size, JSON_REJECT_DUPLICATES, &reason);
		if (value) {
			*out = value;
		} else {
			snprintf(f->why, f->why_size, "%s: not JSON: line %d: %s", url, reason.line,
				reason.text);
			error = -EBADMSG;
		}
	}
	free(a.text);
	return error;
}

int fetch_json(struct fetch *f, json_t **out, const char *path, ...)
{
	char *tail, *url;
	va_list args;
	int length, error;

	va_start(args, path);
	length = vasprintf(&tail, path, args);
	va_end(args);
	if (length < 0)
		return -ENOMEM;
	length = asprintf(&url, "%s%s", f->base, tail);
	free(tail);
	if (length < 0)
		return -ENOMEM;
	error = get_json(f, url, out);
	free(url);
	return error;
}
