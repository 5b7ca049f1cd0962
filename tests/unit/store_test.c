#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "analyzer/slo.h"
#include "analyzer/store.h"
#include "analyzer/store_recording.h"

static char dir[64];

static int make_dir(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/sage-store-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	static const char *const name[] = {"sage.db", "sage.db-wal", "sage.db-shm"};
	char path[128];

	(void)state;
	for (size_t i = 0; i < sizeof(name) / sizeof(*name); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, name[i]);
		unlink(path);
	}
	return rmdir(dir);
}

static struct store *open_store(void)
{
	struct store *s = NULL;
	char why[512] = "";

	if (store_open(&s, dir, why, sizeof(why)))
		fail_msg("%s", why);
	return s;
}

static const struct wire_agent agent = {.name = "node-1", .boot_id = {1, 2, 3}};

/* As an intake does it for one: 1 = known already. */
static int put_batch(struct store *s, const struct wire_agent *a, uint64_t sequence,
	uint64_t until_ns, const void *body, size_t size, int64_t *id)
{
	struct store_batch b = {
		.agent = a, .sequence = sequence, .until_ns = until_ns, .body = body, .size = size};
	int err = store_batches(s, &b, 1);

	*id = b.id;
	return err ? err : b.id == 0;
}

static void many_batches_are_stored_at_once(void **state)
{
	struct store *s = open_store();
	struct store_batch b[3];
	int64_t id = 0;
	void *body;
	size_t size;

	(void)state;
	for (size_t i = 0; i < 3; i++)
		b[i] = (struct store_batch){.agent = &agent,
			.sequence = i == 2 ? 1 : i + 1, /* the last one came twice */
			.until_ns = 100,
			.body = &"abc"[i],
			.size = 1};
	assert_int_equal(store_batches(s, b, 3), 0);
	assert_true(b[0].id > 0 && b[1].id > b[0].id && b[2].id == 0);
	assert_int_equal(store_last_sequence(s, &agent), 2);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(store_next_batch(s, id, &id, &body, &size), 0);
		assert_int_equal(id, b[i].id);
		assert_memory_equal(body, &"abc"[i], 1);
		free(body);
	}
	assert_int_equal(store_next_batch(s, id, &id, &body, &size), -ENOENT);
	store_close(s);
}

static void a_sequence_is_stored_once_per_boot(void **state)
{
	struct wire_agent rebooted = agent;
	struct store *s = open_store();
	int64_t id;

	(void)state;
	rebooted.boot_id[0] = 9;
	assert_int_equal(store_last_sequence(s, &agent), 0);
	assert_int_equal(put_batch(s, &agent, 5, 100, "x", 1, &id), 0);
	assert_int_equal(put_batch(s, &agent, 5, 100, "x", 1, &id), 1);
	assert_int_equal(put_batch(s, &agent, 4, 100, "x", 1, &id), 1);
	assert_int_equal(put_batch(s, &rebooted, 1, 100, "x", 1, &id), 0);
	store_close(s);
	s = open_store();
	assert_int_equal(store_last_sequence(s, &agent), 5);
	assert_int_equal(store_last_sequence(s, &rebooted), 1);
	store_close(s);
}

static size_t batches(struct store *s)
{
	int64_t id = 0;
	void *body;
	size_t size, n = 0;

	while (!store_next_batch(s, id, &id, &body, &size)) {
		free(body);
		n++;
	}
	return n;
}

static void fill(struct recording *r, size_t rows)
{
	uint32_t cart, edge;

	recording_init(r);
	r->series.window_s = 5;
	edge = graph_edge(&r->graph, "user", "cart");
	cart = graph_find(&r->graph, "cart");
	snprintf(r->graph.entity[edge].protocol, sizeof(r->graph.entity[edge].protocol), "http");
	r->graph.entity[cart].host = graph_host(&r->graph, "host:node-1");
	for (size_t i = 0; i < rows; i++) {
		long row = series_row(&r->series, 100 + 5.0 * (double)i);

		series_set(&r->series, (size_t)row,
			series_column(&r->series, edge, "client_p99_us"), (float)i);
		if (i % 2)
			series_set(&r->series, (size_t)row,
				series_column(&r->series, cart, "cpu_cores"), 0.5F);
	}
}

