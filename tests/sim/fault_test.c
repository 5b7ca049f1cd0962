/* Each fault moves the counters it is to move and no other, and its end brings all back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>

#include "tests/sim/fault.h"
#include "tests/sim/recorder.h"

#define SECONDS 20
#define FAULTY 1    /* the middle one of three */
#define NEXT_DOOR 3 /* on the same host, called by nobody it knows */

enum signal {
	THROTTLED,
	RUN_QUEUE,
	READ_WAIT,
	FAULTS,
	GAP,
	RETRANSMITS,
	SELF,
	REQUESTS,
	ERRORS,
	SIGNALS
};

#define BIT(signal) (1u << (signal))

/* What rises at the service; what is not named must not. */
static const unsigned rises[FAULT_KINDS] = {
	[FAULT_ANTAGONIST] = BIT(THROTTLED) | BIT(RUN_QUEUE) | BIT(SELF),
	[FAULT_HOST_CPU] = BIT(RUN_QUEUE) | BIT(SELF),
	[FAULT_QUOTA] = BIT(THROTTLED) | BIT(RUN_QUEUE) | BIT(SELF),
	[FAULT_MEMORY] = BIT(FAULTS) | BIT(READ_WAIT) | BIT(SELF),
	[FAULT_DISK] = BIT(READ_WAIT) | BIT(SELF),
	[FAULT_BANDWIDTH] = BIT(GAP),
	[FAULT_LOSS] = BIT(GAP) | BIT(RETRANSMITS),
	[FAULT_CODE] = BIT(SELF),
	[FAULT_PAUSE] = BIT(SELF) | BIT(RUN_QUEUE), /* all that waited wants to run at once */
	[FAULT_POOL] = BIT(SELF),
	[FAULT_ERRORS] = BIT(ERRORS) | BIT(REQUESTS),
	[FAULT_SURGE] = BIT(REQUESTS),
	[FAULT_STEAL] = BIT(SELF) | BIT(RUN_QUEUE),
};

/* Changes that count as a rise: by factor and by amount. */
static const double least[SIGNALS] = {0.01, 0.02, 0.02, 1, 300, 1, 400, 20, 1};

/* s1 -> s2 -> s3 on two hosts, and s1 -> s4 beside s2; batch containers on both hosts. */
static void make_app(struct app *a)
{
	app_init(a);
	a->load.rate = 100;
	a->retries = 1;
	for (int i = 0; i < 2; i++)
		app_host(a, 2);
	for (uint32_t i = 0; i < 4; i++) {
		app_service(a, i % 2, NULL);
		app_operation(a, i, 800);
		a->service[i].quota = 1;
		a->operation[i].spread = SPREAD_LOGNORMAL;
	}
	a->operation[2].cpu_us = 4000;
	a->operation[FAULTY].reads = 1;
	a->operation[NEXT_DOOR].reads = 1;
	a->operation[FAULTY].pages = 60;
	a->operation[FAULTY].reply_bytes = 3000;
	a->service[FAULTY].work_mb = 64;
	app_service(a, 0, "batch-h1");
	app_service(a, 1, "batch-h2");
	app_call(a, 0, FAULTY, 1);
	app_call(a, 0, NEXT_DOOR, 2);
	app_call(a, FAULTY, 2, 1);
	app_finish(a);
}

static uint32_t edge_to(const struct app *a, uint32_t service)
{
	uint32_t edge = 0;

	while (a->edge[edge].callee != service)
		edge++;
	return edge;
}

/* Per second, or means, of what has passed since the last call. */
static void measure(struct sim *s, uint32_t service, double out[SIGNALS])
{
	const struct service_state *t = &s->service[service];
	const struct edge_state *e = &s->edge[edge_to(s->app, service)];
	struct service_counters was = t->sum;
	struct edge_counters edge_was = e->sum;
	double throttled = t->cpu.throttled_for, waited = t->cpu.waited;

	recorder_clear_window(s);
	sim_run(s, s->now_ns + SECONDS * SIM_START_NS);
	out[THROTTLED] = (t->cpu.throttled_for - throttled) / SECONDS / 1e9;
	out[RUN_QUEUE] = (t->cpu.waited - waited) / SECONDS / 1e9;
	out[READ_WAIT] = (t->sum.read_wait_ns - was.read_wait_ns) / SECONDS / 1e9;
	out[FAULTS] = (double)(t->sum.faults - was.faults) / SECONDS;
	out[GAP] = (hist_mean_ns(&e->client) - hist_mean_ns(&e->server)) / 1e3;
	out[RETRANSMITS] = (double)(e->sum.retransmits - edge_was.retransmits) / SECONDS;
	out[SELF] = hist_mean_ns(&t->self) / 1e3;
	out[REQUESTS] = (double)(t->sum.requests - was.requests) / SECONDS;
	out[ERRORS] = (double)(t->sum.errors - was.errors) / SECONDS;
}

