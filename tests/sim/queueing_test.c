/* The engine against queueing theory. Bounds come from the run's own variance, by batch means. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

#define BATCHES 40
#define ERRORS_ALLOWED 4.0 /* standard errors */
#define PRECISION 0.05     /* a standard error wider than that would prove nothing */

/* One service on a host of its own, nothing between it and the user. */
static void one_service(struct app *a, double rate, double cores, unsigned workers, double cpu_us,
	enum app_spread spread)
{
	app_init(a);
	a->load.rate = rate;
	a->load.connections = 1e6;
	a->way_us = 0;
	a->link_mbit = 1e9;
	app_service(a, app_host(a, cores), "s");
	a->service[0].workers = workers;
	a->service[0].backlog = 1000000;
	app_operation(a, 0, cpu_us);
	a->operation[0].spread = spread;
	app_finish(a);
}

struct estimate {
	double mean_us, error_us;
};

static struct estimate mean_server_latency(const struct app *a, uint64_t seed, double batch_s)
{
	struct sim *s = sim_new(a, seed);
	struct estimate e = {0, 0};
	double square = 0;

	sim_run(s, SIM_START_NS + (uint64_t)(batch_s * 1e9));
	for (int i = 0; i < BATCHES; i++) {
		double mean_us;

		hist_clear(&s->service[0].server);
		sim_run(s, s->now_ns + (uint64_t)(batch_s * 1e9));
		mean_us = hist_mean_ns(&s->service[0].server) / 1e3;
		e.mean_us += mean_us / BATCHES;
		square += mean_us * mean_us / BATCHES;
	}
	e.error_us = sqrt((square - e.mean_us * e.mean_us) / (BATCHES - 1));
	sim_free(s);
	return e;
}

static void assert_mean(struct app *a, double want_us)
{
	struct estimate e = mean_server_latency(a, 7, 25);

	print_message("mean %.1f us, %.1f expected, error %.1f\n", e.mean_us, want_us, e.error_us);
	assert_true(e.error_us < PRECISION * want_us);
	assert_true(fabs(e.mean_us - want_us) < ERRORS_ALLOWED * e.error_us);
	app_clear(a);
}

static void one_exponential_server(void **state)
{
	struct app a;

	(void)state;
	for (int load = 3; load <= 8; load += 5) {
		double rho = load / 10.0, service_us = 5000;

		one_service(&a, rho * 1e6 / service_us, 1, 1, service_us, SPREAD_EXPONENTIAL);
		assert_mean(&a, service_us / (1 - rho));
	}
}

/* Erlang's formula for the probability that all are busy. */
static double erlang_c(unsigned servers, double offered)
{
	double b = 1;

	for (unsigned i = 1; i <= servers; i++)
		b = offered * b / (i + offered * b);
	return b / (1 - offered / servers * (1 - b));
}

static void several_exponential_servers(void **state)
{
	const double service_us = 10000;
	struct app a;

	(void)state;
	for (unsigned servers = 2; servers <= 8; servers += 6) {
		double offered = 0.75 * servers;

		one_service(&a, offered * 1e6 / service_us, servers, servers, service_us,
			SPREAD_EXPONENTIAL);
		assert_mean(&a,
			service_us + erlang_c(servers, offered) * service_us / (servers - offered));
	}
}

static void one_constant_server(void **state)
{
	const double rho = 0.7, service_us = 5000;
	struct app a;

	(void)state;
	one_service(&a, rho * 1e6 / service_us, 1, 1, service_us, SPREAD_FIXED);
	assert_mean(&a, service_us * (1 + rho / (2 * (1 - rho))));
}

/* The mean of a shared processor does not depend on the distribution of the work. */
static void a_shared_processor(void **state)
{
	const enum app_spread spread[] = {SPREAD_FIXED, SPREAD_LOGNORMAL};
	const double rho = 0.7, service_us = 5000;
	struct app a;

	(void)state;
	for (int i = 0; i < 2; i++) {
		one_service(&a, rho * 1e6 / service_us, 1, 100000, service_us, spread[i]);
		assert_mean(&a, service_us / (1 - rho));
	}
}

