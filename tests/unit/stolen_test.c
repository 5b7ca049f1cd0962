/* A host whose CPU is taken by its hypervisor, beside services that have faults of their own. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "analyzer/robust.h"
#include "planted.h"

#define HOST "host:node1"
#define STOLEN 0.35F
#define LATE_US 8000.0F /* added to each service's own time while CPU is taken */

struct scene {
	struct planted p;
	struct recording r;
	struct diagnosis d;
};

static int setup(void **state)
{
	static struct scene s;

	s = (struct scene){.p = {.shape = SHAPE_CHAIN,
				   .windows = 60,
				   .requests = 40,
				   .window_s = 5,
				   .statistics = "p99 mean",
				   .metrics = PLANTED_ALL,
				   .from = 48,
				   .to = 54}};
	*state = &s;
	return 0;
}

static int teardown(void **state)
{
	struct scene *s = *state;

	diagnosis_clear(&s->d);
	recording_clear(&s->r);
	return 0;
}

/* Host of every service, or of one alone; some of its CPU is always taken. */
static void place(struct scene *s, const char *only, float stolen)
{
	uint32_t host = graph_host(&s->r.graph, HOST), column;

	for (uint32_t i = 0; i < s->r.graph.entities; i++) {
		struct entity *e = &s->r.graph.entity[i];

		if (e->kind == ENTITY_SERVICE && (!only || !strcmp(e->name, only)))
			e->host = host;
	}
	column = series_column(&s->r.series, host, "cpu_steal_ratio");
	for (size_t w = 0; w < s->r.series.windows; w++)
		series_set(&s->r.series, w, column,
			w >= s->p.from && w < s->p.to ? stolen : 0.02F + 0.01F * (float)(w % 3));
}

static void add_us(struct scene *s, const char *service, const char *metric, float us)
{
	uint32_t column = series_find(&s->r.series, graph_find(&s->r.graph, service), metric);
	float *value = s->r.series.column[column].value;

	for (unsigned w = s->p.from; w < s->p.to; w++)
		value[w] += us;
}

/* All that is called from s0 down the chain is late, each by what it and its callees lost. */
static void slow_all(struct scene *s)
{
	for (unsigned i = 0; i < PLANTED_SERVICES; i++) {
		float whole = LATE_US * (float)(PLANTED_SERVICES - i);
		char name[16], edge[32];

		snprintf(name, sizeof(name), "s%u", i);
		if (i)
			snprintf(edge, sizeof(edge), "s%u->s%u", i - 1, i);
		else
			snprintf(edge, sizeof(edge), "user->s0");
		add_us(s, name, "self_p99_us", LATE_US);
		add_us(s, name, "self_mean_us", LATE_US / 10);
		add_us(s, name, "server_p99_us", whole);
		add_us(s, name, "server_mean_us", whole / 10);
		add_us(s, edge, "client_p99_us", whole);
		add_us(s, edge, "client_mean_us", whole / 10);
	}
}

static void ask(struct scene *s)
{
	assert_int_equal(robust_rank(&s->d, &s->r, s->r.slo, s->r.series.start_s[s->p.from],
				 s->r.series.start_s[s->p.to], NULL),
		0);
}

static void assert_first(const struct scene *s, const char *entity)
{
	const struct candidate *c = &s->d.candidate[0];

	assert_int_equal(s->d.verdict, VERDICT_DIAGNOSED);
	assert_string_equal(s->r.graph.entity[c->service].name, entity);
	assert_int_equal(c->resource, RESOURCE_CPU);
	assert_true(c->culprit);
}

static void all_that_is_late_together_is_the_hosts(void **state)
{
	struct scene *s = *state;

	planted_make(&s->r, &s->p);
	place(s, NULL, STOLEN);
	slow_all(s);
	ask(s);
	assert_first(s, HOST);
	assert_string_equal(s->d.candidate[0].metric, "cpu_steal_ratio");
	assert_non_null(strstr(s->d.why, "lost 35 %"));
	assert_non_null(strstr(s->d.why, "10 of its services"));
	for (size_t i = 1; i < s->d.candidates; i++)
		assert_false(s->d.candidate[i].culprit);
	assert_true(s->d.counterfactual.restored < s->r.slo->target);
}

static void without_stolen_time_no_host_is_blamed(void **state)
{
	struct scene *s = *state;

	planted_make(&s->r, &s->p);
	place(s, NULL, 0.03F);
	slow_all(s);
	ask(s);
	assert_true(s->d.candidates > 0);
	for (size_t i = 0; i < s->d.candidates; i++)
		assert_int_equal(s->r.graph.entity[s->d.candidate[i].service].kind, ENTITY_SERVICE);
}

/* A service that burns CPU makes the hypervisor take some, and is nevertheless the cause. */
static void what_one_service_lost_alone_is_its_own(void **state)
{
	struct scene *s = *state;

	s->p.culprit = 4;
	s->p.resource = RESOURCE_CPU;
	planted_make(&s->r, &s->p);
	place(s, NULL, STOLEN);
	ask(s);
	assert_first(s, "s4");
}

/* With one service on it nothing is told by who else is late, but by what that one lacks. */
static void a_host_of_one_service_is_told_by_its_symptoms(void **state)
{
	struct scene *s = *state;

	s->p.culprit = 4;
	s->p.resource = RESOURCE_CODE;
	planted_make(&s->r, &s->p);
	place(s, "s4", STOLEN);
	ask(s);
	assert_first(s, HOST);
}

#define SCENE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		SCENE(all_that_is_late_together_is_the_hosts),
		SCENE(without_stolen_time_no_host_is_blamed),
		SCENE(what_one_service_lost_alone_is_its_own),
		SCENE(a_host_of_one_service_is_told_by_its_symptoms),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
