/* Every path of docs/api.md over a real connection, the core behind it fed with real batches. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <curl/curl.h>

#include "analyzer/api.h"
#include "common/clock.h"
#include "made_window.h"

static char dir[] = "/tmp/sage-http-XXXXXX";
static struct core *core;
static struct http *server;

struct answer {
	long status;
	char *text; /* owned */
	size_t size;
	json_t *json; /* owned; NULL when it is none */
};

static size_t take(char *data, size_t one, size_t n, void *ctx)
{
	struct answer *a = ctx;
	char *grown = realloc(a->text, a->size + one * n + 1);

	if (!grown)
		return 0;
	memcpy(grown + a->size, data, one * n);
	a->text = grown;
	a->size += one * n;
	grown[a->size] = 0;
	return one * n;
}

/* body NULL: GET. header NULL: none. */
static struct answer ask(
	const struct http *h, const char *path, const char *body, const char *header)
{
	struct curl_slist *headers = header ? curl_slist_append(NULL, header) : NULL;
	CURL *curl = curl_easy_init();
	struct answer a = {0};
	char url[512];

	snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", http_port(h), path);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, &a);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, 10L);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	if (body)
		curl_easy_setopt(curl, CURLOPT_COPYPOSTFIELDS, body);
	if (curl_easy_perform(curl) == CURLE_OK)
		curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &a.status);
	curl_easy_cleanup(curl);
	curl_slist_free_all(headers);
	a.json = a.text ? json_loads(a.text, JSON_DECODE_ANY, NULL) : NULL;
	return a;
}

static void answer_clear(struct answer *a)
{
	json_decref(a->json);
	free(a->text);
}

static json_t *get(const char *path)
{
	struct answer a = ask(server, path, NULL, NULL);
	json_t *json = json_incref(a.json);

	if (a.status != 200 || !json)
		fail_msg("%s: %ld %s", path, a.status, a.text ? a.text : "");
	answer_clear(&a);
	return json;
}

static void assert_fails(
	const struct http *h, const char *path, const char *body, const char *header, long status)
{
	struct answer a = ask(h, path, body, header);

	if (a.status != status || !json_is_string(json_object_get(a.json, "error")))
		fail_msg(
			"%s: %ld instead of %ld: %s", path, a.status, status, a.text ? a.text : "");
	answer_clear(&a);
}

static void assert_keys(const json_t *object, const char *keys)
{
	char list[512], *rest, *key;

	snprintf(list, sizeof(list), "%s", keys);
	for (key = strtok_r(list, " ", &rest); key; key = strtok_r(NULL, " ", &rest))
		if (!json_object_get(object, key))
			fail_msg("no \"%s\" in the answer", key);
}

static void status_graph_and_entity_have_their_members(void **state)
{
	json_t *j = get("/api/v1/status"), *one;

	(void)state;
	assert_keys(j, "version uptime_s mode window_s windows services edges agents losses "
		       "intake model");
	assert_keys(json_object_get(j, "intake"),
		"batches windows duplicates refused strangers deferred queue_full polls bytes");
	assert_keys(json_object_get(j, "model"),
		"state version trained_at windows parameters error training_s learnt_ratio");
	one = json_array_get(json_object_get(j, "agents"), 0);
	assert_keys(one, "name last_seen windows losses");
	json_decref(j);
	j = get("/api/v1/graph");
	assert_keys(j, "time services edges");
	one = json_array_get(json_object_get(j, "edges"), 0);
	assert_keys(one, "caller callee protocol requests_per_s error_ratio client_p99_us "
			 "server_p99_us network_p99_us net_retransmit_ratio resets_per_s");
	assert_string_equal(json_string_value(json_object_get(one, "protocol")), "http");
	assert_true(json_is_null(json_object_get(one, "client_p99_us")));
	one = json_array_get(json_object_get(j, "services"), 0);
	assert_keys(one, "name host status requests_per_s error_ratio server_p99_us self_p99_us "
			 "cpu_util_ratio mem_util_ratio containers");
	json_decref(j);
	j = get("/api/v1/entity?name=front");
	assert_keys(j, "name kind metrics callers callees");
	assert_string_equal(
		json_string_value(json_array_get(json_object_get(j, "callers"), 0)), "user");
	json_decref(j);
}

static void series_hold_the_windows_asked_for(void **state)
{
	json_t *j = get("/api/v1/series?entity=front&metrics=server_p99_us,nothing"), *values;

	(void)state;
	assert_int_equal(json_array_size(json_object_get(j, "times")), 20);
	values = json_object_get(json_object_get(j, "series"), "server_p99_us");
	assert_int_equal(json_array_size(values), 20);
	assert_true(json_real_value(json_array_get(values, 0)) > 900);
	values = json_object_get(json_object_get(j, "series"), "nothing");
	assert_true(json_is_null(json_array_get(values, 0)));
	json_decref(j);
	j = get("/api/v1/series?entity=user-%3Efront&metrics=requests_per_s&from=0&to=10");
	assert_int_equal(json_array_size(json_object_get(j, "times")), 0);
	json_decref(j);
}

