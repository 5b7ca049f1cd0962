/* Uplink and intake in one process, over loopback. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "analyzer/poller.h"
#include "common/clock.h"
#include "common/log.h"
#include "transport_fixture.h"

/*
 * Linked with --wrap, so that no fact here is a matter of how fast the machine is:
 * how long a poll is to be held is read where it is decided, and in `patient` time
 * ends no poll at either end, so that what ends one was the event.
 */
#define HELD_MOST 16
#define PATIENT_MS 86400000

static atomic_bool patient;
static struct {
	uint64_t seen_ns, due_ns;
} held[HELD_MOST]; /* the intake's thread writes, the test reads once that has ended */
static unsigned helds;

void __real_pollers_hold(
	struct pollers *p, struct poller *one, struct net_request *r, uint64_t due_ns);
void __wrap_pollers_hold(
	struct pollers *p, struct poller *one, struct net_request *r, uint64_t due_ns);
int __real_net_call_start(struct net_call *call, const void *message, size_t size, int timeout_ms);
int __wrap_net_call_start(struct net_call *call, const void *message, size_t size, int timeout_ms);

void __wrap_pollers_hold(
	struct pollers *p, struct poller *one, struct net_request *r, uint64_t due_ns)
{
	if (helds < HELD_MOST) {
		held[helds].seen_ns = clock_monotonic_ns();
		held[helds++].due_ns = due_ns;
	}
	__real_pollers_hold(p, one, r, patient ? UINT64_MAX : due_ns);
}

int __wrap_net_call_start(struct net_call *call, const void *message, size_t size, int timeout_ms)
{
	return __real_net_call_start(call, message, size, patient ? PATIENT_MS : timeout_ms);
}

/* Before each test. */
static int reset(void **state)
{
	(void)state;
	patient = false;
	helds = 0;
	return 0;
}

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

	(void)state;
	patient = true;
	open_analyzer(&a, "tcp://127.0.0.1:0", (struct net_tls){0});
	u = agent_to(intake_port(a.intake), NULL, NULL);
	l = await_leases(u, 0);
	wire_leases_close(&l);
	await_count(&a, &a.polls, 2); /* the second poll is held */

	pthread_mutex_lock(&a.lock);
	a.leases = 1;
	pthread_mutex_unlock(&a.lock);
	intake_wake(a.intake, "node-1");
	l = await_leases(u, 1);
	assert_int_equal(l.lease[0].id, 5);
	wire_leases_close(&l);
	uplink_close(u);
	close_analyzer(&a);
}

static void a_lease_is_renewed_within_a_third_of_its_time(void **state)
{
	static const uint64_t third_ns = 300000000;
	struct analyzer a = {.fd = -1, .leases = 1, .lease = {{.id = 1, .ttl_ms = 900}}};
	uint64_t earlier_ns = clock_monotonic_ns();
	struct wire_leases l;
	struct uplink *u;

	(void)state;
	open_analyzer(&a, "tcp://127.0.0.1:0", (struct net_tls){0});
	u = agent_to(intake_port(a.intake), NULL, NULL);
	for (unsigned i = 0; i < 4; i++) {
		l = await_leases(u, 1);
		wire_leases_close(&l);
	}
	uplink_close(u);
	close_analyzer(&a);
	assert_true(helds >= 3); /* the first poll was answered at once */
	for (unsigned i = 0; i < helds; i++) {
		assert_true(held[i].due_ns >= earlier_ns + third_ns);
		assert_true(held[i].due_ns <= held[i].seen_ns + third_ns);
		earlier_ns = held[i].seen_ns;
	}
}

static void reports_cut_a_waiting_poll_short(void **state)
{
	struct wire_lease_report r = {.id = 5, .state = LEASE_APPLIED};
	struct analyzer a = {.fd = -1};
	struct wire_leases l;
	struct uplink *u;

	(void)state;
	patient = true;
	open_analyzer(&a, "tcp://127.0.0.1:0", (struct net_tls){0});
	u = agent_to(intake_port(a.intake), NULL, NULL);
	l = await_leases(u, 0);
	wire_leases_close(&l);
	await_count(&a, &a.polls, 2);
	uplink_report(u, &r, 1);
	await_count(&a, &a.reports, 1);
	uplink_report(u, &r, 1);
	await_count(&a, &a.reports, 2);
	uplink_close(u);
	close_analyzer(&a);
	assert_int_equal(a.reports, 2);
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
		cmocka_unit_test_setup(windows_are_stored_once_and_acknowledged, reset),
		cmocka_unit_test_setup(a_batch_that_could_not_be_stored_is_sent_again, reset),
		cmocka_unit_test_setup(without_an_analyzer_windows_are_kept_within_bounds, reset),
		cmocka_unit_test_setup(leases_arrive_when_they_change, reset),
		cmocka_unit_test_setup(a_lease_is_renewed_within_a_third_of_its_time, reset),
		cmocka_unit_test_setup(reports_cut_a_waiting_poll_short, reset),
		cmocka_unit_test_setup(reports_wait_for_an_analyzer, reset),
	};
	int failed;

	log_init("test", LOG_ERROR);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	fflush(NULL);
	_exit(failed != 0);
}