/* Two containers that are always busy halve a core; one with half a core is one at half speed. */
static void a_neighbour_halves_the_processor(void **state)
{
	const double rho = 0.35, service_us = 5000;
	struct app a;
	struct sim *s;

	(void)state;
	one_service(&a, rho * 1e6 / service_us, 1, 1, service_us, SPREAD_EXPONENTIAL);
	s = sim_new(&a, 3);
	sim_set_neighbours(s, 0, 1, 1);
	sim_run(s, 250 * SIM_START_NS);
	/* M/M/1 with twice the service time. */
	assert_true(
		fabs(hist_mean_ns(&s->service[0].server) / 1e3 / (2 * service_us / (1 - 2 * rho)) -
			1) < 0.1);
	assert_true(fabs(s->service[0].cpu.neighbours_used / 249e9 - (1 - rho)) < 0.03);
	sim_free(s);
	app_clear(&a);
}

/* What a quota allows is used and no more, and the rest of the period stands still. */
static void a_quota_is_kept(void **state)
{
	struct app a;
	struct sim *s;

	(void)state;
	one_service(&a, 1000, 4, 64, 5000, SPREAD_EXPONENTIAL);
	a.service[0].backlog = 10;
	a.service[0].quota = 0.5;
	s = sim_new(&a, 3);
	sim_run(s, 101 * SIM_START_NS);
	assert_true(fabs(s->service[0].cpu.used / 100e9 - 0.5) < 0.002);
	/* Four cores use the budget of half a core in an eighth of the period. */
	assert_true(fabs(s->service[0].cpu.throttled_for / 100e9 - 0.875) < 0.005);
	sim_free(s);
	app_clear(&a);
}

/* A tree with retries, timeouts, errors, full pools and a cache, under more load than it can take.
 */
static void make_busy(struct app *a)
{
	app_init(a);
	a->load.rate = 200;
	a->load.connections = 400;
	a->pool = 4;
	a->retries = 2;
	a->timeout_ms = 60;
	a->burst = 3;
	a->burst_every_s = 5;
	a->burst_s = 1;
	app_host(a, 2);
	app_host(a, 2);
	for (uint32_t i = 0; i < 7; i++) {
		app_service(a, i % 2, NULL);
		a->service[i].workers = 8;
		a->service[i].backlog = 16;
		app_operation(a, i, 1500);
		a->operation[i].spread = SPREAD_LOGNORMAL;
		a->operation[i].later = i < 3 ? 0.3 : 0;
	}
	a->operation[5].reads = 2;
	for (uint32_t i = 0; i < 3; i++) {
		app_call(a, i, 2 * i + 1, 1);
		app_call(a, i, 2 * i + 2, i);
	}
	a->call[1].chance = 0.5;
	a->call[5].queued = true;
	app_finish(a);
}

static void stop(struct sim *s)
{
	s->stopped = true;
	sim_run(s, s->now_ns + 200000000000ULL);
}

/* What came in has left; no thread, connection or call is kept; Little's law holds exactly. */
static void everything_that_comes_leaves(void **state)
{
	struct app a;
	struct sim *s;
	uint32_t free = 0;

	(void)state;
	make_busy(&a);
	s = sim_new(&a, 11);
	s->service[4].error_share = 0.3;
	sim_run(s, 30 * SIM_START_NS);
	stop(s);
	assert_true(s->arrived > 5000 && s->failed > 100 && s->answered > 100);
	assert_int_equal(s->arrived, s->answered + s->failed);
	assert_int_equal(s->users, 0);
	assert_true(fabs(s->users_area_ns / s->users_sum_ns - 1) < 1e-9);
	for (uint32_t i = 0; i < a.edges; i++)
		assert_int_equal(s->edge[i].busy + s->edge[i].queue.length, 0);
	for (uint32_t i = 0; i < a.services; i++) {
		assert_int_equal(s->service[i].busy + s->service[i].queue.length, 0);
		assert_int_equal(s->service[i].cpu.jobs + s->service[i].reading, 0);
	}
	for (uint32_t i = s->free; i != SIM_NONE; i = s->call[i].next)
		free++;
	assert_int_equal(free, s->calls);
	sim_free(s);
	app_clear(&a);
}