static void incidents_come_with_diagnosis_and_actions(void **state)
{
	json_t *j = get("/api/v1/incidents?limit=5"), *one = json_array_get(j, 0);
	char path[64];

	(void)state;
	assert_int_equal(json_array_size(j), 1);
	assert_keys(one, "id slo state started detected diagnosed ended peak diagnosis actions");
	assert_keys(json_object_get(one, "diagnosis"),
		"verdict method why from to slo seconds ranking culprits evidence counterfactual");
	snprintf(path, sizeof(path), "/api/v1/incidents/%lld",
		(long long)json_integer_value(json_object_get(one, "id")));
	json_decref(j);
	j = get(path);
	assert_keys(j, "id slo state");
	json_decref(j);
	j = get("/api/v1/actions?limit=5");
	assert_true(json_is_array(j));
	json_decref(j);
}

static void a_target_can_be_set(void **state)
{
	struct answer a = ask(server, "/api/v1/slos",
		"{\"entity\": \"user->front\", \"metric\": \"server_p50_us\", \"target\": 70}",
		NULL);
	json_t *j;

	(void)state;
	assert_int_equal(a.status, 200);
	answer_clear(&a);
	core_step(core, 0);
	j = get("/api/v1/slos");
	assert_int_equal(json_array_size(j), 2);
	assert_keys(json_array_get(j, 1), "entity metric target proposed current violated since");
	json_decref(j);
}

static void the_mode_can_be_set(void **state)
{
	struct answer a = ask(server, "/api/v1/mode", "{\"mode\": \"observe\"}", NULL);
	json_t *j;

	(void)state;
	assert_int_equal(a.status, 200);
	answer_clear(&a);
	j = get("/api/v1/status");
	assert_string_equal(json_string_value(json_object_get(j, "mode")), "observe");
	json_decref(j);
}

static void every_name_of_this_host_may_change_things(void **state)
{
	static const char *const host[] = {
		"Host: localhost:8080", "Host: 127.0.0.1:8080", "Host: [::1]:8080"};

	(void)state;
	for (size_t i = 0; i < sizeof(host) / sizeof(*host); i++) {
		struct answer a = ask(server, "/api/v1/mode", "{\"mode\": \"observe\"}", host[i]);

		assert_int_equal(a.status, 200);
		answer_clear(&a);
	}
}

static void wrong_requests_are_told_why(void **state)
{
	char *large = malloc(HTTP_BODY_MAX + 2);

	(void)state;
	assert_fails(server, "/api/v1/nothing", NULL, NULL, 404);
	assert_fails(server, "/api/v1/mode", NULL, NULL, 405);
	assert_fails(server, "/api/v1/graph", "{}", NULL, 405);
	assert_fails(server, "/api/v1/entity?name=nobody", NULL, NULL, 404);
	assert_fails(server, "/api/v1/series?entity=front", NULL, NULL, 400);
	assert_fails(server, "/api/v1/series?entity=front&metrics=a&from=x", NULL, NULL, 400);
	assert_fails(server, "/api/v1/incidents/77", NULL, NULL, 404);
	assert_fails(server, "/api/v1/incidents?limit=-1", NULL, NULL, 400);
	assert_fails(server, "/api/v1/actions/77/apply", "", NULL, 404);
	assert_fails(server, "/api/v1/actions/77/burn", "", NULL, 404);
	assert_fails(server, "/api/v1/mode", "{\"mode\": \"panic\"}", NULL, 400);
	assert_fails(server, "/api/v1/mode", "{\"mode\": ", NULL, 400);
	assert_fails(server, "/api/v1/slos",
		"{\"entity\": \"a->\", \"metric\": \"m\", \"target\": 1}", NULL, 400);
	assert_fails(server, "/api/v1/mode", "{\"mode\": \"observe\"}",
		"Origin: http://other.example", 403);
	assert_fails(server, "/api/v1/mode", "{\"mode\": \"observe\"}",
		"Host: rebound.example:8080", 403);
	assert_fails(server, "/api/v1/mode", "{\"mode\": \"observe\"}",
		"Host: 127.0.0.1.rebound.example", 403);
	assert_non_null(large);
	memset(large, ' ', HTTP_BODY_MAX + 1);
	large[HTTP_BODY_MAX + 1] = 0;
	assert_fails(server, "/api/v1/mode", large, "Expect:", 413);
	free(large);
}

