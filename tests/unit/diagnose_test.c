#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "analyzer/diagnose.h"
#include "system.h"

#define SICK_FROM 120
#define SICK_TO 132

struct fixture {
	struct recording r;
	bool *use; /* the windows before the incident */
	struct model *m;
	double from_s, to_s;
};

static int fixture_open(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct model_options o;

	system_record(&f->r, &(struct system){.services = 4,
				     .windows = 140,
				     .seed = 11,
				     .sick = 3,
				     .from = SICK_FROM,
				     .to = SICK_TO});
	f->use = calloc(140, sizeof(*f->use));
	memset(f->use, 1, SICK_FROM);
	f->from_s = f->r.series.start_s[SICK_FROM];
	f->to_s = f->r.series.start_s[SICK_TO];
	model_options_default(&o);
	o.epochs = 60;
	assert_int_equal(model_train(&f->m, &f->r, f->r.slo, f->use, &o), 0);
	*state = f;
	return 0;
}

static int fixture_close(void **state)
{
	struct fixture *f = *state;

	model_free(f->m);
	recording_clear(&f->r);
	free(f->use);
	free(f);
	return 0;
}

static struct diagnosis answer(const struct fixture *f, const struct model *m, enum method method)
{
	struct diagnosis d;

	assert_int_equal(diagnose(&d, &f->r, f->r.slo, f->from_s, f->to_s, f->use, m, method), 0);
	return d;
}

static void assert_sane(const struct diagnosis *d)
{
	double sum = 0;

	for (size_t i = 0; i < d->candidates; i++) {
		assert_true(d->candidate[i].probability >= 0 && d->candidate[i].probability <= 1);
		assert_true(i == 0 || d->candidate[i].score <= d->candidate[i - 1].score);
		sum += d->candidate[i].probability;
	}
	assert_true(sum <= 1.000001);
	assert_true(strlen(d->why) > 0);
}

static void guarded_names_the_starved_service_and_its_resource(void **state)
{
	struct fixture *f = *state;
	struct diagnosis d = answer(f, f->m, METHOD_GUARDED);

	assert_int_equal(d.verdict, VERDICT_DIAGNOSED);
	assert_string_equal(d.method, "guarded");
	assert_int_equal(d.candidate[0].service, graph_find(&f->r.graph, "s3"));
	assert_int_equal(d.candidate[0].resource, RESOURCE_CPU);
	assert_true(d.candidate[0].culprit);
	assert_true(d.evidences > 1);
	assert_true(d.counterfactual.observed > d.counterfactual.target);
	assert_true(d.counterfactual.restored < d.counterfactual.target);
	assert_true(d.counterfactual.probability > 0.5 && d.counterfactual.probability <= 1);
	assert_sane(&d);
	diagnosis_clear(&d);
}

static void faithful_finds_a_set_that_restores_the_target(void **state)
{
	struct fixture *f = *state;
	struct diagnosis d = answer(f, f->m, METHOD_FAITHFUL);
	bool found = false;

	assert_int_equal(d.verdict, VERDICT_DIAGNOSED);
	assert_string_equal(d.method, "faithful");
	assert_true(d.counterfactual.restored <= d.counterfactual.target);
	for (size_t i = 0; i < d.candidates; i++)
		found |= d.candidate[i].culprit &&
			 d.candidate[i].service == graph_find(&f->r.graph, "s3");
	assert_true(found);
	assert_sane(&d);
	diagnosis_clear(&d);
}

static void without_a_model_the_evidence_answers_and_says_so(void **state)
{
	struct fixture *f = *state;
	struct diagnosis d = answer(f, NULL, METHOD_GUARDED);

	assert_string_equal(d.method, "robust");
	assert_non_null(strstr(d.why, "no model yet"));
	assert_int_equal(d.candidate[0].service, graph_find(&f->r.graph, "s3"));
	diagnosis_clear(&d);
}

static void windows_within_target_are_healthy_for_every_method(void **state)
{
	struct fixture *f = *state;

	for (int method = 0; method < METHODS; method++) {
		struct diagnosis d;

		assert_int_equal(
			diagnose(&d, &f->r, f->r.slo, f->r.series.start_s[20],
				f->r.series.start_s[30], f->use, f->m, (enum method)method),
			0);
		assert_int_equal(d.verdict, VERDICT_HEALTHY);
		assert_true(d.candidates == 0 || !d.candidate[0].culprit);
		diagnosis_clear(&d);
	}
}

static void a_model_of_another_target_is_not_asked(void **state)
{
	struct fixture *f = *state;
	struct slo other = {.metric = "client_p99_us", .target = 7000};

	other.entity = graph_find(&f->r.graph, "s1->s2");
	for (int method = METHOD_GUARDED; method <= METHOD_FAITHFUL; method++) {
		struct diagnosis d;

		assert_int_equal(diagnose(&d, &f->r, &other, f->from_s, f->to_s, f->use, f->m,
					 (enum method)method),
			0);
		assert_non_null(strstr(d.why, "another target"));
		diagnosis_clear(&d);
	}
}

static void methods_are_known_by_name(void **state)
{
	enum method m;

	(void)state;
	for (int i = 0; i < METHODS; i++) {
		assert_true(method_parse(method_name((enum method)i), &m));
		assert_int_equal(m, i);
	}
	assert_false(method_parse("guess", &m));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(guarded_names_the_starved_service_and_its_resource),
		cmocka_unit_test(faithful_finds_a_set_that_restores_the_target),
		cmocka_unit_test(without_a_model_the_evidence_answers_and_says_so),
		cmocka_unit_test(windows_within_target_are_healthy_for_every_method),
		cmocka_unit_test(a_model_of_another_target_is_not_asked),
		cmocka_unit_test(methods_are_known_by_name),
	};

	return cmocka_run_group_tests(tests, fixture_open, fixture_close);
}