/* What callers send is what callees receive, and the CPU time used is the work that came. */
static void flows_are_conserved(void **state)
{
	struct app a;
	struct sim *s;
	double used = 0;
	uint64_t sent = 0, received = 0;

	(void)state;
	make_busy(&a);
	for (uint32_t i = 0; i < a.operations; i++)
		a.operation[i].spread = SPREAD_FIXED;
	a.timeout_ms = 0;
	s = sim_new(&a, 12);
	sim_run(s, 30 * SIM_START_NS);
	stop(s);
	for (uint32_t i = 0; i < a.services; i++) {
		uint64_t arrived = 0;

		for (uint32_t e = 0; e < a.edges; e++)
			arrived += a.edge[e].callee == i ? s->edge[e].sum.calls : 0;
		assert_int_equal(arrived, s->service[i].sum.requests);
		sent += s->service[i].sum.sent_bytes;
		received += s->service[i].sum.received_bytes;
		if (i < 3)
			continue;
		assert_true(
			fabs(s->service[i].cpu.used / 1.5e6 -
				(double)(s->service[i].sum.requests - s->service[i].sum.errors)) <
			0.01 * (double)s->service[i].sum.requests);
	}
	/* Users' requests and the answers to them are on one side only. */
	assert_int_equal(sent - s->edge[a.edges - 1].sum.received_bytes,
		received - s->edge[a.edges - 1].sum.sent_bytes);
	for (uint32_t i = 0; i < a.hosts; i++)
		used += s->host[i].cpu.used;
	for (uint32_t i = 0; i < a.services; i++)
		used -= s->service[i].cpu.used;
	assert_true(fabs(used) < 1e3);
	sim_free(s);
	app_clear(&a);
}

static void calls_are_made_as_often_as_the_rates_say(void **state)
{
	struct app a;
	struct sim *s;
	double rate[7];

	(void)state;
	make_busy(&a);
	a.burst = 0;
	a.load.rate = 20;
	s = sim_new(&a, 13);
	sim_run(s, 201 * SIM_START_NS);
	app_rates(&a, 0, rate);
	for (int i = 0; i < 7; i++)
		assert_true(fabs((double)s->service[i].sum.requests - 200 * rate[i]) <
			    5 * sqrt(200 * rate[i]) + 0.005 * 200 * rate[i]);
	sim_free(s);
	app_clear(&a);
}

static void a_seed_gives_one_run(void **state)
{
	struct app a;
	uint64_t sum[3];

	(void)state;
	make_busy(&a);
	for (uint64_t i = 0; i < 3; i++) {
		struct sim *s = sim_new(&a, i < 2 ? 5 : 6);

		sim_run(s, 6 * SIM_START_NS);
		sum[i] = s->user.sum_ns;
		sim_free(s);
	}
	assert_int_equal(sum[0], sum[1]);
	assert_int_not_equal(sum[0], sum[2]);
	app_clear(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_exponential_server),
		cmocka_unit_test(several_exponential_servers),
		cmocka_unit_test(one_constant_server),
		cmocka_unit_test(a_shared_processor),
		cmocka_unit_test(a_neighbour_halves_the_processor),
		cmocka_unit_test(a_quota_is_kept),
		cmocka_unit_test(everything_that_comes_leaves),
		cmocka_unit_test(flows_are_conserved),
		cmocka_unit_test(calls_are_made_as_often_as_the_rates_say),
		cmocka_unit_test(a_seed_gives_one_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