static void a_token_is_asked_for_when_there_is_one(void **state)
{
	struct http_options o = {.address = "127.0.0.1:0",
		.token = "correct-horse-battery",
		.handler = api_handle,
		.ctx = core};
	const char *body = "{\"mode\": \"observe\"}";
	struct http *guarded = NULL;
	struct answer a;
	char why[256];

	(void)state;
	assert_int_equal(http_open(&guarded, &o, why, sizeof(why)), 0);
	assert_fails(guarded, "/api/v1/mode", body, NULL, 401);
	assert_fails(guarded, "/api/v1/mode", body, "Authorization: Bearer correct-horse", 401);
	a = ask(guarded, "/api/v1/mode", body, "Authorization: Bearer correct-horse-battery");
	assert_int_equal(a.status, 200);
	answer_clear(&a);
	a = ask(guarded, "/api/v1/status", NULL, NULL);
	assert_int_equal(a.status, 200);
	answer_clear(&a);
	http_close(guarded);
}

static void text_pages_answer(void **state)
{
	struct answer a = ask(server, "/metrics", NULL, NULL);

	(void)state;
	assert_int_equal(a.status, 200);
	assert_non_null(strstr(a.text, "# TYPE sage_windows gauge\nsage_windows 20\n"));
	assert_non_null(strstr(a.text, "\nsage_intake_queue_full_total 0\n"));
	assert_non_null(strstr(a.text, "sage_slo_target{entity=\"user->front\""));
	answer_clear(&a);
	a = ask(server, "/healthz", NULL, NULL);
	assert_int_equal(a.status, 200);
	answer_clear(&a);
	a = ask(server, "/readyz", NULL, NULL);
	assert_int_equal(a.status, 200);
	answer_clear(&a);
	a = ask(server, "/", NULL, NULL);
	assert_int_equal(a.status, 200);
	assert_non_null(strstr(a.text, "<html"));
	answer_clear(&a);
}

static void a_busy_port_is_one_clear_line(void **state)
{
	char address[64], why[256] = "";
	struct http_options o = {.address = address, .handler = api_handle, .ctx = core};
	struct http *second = NULL;

	(void)state;
	snprintf(address, sizeof(address), "127.0.0.1:%u", http_port(server));
	assert_true(http_open(&second, &o, why, sizeof(why)) < 0);
	assert_non_null(strstr(why, address));
	assert_null(second);
}

static int feed(uint64_t start_s)
{
	for (uint64_t i = 0; i < 40; i++) {
		struct wire_window w;
		struct intake_batch b;
		int err;

		made_front_window(&w, start_s + i, 10, i < 30 ? 1000 : 90000);
		b = made_arrival("a", i + 1, &w);
		err = core_batches(core, &b, 1);
		made_arrival_close(&b);
		if (err)
			return err;
	}
	core_step(core, 0);
	return 0;
}

static int start(void **state)
{
	struct core_options o = {.data = dir,
		.window_s = 2,
		.keep_s = 7200,
		.retain_s = 7200,
		.retain_bytes = 1 << 30,
		.train_after = 1000000,
		.retrain_s = 1e6,
		.method = METHOD_ROBUST,
		.mode = ACT_RECOMMEND};
	struct http_options h = {.address = "127.0.0.1:0", .handler = api_handle};
	struct slo_text slo = {.entity = "user->front", .metric = "server_p99_us", .target = 5000};
	char why[512] = "";
	int err;

	(void)state;
	if (!mkdtemp(dir) || core_open(&core, &o, why, sizeof(why)))
		return -1;
	core_lock(core);
	err = core_set_slo(core, &slo);
	core_unlock(core);
	h.ctx = core;
	if (err || feed(clock_wall_ns() / 2000000000ULL * 2 - 300))
		return -1;
	return http_open(&server, &h, why, sizeof(why));
}

static int stop(void **state)
{
	static const char *const name[] = {"sage.db", "sage.db-wal", "sage.db-shm"};
	char path[128];

	(void)state;
	http_close(server);
	core_close(core);
	for (size_t i = 0; i < sizeof(name) / sizeof(*name); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, name[i]);
		unlink(path);
	}
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(status_graph_and_entity_have_their_members),
		cmocka_unit_test(series_hold_the_windows_asked_for),
		cmocka_unit_test(incidents_come_with_diagnosis_and_actions),
		cmocka_unit_test(text_pages_answer),
		cmocka_unit_test(a_target_can_be_set),
		cmocka_unit_test(the_mode_can_be_set),
		cmocka_unit_test(every_name_of_this_host_may_change_things),
		cmocka_unit_test(wrong_requests_are_told_why),
		cmocka_unit_test(a_token_is_asked_for_when_there_is_one),
		cmocka_unit_test(a_busy_port_is_one_clear_line),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
