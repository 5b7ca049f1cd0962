#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <string.h>
#include <cmocka.h>

#include "analyzer/robust.h"

#define WINDOWS 30
#define FROM 20
#define TO 25

static void fill(
	struct recording *r, const char *entity, const char *metric, float normal, float late)
{
	uint32_t column = series_column(&r->series, graph_entity(&r->graph, entity), metric);

	for (size_t w = 0; w < WINDOWS; w++) {
		long row = series_row(&r->series, (double)w * 5);

		series_set(&r->series, (size_t)row, column,
			(w >= FROM && w < TO ? late : normal) * (1 + 0.01F * (float)(w % 3)));
	}
}

static void serve(struct recording *r, const char *service, float self_us, float late_us)
{
	fill(r, service, "requests_per_s", 50, 50);
	fill(r, service, "self_p99_us", self_us, late_us);
}

static void call(struct recording *r, const char *edge, float us, float late_us, float errors)
{
	fill(r, edge, "requests_per_s", 50, 50);
	fill(r, edge, "client_p99_us", us, late_us);
	fill(r, edge, "error_ratio", 0, errors);
}

/*
 * c fails a fifth of its requests, at once. b asks again and waits in between, in its own time;
 * a few of its requests fail nevertheless, for which a asks again and waits too.
 */
static void make_chain(struct recording *r)
{
	recording_init(r);
	r->series.window_s = 5;
	call(r, "user->a", 3000, 90000, 0);
	call(r, "a->b", 2000, 60000, 0.04F);
	call(r, "b->c", 1000, 900, 0.2F);
	serve(r, "a", 1000, 30000);
	serve(r, "b", 1000, 50000);
	serve(r, "c", 900, 800);
	fill(r, "user->a", "server_p99_us", 2900, 89000);
	fill(r, "a", "server_p99_us", 2900, 89000);
	fill(r, "b", "server_p99_us", 1900, 59000);
	fill(r, "c", "server_p99_us", 900, 800);
	fill(r, "b", "error_ratio", 0, 0.04F);
	fill(r, "c", "error_ratio", 0, 0.2F);
}

static struct diagnosis ask(struct recording *r, const char *metric, double target)
{
	struct slo slo = {.entity = graph_find(&r->graph, "user->a"), .target = target};
	struct diagnosis d;

	strcpy(slo.metric, metric);
	assert_int_equal(robust_rank(&d, r, &slo, FROM * 5, TO * 5, NULL), 0);
	assert_int_equal(d.verdict, VERDICT_DIAGNOSED);
	return d;
}

static const char *blamed(const struct recording *r, const struct diagnosis *d)
{
	return r->graph.entity[d->candidate[0].service].name;
}

static size_t culprits(const struct diagnosis *d)
{
	size_t count = 0;

	for (size_t i = 0; i < d->candidates; i++)
		count += d->candidate[i].culprit;
	return count;
}

static bool has_evidence(const struct recording *r, const struct diagnosis *d, const char *service,
	const char *metric)
{
	for (size_t i = 0; i < d->evidences; i++)
		if (d->evidence[i].entity == graph_find(&r->graph, service) &&
			!strcmp(d->evidence[i].metric, metric))
			return true;
	return false;
}

static void who_fails_is_blamed_for_the_waits_of_its_callers(void **state)
{
	struct recording r;
	struct diagnosis d;

	(void)state;
	make_chain(&r);
	d = ask(&r, "client_p99_us", 10000);
	assert_string_equal(blamed(&r, &d), "c");
	assert_int_equal(d.candidate[0].resource, RESOURCE_CODE);
	assert_string_equal(d.candidate[0].metric, "error_ratio");
	assert_int_equal(culprits(&d), 1);
	assert_true(has_evidence(&r, &d, "c", "error_ratio"));
	diagnosis_clear(&d);
	recording_clear(&r);
}

/* The same waits without failed calls are the callers' own. */
static void who_waits_without_failures_is_blamed_itself(void **state)
{
	struct recording r;
	struct diagnosis d;

	(void)state;
	make_chain(&r);
	fill(&r, "a->b", "error_ratio", 0.001F, 0.001F);
	fill(&r, "b->c", "error_ratio", 0.001F, 0.001F);
	fill(&r, "b", "error_ratio", 0, 0);
	fill(&r, "c", "error_ratio", 0, 0);
	d = ask(&r, "client_p99_us", 10000);
	assert_string_equal(blamed(&r, &d), "b");
	diagnosis_clear(&d);
	recording_clear(&r);
}

/* c answers well but late: b gives up, and its wait belongs to what is slow below. */
static void who_answers_too_late_is_blamed_for_the_waits_of_its_callers(void **state)
{
	struct recording r;
	struct diagnosis d;

	(void)state;
	make_chain(&r);
	fill(&r, "c", "error_ratio", 0, 0);
	serve(&r, "c", 900, 20000);
	fill(&r, "c", "server_p99_us", 900, 20000);
	fill(&r, "b->c", "client_p99_us", 1000, 10000);
	d = ask(&r, "client_p99_us", 10000);
	assert_string_equal(blamed(&r, &d), "c");
	assert_int_equal(culprits(&d), 1);
	diagnosis_clear(&d);
	recording_clear(&r);
}

/* Waits of b go down to its own callee and not past c, which fails without calling anyone. */
static void only_calls_that_fail_are_followed(void **state)
{
	struct recording r;
	struct diagnosis d;

	(void)state;
	make_chain(&r);
	call(&r, "b->d", 500, 500, 0);
	serve(&r, "d", 400, 400);
	call(&r, "c->e", 300, 300, 0);
	serve(&r, "e", 200, 200);
	d = ask(&r, "client_p99_us", 10000);
	assert_string_equal(blamed(&r, &d), "c");
	for (size_t i = 1; i < d.candidates; i++) {
		const char *name = r.graph.entity[d.candidate[i].service].name;

		assert_true(strcmp(name, "d") && strcmp(name, "e"));
	}
	diagnosis_clear(&d);
	recording_clear(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_fails_is_blamed_for_the_waits_of_its_callers),
		cmocka_unit_test(who_waits_without_failures_is_blamed_itself),
		cmocka_unit_test(who_answers_too_late_is_blamed_for_the_waits_of_its_callers),
		cmocka_unit_test(only_calls_that_fail_are_followed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