static void a_row_takes_the_place_of_its_batches(void **state)
{
	struct store *s = open_store();
	struct recording r;
	int64_t first, second;

	(void)state;
	fill(&r, 1);
	assert_int_equal(put_batch(s, &agent, 1, 100, "a", 1, &first), 0);
	assert_int_equal(put_batch(s, &agent, 2, 200, "b", 1, &second), 0);
	assert_int_equal(store_row(s, &r, 0, second, 150), 0);
	assert_int_equal(batches(s), 1);
	assert_int_equal(store_row(s, &r, 0, first, 500), 0);
	assert_int_equal(batches(s), 1);
	assert_int_equal(store_row(s, &r, 0, second, 500), 0);
	assert_int_equal(batches(s), 0);
	recording_clear(&r);
	store_close(s);
}

static void rows_and_graph_come_back_as_they_were(void **state)
{
	struct store *s = open_store();
	struct recording r, back;
	uint32_t cart;

	(void)state;
	fill(&r, 10);
	for (size_t i = 0; i < 10; i++)
		assert_int_equal(store_row(s, &r, i, 0, 0), 0);
	store_close(s);
	s = open_store();
	recording_init(&back);
	assert_int_equal(store_rows(s, &back, -INFINITY, INFINITY, 4), 0);
	assert_int_equal(back.series.windows, 4);
	assert_true(back.series.start_s[0] == 130);
	assert_int_equal(back.graph.entities, r.graph.entities);
	for (uint32_t i = 0; i < r.graph.entities; i++) {
		assert_string_equal(back.graph.entity[i].name, r.graph.entity[i].name);
		assert_string_equal(back.graph.entity[i].protocol, r.graph.entity[i].protocol);
	}
	cart = graph_find(&back.graph, "cart");
	assert_string_equal(back.graph.entity[back.graph.entity[cart].host].name, "host:node-1");
	assert_true(isnan(series_values(&back.series, cart, "cpu_cores")[0]));
	assert_true(series_values(&back.series, cart, "cpu_cores")[1] == 0.5F);
	assert_true(series_values(&back.series, graph_find(&back.graph, "user->cart"),
			    "client_p99_us")[3] == 9);
	recording_clear(&back);
	recording_clear(&r);
	store_close(s);
}

static void a_second_process_is_refused(void **state)
{
	struct store *s = open_store(), *other = NULL;
	char why[512] = "";

	(void)state;
	assert_int_equal(store_open(&other, dir, why, sizeof(why)), -EBUSY);
	assert_non_null(strstr(why, "in use"));
	store_close(s);
}

static void a_file_that_is_no_store_is_refused(void **state)
{
	struct store *s = NULL;
	char path[128], why[512] = "";
	FILE *f;

	(void)state;
	snprintf(path, sizeof(path), "%s/sage.db", dir);
	f = fopen(path, "w");
	assert_non_null(f);
	for (unsigned i = 0; i < 500; i++)
		fputs("not a database ", f);
	fclose(f);
	assert_true(store_open(&s, dir, why, sizeof(why)) < 0);
	assert_non_null(strstr(why, path));
}

