#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <cmocka.h>

#include "analyzer/model.h"
#include "system.h"

static struct model *train(const struct recording *r, const bool *use, unsigned threads)
{
	struct model_options o;
	struct model *m = NULL;

	model_options_default(&o);
	o.threads = threads;
	o.epochs = 60;
	assert_int_equal(model_train(&m, r, r->slo, use, &o), 0);
	return m;
}

static void a_chain_of_ten_has_as_many_parameters_as_published(void **state)
{
	struct recording r;
	struct model_options o;
	struct model *m;

	(void)state;
	system_record(&r, &(struct system){.services = 10, .windows = 16, .seed = 1});
	model_options_default(&o);
	o.epochs = 0;
	assert_int_equal(model_train(&m, &r, r.slo, NULL, &o), 0);
	assert_int_equal(model_parameters(m), 42754);
	model_free(m);
	recording_clear(&r);
}

static float ask(const struct model *m, const struct recording *r, size_t row, const char *service,
	enum resource resource)
{
	struct intervention set = {.service = graph_find(&r->graph, service), .resource = resource};
	float out;

	assert_int_equal(model_counterfactual(m, r, row, &set, 1, 1, 1, &out), 0);
	return out;
}

static void a_planted_cause_restores_the_target_and_a_bystander_does_not(void **state)
{
	struct recording r;
	struct model *m;

	(void)state;
	system_record(&r, &(struct system){.services = 4,
				  .windows = 160,
				  .seed = 2,
				  .sick = 3,
				  .from = 120,
				  .to = 160});
	m = train(&r, NULL, 2);
	for (size_t row = 130; row < 150; row += 5) {
		assert_true(ask(m, &r, row, "s3", RESOURCE_NONE) < (float)r.slo->target);
		assert_true(ask(m, &r, row, "s4", RESOURCE_NONE) > (float)r.slo->target);
	}
	model_free(m);
	recording_clear(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_chain_of_ten_has_as_many_parameters_as_published),
		cmocka_unit_test(a_planted_cause_restores_the_target_and_a_bystander_does_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
