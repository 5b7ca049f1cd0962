#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "analyzer/model_parts.h"
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

/* A chain of four whose s3 starves for CPU in the last 40 windows, and a model of it. */
struct fixture {
	struct recording r;
	struct model *m;
};

static int fixture_open(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	system_record(&f->r, &(struct system){.services = 4,
				     .windows = 160,
				     .seed = 2,
				     .sick = 3,
				     .from = 120,
				     .to = 160});
	f->m = train(&f->r, NULL, 2);
	*state = f;
	return 0;
}

static int fixture_close(void **state)
{
	struct fixture *f = *state;

	model_free(f->m);
	recording_clear(&f->r);
	free(f);
	return 0;
}

static float ask(const struct model *m, const struct recording *r, size_t row, const char *service,
	enum resource resource)
{
	struct intervention set = {.service = graph_find(&r->graph, service), .resource = resource};
	float out;

	assert_int_equal(model_counterfactual(m, r, row, &set, 1, 1, 1, &out), 0);
	return out;
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

static void a_planted_cause_restores_the_target_and_a_bystander_does_not(void **state)
{
	struct fixture *f = *state;

	for (size_t row = 130; row < 150; row += 5) {
		float target = (float)f->r.slo->target;

		assert_true(ask(f->m, &f->r, row, "s3", RESOURCE_NONE) < target);
		assert_true(ask(f->m, &f->r, row, "s4", RESOURCE_NONE) > target);
	}
}

static void training_lowers_the_error_on_windows_held_out(void **state)
{
	struct fixture *f = *state;
	bool *use = calloc(f->r.series.windows, sizeof(*use)),
	     *held = calloc(f->r.series.windows, sizeof(*held));
	struct model *m;

	for (size_t i = 0; i < f->r.series.windows; i++)
		*(i % 4 ? &use[i] : &held[i]) = true;
	m = train(&f->r, use, 2);
	assert_true(model_error(m, &f->r, held) < 0.2); /* the mean alone has 1 */
	model_free(m);
	free(use);
	free(held);
}

static void nothing_intervened_leaves_the_window_as_it_was(void **state)
{
	struct fixture *f = *state;
	const float *slo = series_values(&f->r.series, f->r.slo->entity, f->r.slo->metric);
	float out[5];

	assert_int_equal(model_counterfactual(f->m, &f->r, 125, NULL, 0, 5, 1, out), 0);
	for (size_t i = 0; i < 5; i++)
		assert_true(out[i] == slo[125]);
}

static void draws_spread_and_repeat_for_a_seed(void **state)
{
	struct fixture *f = *state;
	struct intervention set = {.service = graph_find(&f->r.graph, "s3")};
	float first[20], second[20];
	size_t same = 0;

	model_counterfactual(f->m, &f->r, 125, &set, 1, 20, 5, first);
	model_counterfactual(f->m, &f->r, 125, &set, 1, 20, 5, second);
	assert_memory_equal(first, second, sizeof(first));
	for (size_t i = 1; i < 20; i++)
		same += first[i] == first[0];
	assert_true(same < 19);
}

static void a_service_unknown_to_the_model_is_an_error(void **state)
{
	struct fixture *f = *state;
	struct intervention set = {.service = graph_find(&f->r.graph, "user")};
	float out = 3;

	assert_int_equal(model_counterfactual(f->m, &f->r, 125, &set, 1, 1, 1, &out), -ENOENT);
	set.service = GRAPH_NONE;
	assert_int_equal(model_counterfactual(f->m, &f->r, 125, &set, 1, 1, 1, &out), -ENOENT);
	assert_int_equal(model_counterfactual(f->m, &f->r, 9999, &set, 1, 1, 1, &out), -ENODATA);
	assert_true(out == 3);
}

static void the_number_of_threads_does_not_change_the_weights(void **state)
{
	struct fixture *f = *state;
	struct model *one = train(&f->r, NULL, 1), *three = train(&f->r, NULL, 3);
	size_t size = model_parameters(one) * sizeof(float);

	assert_memory_equal(one->weights, three->weights, size);
	assert_memory_equal(one->weights, f->m->weights, size);
	model_free(one);
	model_free(three);
}

static void a_restored_model_answers_the_same(void **state)
{
	struct fixture *f = *state;
	struct model *m;
	void *blob;
	size_t size;

	assert_int_equal(model_save(f->m, &blob, &size), 0);
	assert_int_equal(model_load(&m, blob, size), 0);
	assert_int_equal(model_parameters(m), model_parameters(f->m));
	assert_true(ask(m, &f->r, 125, "s3", RESOURCE_NONE) ==
		    ask(f->m, &f->r, 125, "s3", RESOURCE_NONE));
	model_free(m);
	free(blob);
}

static void a_damaged_blob_is_refused(void **state)
{
	struct fixture *f = *state;
	struct model *m = NULL;
	unsigned char *blob;
	size_t size;

	assert_int_equal(model_save(f->m, (void **)&blob, &size), 0);
	for (size_t cut = 0; cut < size; cut += 997)
		assert_int_equal(model_load(&m, blob, cut), -EBADMSG);
	for (size_t at = 0; at < size; at += 1009) {
		blob[at] ^= 1;
		assert_int_equal(model_load(&m, blob, size), -EBADMSG);
		blob[at] ^= 1;
	}
	assert_null(m);
	free(blob);
}

static void retraining_goes_on_from_what_was_learnt(void **state)
{
	struct fixture *f = *state;
	struct model_options o;
	struct model *cold, *warm;

	model_options_default(&o);
	o.epochs = 2;
	assert_int_equal(model_train(&cold, &f->r, f->r.slo, NULL, &o), 0);
	assert_int_equal(model_retrain(&warm, f->m, &f->r, f->r.slo, NULL, &o), 0);
	assert_true(model_error(warm, &f->r, NULL) < model_error(cold, &f->r, NULL));
	model_free(cold);
	model_free(warm);
}

/* The chain grows by a fifth service behind the fourth: what does not touch it starts as it was. */
static void a_grown_graph_keeps_the_nets_that_did_not_change(void **state)
{
	struct fixture *f = *state;
	struct recording grown;
	struct model_options o;
	struct model *same, *more;

	model_options_default(&o);
	o.epochs = 0;
	assert_int_equal(model_retrain(&same, f->m, &f->r, f->r.slo, NULL, &o), 0);
	assert_memory_equal(same->weights, f->m->weights, model_parameters(f->m) * sizeof(float));
	system_record(&grown, &(struct system){.services = 5, .windows = 40, .seed = 8});
	assert_int_equal(model_retrain(&more, f->m, &grown, grown.slo, NULL, &o), 0);
	assert_true(model_parameters(more) > model_parameters(f->m));
	for (size_t i = 0; i < 3; i++) {
		static const char *const kept[] = {"s1", "s2", "s3"};
		const struct gvae_net *from = &f->m->g.encoder[gvae_find(&f->m->g, kept[i])];
		const struct gvae_net *to = &more->g.encoder[gvae_find(&more->g, kept[i])];

		assert_memory_equal(more->weights + to->weight, f->m->weights + from->weight,
			mlp_parameters(&to->shape) * sizeof(float));
	}
	model_free(same);
	model_free(more);
	recording_clear(&grown);
}

static void holes_in_the_data_do_no_harm(void **state)
{
	struct recording r;
	struct model *m;
	float out;

	(void)state;
	system_record(&r, &(struct system){.services = 3, .windows = 60, .seed = 6});
	for (uint32_t c = 0; c < r.series.columns; c++)
		for (size_t i = c % 7; i < 60; i += 7)
			if (r.series.column[c].entity != r.slo->entity)
				r.series.column[c].value[i] = NAN;
	m = train(&r, NULL, 1);
	out = ask(m, &r, 30, "s2", RESOURCE_CPU);
	assert_true(isfinite(out) && out > 0);
	assert_true(model_error(m, &r, NULL) < 1.5);
	model_free(m);
	recording_clear(&r);
}

static void fewer_than_eight_windows_are_not_enough(void **state)
{
	struct recording r;
	struct model_options o;
	struct model *m = NULL;

	(void)state;
	system_record(&r, &(struct system){.services = 2, .windows = 7, .seed = 1});
	model_options_default(&o);
	assert_int_equal(model_train(&m, &r, r.slo, NULL, &o), -ENODATA);
	assert_null(m);
	recording_clear(&r);
}

static void training_stops_when_told(void **state)
{
	struct fixture *f = *state;
	atomic_bool stop = true;
	struct model_options o;
	struct model *m = NULL;

	model_options_default(&o);
	o.stop = &stop;
	assert_int_equal(model_train(&m, &f->r, f->r.slo, NULL, &o), -ECANCELED);
	assert_null(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_chain_of_ten_has_as_many_parameters_as_published),
		cmocka_unit_test(a_planted_cause_restores_the_target_and_a_bystander_does_not),
		cmocka_unit_test(training_lowers_the_error_on_windows_held_out),
		cmocka_unit_test(nothing_intervened_leaves_the_window_as_it_was),
		cmocka_unit_test(draws_spread_and_repeat_for_a_seed),
		cmocka_unit_test(a_service_unknown_to_the_model_is_an_error),
		cmocka_unit_test(the_number_of_threads_does_not_change_the_weights),
		cmocka_unit_test(a_restored_model_answers_the_same),
		cmocka_unit_test(a_damaged_blob_is_refused),
		cmocka_unit_test(retraining_goes_on_from_what_was_learnt),
		cmocka_unit_test(a_grown_graph_keeps_the_nets_that_did_not_change),
		cmocka_unit_test(holes_in_the_data_do_no_harm),
		cmocka_unit_test(fewer_than_eight_windows_are_not_enough),
		cmocka_unit_test(training_stops_when_told),
	};

	return cmocka_run_group_tests(tests, fixture_open, fixture_close);
}