static void documents_and_models_are_kept_newest_first(void **state)
{
	struct store *s = open_store();
	json_t *one = json_pack("{si}", "n", 1), *all, *about;
	int64_t version;
	size_t size;
	void *blob;

	(void)state;
	for (int i = 1; i <= 7; i++) {
		json_object_set_new(one, "n", json_integer(i));
		assert_int_equal(store_put(s, "incident", i, i, one), 0);
		assert_int_equal(store_put_model(s, i, i, one, "blob", 4), 0);
	}
	assert_int_equal(store_last_id(s, "incident"), 7);
	assert_int_equal(store_last_id(s, "nothing"), 0);
	all = store_newest(s, "incident", 3);
	assert_int_equal(json_array_size(all), 3);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(all, 0), "n")), 7);
	json_decref(all);
	assert_null(store_get(s, "incident", 99));
	assert_int_equal(store_newest_model(s, &version, &about, &blob, &size), 0);
	assert_int_equal(version, 7);
	assert_int_equal(size, 4);
	assert_memory_equal(blob, "blob", 4);
	free(blob);
	json_decref(about);
	json_decref(one);
	store_close(s);
}

static void trimming_forgets_by_age_and_by_size(void **state)
{
	struct store *s = open_store();
	struct recording r, back;

	(void)state;
	fill(&r, 300);
	for (size_t i = 0; i < 300; i++)
		assert_int_equal(store_row(s, &r, i, 0, 0), 0);
	assert_int_equal(store_trim(s, 200, 1 << 30), 0);
	recording_init(&back);
	assert_int_equal(store_rows(s, &back, -INFINITY, INFINITY, 1000), 0);
	assert_int_equal(back.series.windows, 280);
	recording_clear(&back);
	assert_int_equal(store_trim(s, 200, 1), 0);
	recording_init(&back);
	assert_int_equal(store_rows(s, &back, -INFINITY, INFINITY, 1000), 0);
	assert_int_equal(back.series.windows, 0);
	recording_clear(&back);
	recording_clear(&r);
	store_close(s);
}

static void a_data_directory_becomes_a_recording(void **state)
{
	struct store *s = open_store();
	json_t *slos, *window = json_real(5);
	struct recording r, back;
	struct slo_text text = {.entity = "user->cart", .metric = "client_p99_us", .target = 9};
	char why[512];

	(void)state;
	fill(&r, 10);
	for (size_t i = 0; i < 10; i++)
		assert_int_equal(store_row(s, &r, i, 0, 0), 0);
	assert_int_equal(slo_set(&r, &text), 0);
	slos = slo_to_json(&r);
	assert_int_equal(store_put(s, "slos", 1, 0, slos), 0);
	assert_int_equal(store_put(s, "window", 1, 0, window), 0);
	assert_int_equal(store_recording(&back, dir, 0, 1e9, why, sizeof(why)), -EBUSY);
	assert_non_null(strstr(why, "--url"));
	store_close(s);
	assert_int_equal(store_recording(&back, dir, 110, 140, why, sizeof(why)), 0);
	assert_int_equal(back.series.windows, 6);
	assert_true(back.series.window_s == 5);
	assert_true(back.series.start_s[0] == 110);
	assert_int_equal(back.slos, 1);
	assert_true(back.slo[0].target == 9);
	assert_string_equal(back.graph.entity[back.slo[0].entity].name, "user->cart");
	recording_clear(&back);
	assert_int_equal(store_recording(&back, "/nowhere", 0, 1, why, sizeof(why)), -ENOENT);
	assert_non_null(strstr(why, "/nowhere/sage.db"));
	json_decref(slos);
	json_decref(window);
	recording_clear(&r);
}

#define IN_DIR(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIR(many_batches_are_stored_at_once),
		IN_DIR(a_sequence_is_stored_once_per_boot),
		IN_DIR(a_row_takes_the_place_of_its_batches),
		IN_DIR(rows_and_graph_come_back_as_they_were),
		IN_DIR(a_second_process_is_refused),
		IN_DIR(a_file_that_is_no_store_is_refused),
		IN_DIR(documents_and_models_are_kept_newest_first),
		IN_DIR(a_data_directory_becomes_a_recording),
		IN_DIR(trimming_forgets_by_age_and_by_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
