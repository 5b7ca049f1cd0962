#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <poll.h>
#include <cmocka.h>

#include "agent/tick.h"
#include "common/clock.h"

#define INTERVAL_MS 100
#define INTERVAL_NS (INTERVAL_MS * 1000000ULL)

static void ticks_are_on_boundaries_of_the_wall_clock(void **state)
{
	struct tick t;
	uint64_t at_ns = 0, before_ns = clock_wall_ns();

	(void)state;
	assert_int_equal(tick_open(&t, INTERVAL_MS), 0);
	for (int i = 0; i < 3; i++) {
		struct pollfd fd = {.fd = tick_fd(&t), .events = POLLIN};

		assert_int_equal(poll(&fd, 1, 5000), 1);
		assert_in_range(tick_read(&t, &at_ns), 1, 50);
		assert_int_equal(at_ns % INTERVAL_NS, 0);
		assert_true(at_ns > before_ns && at_ns <= clock_wall_ns());
		before_ns = at_ns;
	}
	tick_close(&t);
}

static void missed_boundaries_are_counted(void **state)
{
	uint64_t at_ns, end_ns = clock_monotonic_ns() + 3 * INTERVAL_NS + INTERVAL_NS / 2;
	struct tick t;

	(void)state;
	assert_int_equal(tick_open(&t, INTERVAL_MS), 0);
	while (clock_monotonic_ns() < end_ns)
		poll(NULL, 0, 10);
	assert_in_range(tick_read(&t, &at_ns), 3, 50);
	tick_close(&t);
}

static void between_boundaries_there_is_nothing_to_read(void **state)
{
	uint64_t at_ns = 7;
	struct tick t;

	(void)state;
	assert_int_equal(tick_open(&t, 60000), 0);
	assert_int_equal(tick_read(&t, &at_ns), 0);
	assert_int_equal(at_ns, 7);
	tick_close(&t);
	tick_close(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ticks_are_on_boundaries_of_the_wall_clock),
		cmocka_unit_test(missed_boundaries_are_counted),
		cmocka_unit_test(between_boundaries_there_is_nothing_to_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
