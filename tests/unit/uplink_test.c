/* Uplink and intake in one process, over loopback. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/clock.h"
#include "common/log.h"
#include "transport_fixture.h"

static void windows_are_stored_once_and_acknowledged(void **state)
{
	struct analyzer a = {.fd = -1};
	struct intake_stats got;
	struct uplink *u;

	(void)state;
	open_analyzer(&a, "tcp://127.0.0.1:0", (struct net_tls){0});
	u = agent_to(intake_port(a.intake), NULL, NULL);
	push_windows(u, 25);
	await_drained(u);
	assert_int_equal(stats_of(u).stored, 25);
	assert_true(stats_of(u).last_ack_ns > 0);
	assert_int_equal(a.windows, 25);
	intake_stats(a.intake, &got);
	assert_int_equal(got.windows, 25);
	assert_int_equal(got.duplicates + got.refused + got.deferred, 0);
	uplink_close(u);
	close_analyzer(&a);
}

static void a_batch_that_could_not_be_stored_is_sent_again(void **state)
{
	struct analyzer a = {.fd = -1, .fail_batches = 2};
	struct uplink *u;

	(void)state;
	open_analyzer(&a, "tcp://127.0.0.1:0", (struct net_tls){0});
	u = agent_to(intake_port(a.intake), NULL, NULL);
	push_windows(u, 3);
	await_drained(u);
	assert_int_equal(a.windows, 3);
	assert_int_equal(stats_of(u).stored, 3);
	uplink_close(u);
	close_analyzer(&a);
}

static void without_an_analyzer_windows_are_kept_within_bounds(void **state)
{
	struct uplink *u = agent_to(0, NULL, NULL);

	(void)state;
	push_windows(u, 3000);
	assert_int_equal(stats_of(u).produced, 3000);
	assert_true(stats_of(u).dropped > 0 && stats_of(u).pending > 0);
	assert_int_equal(stats_of(u).dropped, stats_of(u).loss[LOSS_SPOOL_FULL]);
	assert_true(stats_of(u).spool_bytes <= 1 << 20);
	uplink_close(u);
}

static void leases_arrive_when_they_change(void **state)
{
	struct analyzer a = {
		.fd = -1, .lease = {{.id = 5, .knob = KNOB_CPU_QUOTA, .ttl_ms = 60000}}};
	struct wire_leases l;
	struct uplink *u;
	uint64_t before;

	(void)state;
	open_analyzer(&a, "tcp://127.0.0.1:0", (struct net_tls){0});
	u = agent_to(intake_port(a.intake), NULL, NULL);
	l = await_leases(u, 0);
	wire_leases_close(&l);
	await_count(&a, &a.polls, 2); /* the second poll is held */

	before = clock_monotonic_ns();
	pthread_mutex_lock(&a.lock);
	a.leases = 1;
	pthread_mutex_unlock(&a.lock);
	intake_wake(a.intake, "node-1");
	l = await_leases(u, 1);
	assert_true(clock_monotonic_ns() - before < INTAKE_HOLD_MS * 1000000ULL / 2);
	assert_int_equal(l.lease[0].id, 5);
	wire_leases_close(&l);
	uplink_close(u);
	close_analyzer(&a);
}

static void a_lease_is_renewed_within_a_third_of_its_time(void **state)
{
	struct analyzer a = {.fd = -1, .leases = 1, .lease = {{.id = 1, .ttl_ms = 900}}};
	struct wire_leases l;
	struct uplink *u;

	(void)state;
	open_analyzer(&a, "tcp://127.0.0.1:0", (struct net_tls){0});
	u = agent_to(intake_port(a.intake), NULL, NULL);
	for (unsigned i = 0; i < 4; i++) {
		uint64_t before = clock_monotonic_ns();

		l = await_leases(u, 1);
		wire_leases_close(&l);
		assert_true(clock_monotonic_ns() - before < 900000000ULL || !i);
	}
	uplink_close(u);
	close_analyzer(&a);
}

static void reports_cut_a_waiting_poll_short(void **state)
{
	struct wire_lease_report r = {.id = 5, .state = LEASE_APPLIED};
	struct analyzer a = {.fd = -1};
	struct wire_leases l;
	struct uplink *u;
	uint64_t before;

	(void)state;
	open_analyzer(&a, "tcp://127.0.0.1:0", (struct net_tls){0});
	u = agent_to(intake_port(a.intake), NULL, NULL);
	l = await_leases(u, 0);
	wire_leases_close(&l);
	await_count(&a, &a.polls, 2);
	before = clock_monotonic_ns();
	uplink_report(u, &r, 1);
	await_count(&a, &a.reports, 1);
	uplink_report(u, &r, 1);
	await_count(&a, &a.reports, 2);
	assert_true(clock_monotonic_ns() - before < INTAKE_HOLD_MS * 1000000ULL / 2);
	uplink_close(u);
	assert_int_equal(a.reports, 2);
	close_analyzer(&a);
}

static void reports_wait_for_an_analyzer(void **state)
{
	struct wire_lease_report r = {.id = 5, .state = LEASE_REVERTED};
	struct analyzer a = {.fd = -1}, b = {.fd = -1};
	struct uplink *u;
	char url[64];

	(void)state;
	open_analyzer(&a, "tcp://127.0.0.1:0", (struct net_tls){0});
	snprintf(url, sizeof(url), "tcp://127.0.0.1:%d", intake_port(a.intake));
	u = agent_to(intake_port(a.intake), NULL, NULL);
	push_windows(u, 1);
	await_drained(u);
	close_analyzer(&a);
	uplink_report(u, &r, 1);
	open_analyzer(&b, url, (struct net_tls){0});
	await_count(&b, &b.reports, 1);
	uplink_close(u);
	close_analyzer(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(windows_are_stored_once_and_acknowledged),
		cmocka_unit_test(a_batch_that_could_not_be_stored_is_sent_again),
		cmocka_unit_test(without_an_analyzer_windows_are_kept_within_bounds),
		cmocka_unit_test(leases_arrive_when_they_change),
		cmocka_unit_test(a_lease_is_renewed_within_a_third_of_its_time),
		cmocka_unit_test(reports_cut_a_waiting_poll_short),
		cmocka_unit_test(reports_wait_for_an_analyzer),
	};
	int failed;

	log_init("test", LOG_ERROR);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	fflush(NULL);
	_exit(failed != 0);
}
