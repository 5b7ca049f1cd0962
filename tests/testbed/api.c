#include "tests/testbed/api.h"

#include <curl/curl.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 5000L
#define ANSWER_MAX (16U << 20)

struct answer {
	char *text;
	size_t size;
};

static size_t collect(char *data, size_t one, size_t size, void *user)
{
	struct answer *a = user;
	char *grown;

	if (a->size + size > ANSWER_MAX)
		return 0;
	grown = realloc(a->text, a->size + size + 1);
	if (!grown)
		return 0;
	memcpy(grown + a->size, data, size);
	a->text = grown;
	a->size += size;
	a->text[a->size] = 0;
	return size * one;
}

int api_open(struct api *a, const char *base)
{
	*a = (struct api){.curl = curl_easy_init()};
	snprintf(a->base, sizeof(a->base), "%s", base);
	return a->curl ? 0 : -ENOMEM;
}

void api_close(struct api *a)
{
	if (a->curl)
		curl_easy_cleanup(a->curl);
	a->curl = NULL;
}

/* One request; the HTTP status, or 0. The answer's text is the caller's to free. */
static long request(struct api *a, const char *path, const char *body, struct answer *answer)
{
	struct curl_slist *headers = NULL;
	char url[512];
	long status = 0;

	snprintf(url, sizeof(url), "%s%s", a->base, path);
	curl_easy_reset(a->curl);
	curl_easy_setopt(a->curl, CURLOPT_URL, url);
	curl_easy_setopt(a->curl, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(a->curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(a->curl, CURLOPT_TIMEOUT_MS, TIMEOUT_MS);
	curl_easy_setopt(a->curl, CURLOPT_WRITEFUNCTION, collect);
	curl_easy_setopt(a->curl, CURLOPT_WRITEDATA, answer);
	if (body) {
		headers = curl_slist_append(NULL, "Content-Type: application/json");
		curl_easy_setopt(a->curl, CURLOPT_HTTPHEADER, headers);
		curl_easy_setopt(a->curl, CURLOPT_POSTFIELDS, body);
	}
	if (curl_easy_perform(a->curl) == CURLE_OK)
		curl_easy_getinfo(a->curl, CURLINFO_RESPONSE_CODE, &status);
	curl_slist_free_all(headers);
	return status;
}

json_t *api_get(struct api *a, const char *path)
{
	struct answer answer = {NULL, 0};
	json_t *document = NULL;

	if (request(a, path, NULL, &answer) == 200 && answer.text)
		document = json_loadb(answer.text, answer.size, 0, NULL);
	free(answer.text);
	return document;
}

long api_post(struct api *a, const char *path, const json_t *body)
{
	struct answer answer = {NULL, 0};
	char *text = json_dumps(body, JSON_COMPACT);
	long status = text ? request(a, path, text, &answer) : 0;

	free(answer.text);
	free(text);
	return status;
}

static const json_t *find(const json_t *document, const char *keys)
{
	char key[64];

	while (document && *keys) {
		size_t length = strcspn(keys, ".");

		if (length >= sizeof(key))
			return NULL;
		memcpy(key, keys, length);
		key[length] = 0;
		document = json_object_get(document, key);
		keys += length + (keys[length] == '.');
	}
	return document;
}

double api_number(const json_t *document, const char *keys)
{
	const json_t *found = find(document, keys);

	return json_is_number(found) ? json_number_value(found) : (double)NAN;
}

const char *api_text(const json_t *document, const char *keys)
{
	const char *text = json_string_value(find(document, keys));

	return text ? text : "";
}