static bool rose(enum signal i, const double *before, const double *after)
{
	return after[i] > 1.3 * before[i] && after[i] - before[i] > least[i];
}

static void each_fault_moves_what_it_should(void **state)
{
	struct usage u;
	struct app a;

	(void)state;
	make_app(&a);
	usage_open(&u, &a, 0);
	for (unsigned kind = 0; kind < FAULT_KINDS; kind++) {
		const struct fault f = {
			.kind = kind, .service = kind == FAULT_SURGE ? 0 : FAULTY, .level = 1};
		double before[SIGNALS], during[SIGNALS], after[SIGNALS];
		struct sim *s = sim_new(&a, 4);

		assert_true(fault_fits(&a, &u, kind, f.service));
		measure(s, f.service, before);
		measure(s, f.service, before);
		fault_apply(s, &u, &f);
		measure(s, f.service, during);
		fault_undo(s, &f);
		measure(s, f.service, after);
		measure(s, f.service, after);
		for (enum signal i = 0; i < SIGNALS; i++) {
			if (rose(i, before, during) != !!(rises[kind] & BIT(i)))
				print_message("%s: signal %d went from %g to %g\n",
					fault_name[kind], i, before[i], during[i]);
			/* More requests may bring anything. */
			if (kind != FAULT_SURGE || i == REQUESTS)
				assert_int_equal(rose(i, before, during), !!(rises[kind] & BIT(i)));
			assert_false(rose(i, before, after));
		}
		sim_free(s);
	}
	usage_close(&u);
	app_clear(&a);
}

/* A host's fault is felt by who shares the host and needs what is short, and by nobody else. */
static void a_host_s_fault_is_its_containers(void **state)
{
	static const enum fault_kind kind[] = {FAULT_HOST_CPU, FAULT_DISK, FAULT_STEAL};
	struct usage u;
	struct app a;

	(void)state;
	make_app(&a);
	usage_open(&u, &a, 0);
	for (int k = 0; k < 3; k++) {
		const struct fault f = {.kind = kind[k], .service = FAULTY};
		bool of_host = kind[k] == FAULT_STEAL;

		assert_int_equal(
			fault_host(&a, &f), of_host ? a.service[FAULTY].host : APP_NO_HOST);

		for (uint32_t i = 0; i < 4; i++) {
			struct sim *s = sim_new(&a, 4);
			double before[SIGNALS], during[SIGNALS];
			bool placed = i % 2 == 1;
			/* What was held up arrives there all at once. */
			bool bunched = of_host && i == 2;

			measure(s, i, before);
			fault_apply(s, &u, &f);
			measure(s, i, during);
			if (rose(SELF, before, during) != (placed || bunched))
				print_message("%s at %u: from %g to %g us\n", fault_name[kind[k]],
					i, before[SELF], during[SELF]);
			assert_int_equal(rose(SELF, before, during), placed || bunched);
			assert_int_equal(fault_names(&a, &f, i), placed && !of_host);
			sim_free(s);
		}
	}
	usage_close(&u);
	app_clear(&a);
}

static void without_retries_failed_calls_are_not_made_again(void **state)
{
	const struct fault errors = {.kind = FAULT_ERRORS, .service = FAULTY, .level = 1};
	struct usage u;
	struct app a;

	(void)state;
	make_app(&a);
	usage_open(&u, &a, 0);
	for (int retries = 0; retries < 2; retries++) {
		struct sim *s = sim_new(&a, 4);
		uint64_t calls;

		sim_set_retries(s, retries);
		fault_apply(s, &u, &errors);
		sim_run(s, SECONDS * SIM_START_NS);
		calls = s->edge[edge_to(&a, FAULTY)].sum.calls;
		assert_true(s->arrived > 0 && calls > 0);
		assert_int_equal(calls > s->arrived, retries);
		sim_free(s);
	}
	usage_close(&u);
	app_clear(&a);
}

static void a_service_that_has_no_such_resource_has_no_such_fault(void **state)
{
	struct usage u;
	struct app a;

	(void)state;
	make_app(&a);
	usage_open(&u, &a, 0);
	assert_false(fault_fits(&a, &u, FAULT_MEMORY, 0));
	assert_false(fault_fits(&a, &u, FAULT_DISK, 2));
	assert_false(fault_fits(&a, &u, FAULT_POOL, 2));
	assert_false(fault_fits(&a, &u, FAULT_SURGE, 1));
	assert_false(fault_fits(&a, &u, FAULT_QUOTA, 4));
	usage_close(&u);
	app_clear(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_fault_moves_what_it_should),
		cmocka_unit_test(a_host_s_fault_is_its_containers),
		cmocka_unit_test(without_retries_failed_calls_are_not_made_again),
		cmocka_unit_test(a_service_that_has_no_such_resource_has_no_such_fault),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
