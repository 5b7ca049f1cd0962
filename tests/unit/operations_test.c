/* What services are asked for by the minute: periods, order, bounds, and which one slowed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/operations.h"

#define FIRST_MINUTE 28000000ULL

static struct operation_key key_of(const char *service, const char *name, enum wire_side side)
{
	struct operation_key key;

	memset(&key, 0, sizeof(key));
	snprintf(key.service, sizeof(key.service), "%s", service);
	snprintf(key.name, sizeof(key.name), "%s", name);
	key.side = (uint8_t)side;
	key.protocol = WIRE_HTTP1;
	return key;
}

/* A whole minute's window of `calls` calls that took `us` each. */
static void add(struct operations *o, const struct operation_key *key, unsigned minute,
	unsigned calls, unsigned us, unsigned errors)
{
	struct wire_bucket bucket = {.number = (uint16_t)hist_bucket(us * 1000ULL), .count = calls};
	struct wire_operation_flow from = {.errors = errors,
		.latency = {.total = calls, .sum_ns = calls * 1000ULL * us, .buckets = 1}};
	struct wire_window w = {.start_ns = (FIRST_MINUTE + minute) * 60000000000ULL,
		.duration_ns = 60000000000ULL,
		.bucket = &bucket,
		.buckets = 1};

	assert_int_equal(operations_add(o, key, &from, &w), 0);
}

static uint64_t minute_ns(unsigned minute)
{
	return (FIRST_MINUTE + minute) * 60000000000ULL;
}

static void now_is_held_against_before(void **state)
{
	const struct operation_key get = key_of("cart", "GET /cart/*", WIRE_SERVER);
	struct operation_row *rows;
	struct operations o;
	size_t count;

	(void)state;
	operations_init(&o);
	for (unsigned minute = 0; minute < 5; minute++)
		add(&o, &get, minute, 600, 2000, 0);
	add(&o, &get, 5, 1200, 8000, 300);
	add(&o, &get, 6, 1200, 8000, 300);
	assert_int_equal(operations_recent_ns(&o), minute_ns(5));
	assert_int_equal(operations_of_service(&o, "cart", minute_ns(5), &rows, &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(rows[0].now.calls, 2400);
	assert_int_equal(rows[0].now.errors, 600);
	assert_int_equal(rows[0].before.calls, 3000);
	assert_float_equal(rows[0].now.calls_per_s, 20, 1e-9);
	assert_float_equal(rows[0].now.mean_us, 8000, 1e-9);
	assert_float_equal(rows[0].now.p99_us, 8000, 8000 * 0.033);
	assert_float_equal(rows[0].before.p50_us, 2000, 2000 * 0.033);
	assert_float_equal(rows[0].added, 6000 * 20.0, 1e-6);
	free(rows);
	assert_int_equal(operations_of_service(&o, "nobody", 0, &rows, &count), 0);
	assert_int_equal(count, 0);
	free(rows);
	operations_clear(&o);
	operations_clear(&o);
}

static void what_slowed_most_comes_first(void **state)
{
	const struct operation_key get = key_of("cart", "GET /cart/*", WIRE_SERVER);
	const struct operation_key post = key_of("cart", "POST /cart", WIRE_SERVER);
	const struct operation_key ask = key_of("cart", "GET", WIRE_CLIENT);
	const struct operation_row *slowed;
	struct operation_row *rows;
	struct operations o;
	size_t count;

	(void)state;
	operations_init(&o);
	for (unsigned minute = 0; minute < 4; minute++) {
		add(&o, &get, minute, 6000, 1000, 0);
		add(&o, &post, minute, 60, minute < 2 ? 1000 : 90000, 0);
		add(&o, &ask, minute, 60, minute < 2 ? 1000 : 990000, 0);
	}
	assert_int_equal(operations_of_service(&o, "cart", minute_ns(2), &rows, &count), 0);
	assert_int_equal(count, 3);
	assert_string_equal(rows[0].key.name, "GET");
	assert_string_equal(rows[1].key.name, "POST /cart");
	assert_string_equal(rows[2].key.name, "GET /cart/*");
	assert_true(rows[2].added <= 0);
	slowed = operations_slowed(rows, count); /* what it asks others for does not count */
	assert_non_null(slowed);
	assert_string_equal(slowed->key.name, "POST /cart");
	assert_null(operations_slowed(&rows[2], 1));
	free(rows);
	operations_clear(&o);
}

static void a_rise_of_all_alike_is_explained_by_none(void **state)
{
	static const char *const names[] = {"A", "B", "C"};
	struct operation_row *rows;
	struct operations o;
	size_t count;

	(void)state;
	operations_init(&o);
	for (unsigned minute = 0; minute < 4; minute++) {
		for (unsigned i = 0; i < 3; i++) {
			struct operation_key key = key_of("cart", names[i], WIRE_SERVER);

			add(&o, &key, minute, 60, minute < 2 ? 1000 : 5000, 0);
		}
	}
	assert_int_equal(operations_of_service(&o, "cart", minute_ns(2), &rows, &count), 0);
	assert_int_equal(count, 3);
	assert_null(operations_slowed(rows, count));
	free(rows);
	operations_clear(&o);
}

static void old_minutes_are_forgotten_and_late_ones_left_out(void **state)
{
	const struct operation_key get = key_of("cart", "GET", WIRE_SERVER);
	struct operation_row *rows;
	struct operations o;
	size_t count;

	(void)state;
	operations_init(&o);
	add(&o, &get, 0, 10, 1000, 0);
	add(&o, &get, OPERATIONS_MINUTES, 20, 1000, 0); /* takes its place */
	add(&o, &get, 0, 10, 1000, 0);
	assert_int_equal(
		operations_of_service(&o, "cart", operations_recent_ns(&o), &rows, &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(rows[0].now.calls, 20);
	assert_int_equal(rows[0].before.calls, 0);
	assert_true(isnan(rows[0].before.p99_us));
	free(rows);
	operations_clear(&o);
}

static void more_than_there_is_room_for_is_counted_until_rows_fall_idle(void **state)
{
	struct operation_key key = key_of("cart", "", WIRE_SERVER);
	struct operations o;

	(void)state;
	operations_init(&o);
	for (unsigned i = 0; i < OPERATIONS_MAX + 3; i++) {
		snprintf(key.name, sizeof(key.name), "op%05u", i);
		add(&o, &key, 0, 1, 1000, 0);
	}
	assert_int_equal(o.rows, OPERATIONS_MAX);
	assert_int_equal(o.refused, 3);
	add(&o, &key, OPERATIONS_MINUTES, 1, 1000, 0);
	assert_int_equal(o.rows, 1);
	assert_int_equal(o.refused, 3);
	operations_clear(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(now_is_held_against_before),
		cmocka_unit_test(what_slowed_most_comes_first),
		cmocka_unit_test(a_rise_of_all_alike_is_explained_by_none),
		cmocka_unit_test(old_minutes_are_forgotten_and_late_ones_left_out),
		cmocka_unit_test(more_than_there_is_room_for_is_counted_until_rows_fall_idle),
	};

	return cmocka_run_group_tests_name("operations", tests, NULL, NULL);
}
