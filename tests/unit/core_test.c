/* The loop and its store: exactly once, across a kill; incidents from end to end. */
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "analyzer/core.h"
#include "common/clock.h"
#include "made_window.h"

static char dir[64];

static int make_dir(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/sage-core-XXXXXX");
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

static size_t train_after = 1000000; /* never, unless a test wants it */

static struct core *open_core(void)
{
	struct core_options o = {.data = dir,
		.window_s = 2,
		.keep_s = 7200,
		.retain_s = 7200,
		.retain_bytes = 1 << 30,
		.train_after = train_after,
		.retrain_s = 1e6,
		.method = METHOD_ROBUST,
		.mode = ACT_RECOMMEND};
	struct core *c = NULL;
	char why[512] = "";

	if (core_open(&c, &o, why, sizeof(why)))
		fail_msg("%s", why);
	return c;
}

static int ship(
	struct core *c, uint64_t sequence, uint64_t start_s, unsigned calls, unsigned latency_us)
{
	struct wire_window w;
	struct intake_batch b;
	int err;

	made_front_window(&w, start_s, calls, latency_us);
	b = made_arrival("a", sequence, &w);
	err = core_batches(c, &b, 1);
	made_arrival_close(&b);
	return err;
}

static double total_calls(const struct core *c)
{
	const struct recording *r = &c->live.recording;
	uint32_t edge = graph_find(&r->graph, "user->front");
	const float *rate =
		edge == GRAPH_NONE ? NULL : series_values(&r->series, edge, "requests_per_s");
	double sum = 0;

	for (size_t i = 0; rate && i < r->series.windows; i++)
		sum += isfinite(rate[i]) ? (double)rate[i] * c->options.window_s : 0;
	return sum;
}

static uint64_t even_second(void)
{
	return (uint64_t)(clock_wall_ns() / 1000000000ULL) / 2 * 2 - 600;
}

static void a_batch_sent_twice_counts_once(void **state)
{
	struct core *c = open_core();
	uint64_t t = even_second();

	(void)state;
	for (uint64_t i = 0; i < 4; i++) {
		assert_int_equal(ship(c, i + 1, t + i, 10, 1000), 0);
		assert_int_equal(ship(c, i + 1, t + i, 10, 1000), 0);
	}
	core_step(c, 0);
	assert_int_equal(c->live.recording.series.windows, 2);
	assert_true(fabs(total_calls(c) - 40) < 0.01);
	core_close(c);
}

/* In a child: acknowledge `batches`, the last ones not yet summed up, then wait to be killed. */
static void serve_until_killed(int ready, uint64_t t, uint64_t batches)
{
	struct core *c = open_core();

	for (uint64_t i = 0; i < batches; i++) {
		if (ship(c, i + 1, t + i, 10, 1000))
			_exit(1);
		if (i == batches / 2)
			core_step(c, 0);
	}
	if (write(ready, "r", 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

static void what_was_acknowledged_survives_a_kill_once(void **state)
{
	uint64_t t = even_second();
	struct wire_agent agent = {.name = "a", .boot_id = {7}};
	struct core *c;
	char byte;
	int fd[2];
	pid_t child;

	(void)state;
	assert_int_equal(pipe(fd), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		serve_until_killed(fd[1], t, 20);
	close(fd[1]);
	assert_int_equal(read(fd[0], &byte, 1), 1);
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
	close(fd[0]);

	c = open_core();
	assert_int_equal(core_last_sequence(c, &agent), 20);
	assert_int_equal(ship(c, 20, t + 19, 10, 1000), 0);
	core_step(c, 0);
	assert_int_equal(c->live.recording.series.windows, 10);
	assert_true(fabs(total_calls(c) - 200) < 0.01);
	core_close(c);
	c = open_core();
	assert_int_equal(c->live.recording.series.windows, 10);
	assert_true(fabs(total_calls(c) - 200) < 0.01);
	core_close(c);
}

static json_t *newest_incident(struct core *c)
{
	json_t *all = store_newest(c->store, "incident", 1), *one = NULL;

	if (json_array_size(all) == 1) {
		core_lock(c);
		one = core_incident_json(c, json_array_get(all, 0));
		core_unlock(c);
	}
	json_decref(all);
	return one;
}

/* Is row 32 in use? Windows are 2 s long: it is inside the incident, from second 60 to 80. */
static bool uses(bool *rows)
{
	bool used;

	assert_non_null(rows);
	used = rows[32];
	free(rows);
	return used;
}

static void a_missed_target_is_diagnosed_and_recovers(void **state)
{
	struct slo_text slo = {.entity = "user->front", .metric = "server_p99_us", .target = 5000};
	struct core *c = open_core();
	uint64_t t = even_second();
	json_t *one;

	(void)state;
	core_lock(c);
	assert_int_equal(core_set_slo(c, &slo), 0);
	core_unlock(c);
	for (uint64_t i = 0; i < 100; i++) {
		assert_int_equal(ship(c, i + 1, t + i, 10, i >= 60 && i < 80 ? 50000 : 1000), 0);
		core_step(c, 0);
		if (i != 79)
			continue;
		one = newest_incident(c);
		assert_string_equal(json_string_value(json_object_get(one, "state")), "open");
		assert_true(json_is_object(json_object_get(one, "diagnosis")));
		assert_false(uses(core_history_rows(c)));
		json_decref(one);
	}
	assert_true(uses(core_history_rows(c)));
	assert_false(uses(core_normal_rows(c)));
	one = newest_incident(c);
	assert_string_equal(json_string_value(json_object_get(one, "state")), "recovered");
	assert_true(json_number_value(json_object_get(one, "started")) == (double)(t + 60));
	assert_true(json_number_value(json_object_get(one, "ended")) == (double)(t + 80));
	assert_true(json_is_array(json_object_get(one, "actions")));
	json_decref(one);
	core_close(c);
}

static void an_open_incident_is_taken_up_after_a_restart(void **state)
{
	struct slo_text slo = {.entity = "user->front", .metric = "server_p99_us", .target = 5000};
	struct core *c = open_core();
	uint64_t t = even_second();
	json_t *one;

	(void)state;
	core_lock(c);
	assert_int_equal(core_set_slo(c, &slo), 0);
	core_unlock(c);
	for (uint64_t i = 0; i < 30; i++)
		assert_int_equal(ship(c, i + 1, t + i, 10, i >= 20 ? 50000 : 1000), 0);
	core_step(c, 0);
	assert_true(core_any_open(c));
	core_close(c);
	c = open_core();
	assert_true(core_any_open(c));
	assert_int_equal(c->live.recording.slos, 1);
	for (uint64_t i = 30; i < 38; i++)
		assert_int_equal(ship(c, i + 1, t + i, 10, 1000), 0);
	core_step(c, 0);
	one = newest_incident(c);
	assert_string_equal(json_string_value(json_object_get(one, "state")), "recovered");
	assert_int_equal(json_integer_value(json_object_get(one, "id")), 1);
	json_decref(one);
	core_close(c);
}

static void a_model_is_trained_beside_and_survives_a_restart(void **state)
{
	uint64_t t = even_second(), deadline_ns = clock_monotonic_ns() + 60 * 1000000000ULL;
	struct core *c;
	size_t parameters;

	(void)state;
	train_after = 20;
	c = open_core();
	for (uint64_t i = 0; i < 60; i++)
		assert_int_equal(ship(c, i + 1, t + i, 10, 1000 + (unsigned)(i % 9) * 100), 0);
	while (!c->model.model && clock_monotonic_ns() < deadline_ns)
		core_step(c, 50);
	assert_non_null(c->model.model);
	assert_int_equal(c->model.version, 1);
	assert_int_equal(c->model.windows, 30);
	assert_int_equal(c->live.recording.slos, 1);
	assert_true(c->live.recording.slo[0].proposed);
	parameters = model_parameters(c->model.model);
	core_close(c);
	c = open_core();
	train_after = 1000000;
	assert_non_null(c->model.model);
	assert_int_equal(c->model.version, 1);
	assert_int_equal(model_parameters(c->model.model), parameters);
	assert_true(c->live.recording.slo[0].proposed);
	core_close(c);
}

/* front calls back, if it is there. */
static int ship_calls(struct core *c, uint64_t i, uint64_t t, bool back)
{
	unsigned own_us = 1000 + (unsigned)(i % 9) * 100, below_us = 500 + (unsigned)(i % 7) * 50;
	struct wire_window w;
	struct intake_batch b;
	uint32_t front;
	int err;

	made_window(&w, t + i);
	front = made_container(&w, 11, "front", "app");
	made_edge(&w, front, WIRE_SERVER, 1, 200, 80, 10, own_us + (back ? below_us : 0));
	if (back)
		made_edge(&w, made_container(&w, 12, "back", "app"), WIRE_SERVER, 2, 1, 81, 10,
			below_us);
	b = made_arrival("a", i + 1, &w);
	err = core_batches(c, &b, 1);
	made_arrival_close(&b);
	return err;
}

/* Have it look for changes now, and not train everything. */
static void let_it_look(struct core *c, uint64_t deadline_ns)
{
	c->model.looked_s = -1e9;
	do {
		c->model.attempt_s = clock_monotonic_s();
		core_step(c, 20);
	} while ((c->model.looked_s < 0 || trainer_busy(c->trainer)) &&
		 clock_monotonic_ns() < deadline_ns);
	core_step(c, 0); /* takes the result */
}

static void a_service_that_comes_is_learnt_without_a_restart(void **state)
{
	uint64_t t = even_second(), deadline_ns = clock_monotonic_ns() + 60 * 1000000000ULL;
	size_t parameters;
	struct core *c;

	(void)state;
	train_after = 20;
	c = open_core();
	for (uint64_t i = 0; i < 60; i++)
		assert_int_equal(ship_calls(c, i, t, false), 0);
	while (!c->model.model && clock_monotonic_ns() < deadline_ns)
		core_step(c, 50);
	assert_int_equal(c->model.version, 1);
	assert_true(c->model.learnt == 1);
	parameters = model_parameters(c->model.model);
	let_it_look(c, deadline_ns);
	assert_int_equal(c->model.version, 1); /* nothing has changed */
	for (uint64_t i = 60; i < 110; i++)
		assert_int_equal(ship_calls(c, i, t, true), 0);
	let_it_look(c, deadline_ns);
	assert_int_equal(c->model.version, 2);
	assert_true(model_parameters(c->model.model) > parameters);
	core_close(c);
	train_after = 1000000;
}

static void another_window_length_is_refused(void **state)
{
	struct core_options o = {.data = dir,
		.window_s = 3,
		.keep_s = 60,
		.retain_s = 60,
		.retain_bytes = 1 << 30,
		.train_after = 1000,
		.retrain_s = 60};
	struct core *c = open_core();
	char why[512] = "";

	(void)state;
	core_close(c);
	assert_true(core_open(&c, &o, why, sizeof(why)) < 0);
	assert_non_null(strstr(why, "--window 2"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_batch_sent_twice_counts_once, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(
			what_was_acknowledged_survives_a_kill_once, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(
			a_missed_target_is_diagnosed_and_recovers, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(
			an_open_incident_is_taken_up_after_a_restart, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(
			a_model_is_trained_beside_and_survives_a_restart, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(
			a_service_that_comes_is_learnt_without_a_restart, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(
			another_window_length_is_refused, make_dir, remove_dir),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
