#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "analyzer/incident.h"

#define TARGET 100

/* One letter a window: '.' fine, 'x' past the target, '?' absent. The events, one letter each. */
static void script(struct incident_watch *w, const char *windows, const char *events)
{
	static const char letter[] = {'-', 'O', 'g', 'R'};
	struct incident_rule rule;

	incident_rule_default(&rule, 5);
	incident_watch_init(w);
	for (unsigned i = 0; windows[i]; i++) {
		double v = windows[i] == 'x'   ? TARGET + 1.0 + i
			   : windows[i] == '.' ? 10
					       : (double)NAN;
		enum incident_event e = incident_judge(w, &rule, i * 5.0, 5, v, TARGET);

		if (letter[e] != events[i])
			fail_msg("window %u of %s: got %c, want %c", i, windows, letter[e],
				events[i]);
	}
}

static void two_of_three_open_and_three_fine_close(void **state)
{
	struct incident_watch w;

	(void)state;
	script(&w, "...x.x.x...", "-----OggggR");
}

static void a_single_late_window_is_nothing(void **state)
{
	struct incident_watch w;

	(void)state;
	script(&w, "..x..x...x..", "------------");
}

static void it_begins_with_its_first_late_window(void **state)
{
	struct incident_watch w;

	(void)state;
	script(&w, "...x.xx...", "-----OgggR");
	assert_true(w.started_s == 15);
	assert_true(w.ended_s == 35);
	assert_true(w.peak == TARGET + 1 + 6);
	assert_false(w.open);
}

static void absent_windows_decide_nothing(void **state)
{
	struct incident_watch w;

	(void)state;
	script(&w, "x??x?..?.", "---OggggR");
}

static void windows_before_a_gap_say_nothing(void **state)
{
	struct incident_watch w;

	(void)state;
	script(&w, "x???x", "-----");
	script(&w, "xx..???..?.", "-OggggggggR");
}

static void an_old_lateness_does_not_open_the_next(void **state)
{
	struct incident_watch w;

	(void)state;
	script(&w, "xx...x..xx", "-OggR----O");
}

static void a_diagnosis_waits_for_enough_late_windows(void **state)
{
	struct incident_rule rule;
	struct incident_watch w;

	(void)state;
	incident_rule_default(&rule, 1);
	assert_int_equal(rule.diagnose_windows, 3);
	incident_watch_init(&w);
	incident_judge(&w, &rule, 0, 1, 200, TARGET);
	incident_judge(&w, &rule, 1, 1, 200, TARGET);
	assert_true(w.open);
	assert_false(incident_ripe(&w, &rule));
	incident_judge(&w, &rule, 2, 1, 200, TARGET);
	assert_true(incident_ripe(&w, &rule));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_of_three_open_and_three_fine_close),
		cmocka_unit_test(a_single_late_window_is_nothing),
		cmocka_unit_test(it_begins_with_its_first_late_window),
		cmocka_unit_test(absent_windows_decide_nothing),
		cmocka_unit_test(windows_before_a_gap_say_nothing),
		cmocka_unit_test(an_old_lateness_does_not_open_the_next),
		cmocka_unit_test(a_diagnosis_waits_for_enough_late_windows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
