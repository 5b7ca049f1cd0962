#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "analyzer/model_parts.h"
#include "tests/bench/synthetic.h"

#define SERVICES 15
#define WINDOWS 166
#define USUAL (WINDOWS - SYNTHETIC_INCIDENT)
#define LEARNT 110 /* windows that the first model learns from; then s10 changes, where it does */

static const struct model_options *options(void)
{
	static struct model_options o;

	model_options_default(&o);
	o.epochs = 15;
	return &o;
}

static void make(struct recording *r, enum synthetic_shape shape, unsigned services)
{
	struct synthetic s = {.shape = shape, .services = services, .windows = WINDOWS, .seed = 1};

	assert_int_equal(synthetic_make(r, &s), 0);
}

/* Of the first `windows`, every fifth is held out. */
static void split(bool use[WINDOWS], bool held[WINDOWS], size_t windows)
{
	for (size_t i = 0; i < WINDOWS; i++) {
		held[i] = i < windows && i % 5 == 4;
		use[i] = i < windows && !held[i];
	}
}

static struct model *train(const struct recording *r, size_t windows)
{
	bool use[WINDOWS], held[WINDOWS];
	struct model *m;

	split(use, held, windows);
	assert_int_equal(model_train(&m, r, r->slo, use, options()), 0);
	assert_int_equal(model_expect(m, r, held), 0);
	return m;
}

static int retrain(
	struct model **m, const struct model *old, const struct recording *r, double *share)
{
	bool use[WINDOWS], held[WINDOWS];

	split(use, held, USUAL);
	return model_retrain_changed(m, old, r, r->slo, use, options(), share);
}

/* Add to a latency's columns from window LEARNT on. */
static void slow_down(struct recording *r, const char *entity, const char *p95, const char *p99)
{
	uint32_t number = graph_find(&r->graph, entity);
	float *low = r->series.column[series_find(&r->series, number, p95)].value;
	float *high = r->series.column[series_find(&r->series, number, p99)].value;

	for (size_t i = LEARNT; i < USUAL; i++) {
		low[i] += 2000;
		high[i] += 2800;
	}
}

/* Another version of a service: slower, and so are all that wait for it. */
static void update(struct recording *r, unsigned service)
{
	for (unsigned i = service;; i = (i - 1) / 2) {
		char name[16], edge[40];

		snprintf(name, sizeof(name), "s%u", i);
		if (i)
			snprintf(edge, sizeof(edge), "s%u->s%u", (i - 1) / 2, i);
		else
			snprintf(edge, sizeof(edge), "user->s0");
		slow_down(r, name, "server_p95_us", "server_p99_us");
		slow_down(r, edge, "client_p95_us", "client_p99_us");
		if (!i)
			return;
	}
}

/* ---- which nets are which ---- */

static const char *entity_of(const struct gvae *g, uint32_t net)
{
	uint32_t output = gvae_net(g, net)->output;

	return net < 2 * g->entities ? g->entity[output].name : g->column[g->xs + output].entity;
}

/* The net of the other model with the same name and first output. */
static const struct gvae_net *counterpart(
	const struct gvae *g, uint32_t net, const struct gvae *other)
{
	bool decoder = net >= 2 * g->entities;
	uint32_t first = !decoder ? 0 : 2 * other->entities;

	for (uint32_t i = first; i < gvae_nets(other); i++)
		if ((i < other->entities) == (net < g->entities) &&
			!strcmp(entity_of(g, net), entity_of(other, i)) &&
			(!decoder || !strcmp(g->column[g->xs + gvae_net(g, net)->output].metric,
					     other->column[other->xs + gvae_net(other, i)->output]
						     .metric)))
			return gvae_net(other, i);
	return NULL;
}

static bool are_equal(const struct gvae *g, uint32_t source, const struct gvae *other, uint32_t its)
{
	bool latent = source >= g->xs + g->ys;

	if (latent != (its >= other->xs + other->ys))
		return false;
	if (latent)
		return !strcmp(g->entity[source - g->xs - g->ys].name,
			other->entity[its - other->xs - other->ys].name);
	return !strcmp(g->column[source].entity, other->column[its].entity) &&
	       !strcmp(g->column[source].metric, other->column[its].metric);
}

/* Which input of a net is the other network's source, the `nth` time. */
static uint32_t input_of(const struct gvae *g, const struct gvae_net *net, const struct gvae *other,
	uint32_t its, unsigned nth)
{
	for (uint32_t i = 0; i < net->shape.inputs; i++)
		if (are_equal(g, g->source[net->first_source + i], other, its) && !nth--)
			return i;
	return GVAE_NONE;
}

/* How often the source of an input stood among those before it. */
static unsigned times_before(const struct gvae *g, const struct gvae_net *net, uint32_t input)
{
	const uint32_t *source = g->source + net->first_source;
	unsigned times = 0;

	for (uint32_t i = 0; i < input; i++)
		times += source[i] == source[input];
	return times;
}

/* The same inputs in some order, and the same weights to the bit. */
static bool is_as_it_was(const struct model *m, uint32_t net, const struct model *old)
{
	const struct gvae_net *now = gvae_net(&m->g, net);
	const struct gvae_net *was = counterpart(&m->g, net, &old->g);
	uint32_t inputs = now->shape.inputs, hidden = now->shape.hidden;
	const float *w = m->weights + now->weight, *v;

	if (!was || was->shape.inputs != inputs)
		return false;
	v = old->weights + was->weight;
	for (uint32_t i = 0; i < inputs; i++) {
		uint32_t source = m->g.source[now->first_source + i];
		uint32_t k = input_of(&old->g, was, &m->g, source, times_before(&m->g, now, i));

		for (uint32_t h = 0; h < hidden; h++)
			if (k == GVAE_NONE || w[h * inputs + i] != v[h * inputs + k])
				return false;
	}
	return !memcmp(w + hidden * inputs, v + hidden * inputs,
		(mlp_parameters(&now->shape) - hidden * inputs) * sizeof(*w));
}

static bool is_among(const char *name, const char *list)
{
	size_t length = strlen(name);

	for (const char *at = strstr(list, name); at; at = strstr(at + 1, name))
		if ((at == list || at[-1] == ' ') && (!at[length] || at[length] == ' '))
			return true;
	return false;
}

/*
 * Everything of the entities `fresh` has learnt, and what is measured at the ends of calls, at the
 * server's and the client's, of the entities `waiting`; nothing else.
 */
static void assert_learnt(
	const struct model *m, const struct model *old, const char *fresh, const char *waiting)
{
	const struct gvae *g = &m->g;

	for (uint32_t i = 0; i < gvae_nets(g); i++) {
		const char *entity = entity_of(g, i);
		bool end = i >= 2 * g->entities &&
			   strncmp(g->column[g->xs + gvae_net(g, i)->output].metric, "network_", 8);
		bool expected = is_among(entity, fresh) || (end && is_among(entity, waiting));

		if (is_as_it_was(m, i, old) == expected)
			fail_msg("net %u of %s: %s", i, entity,
				expected ? "has learnt nothing" : "is not what it was");
	}
}

/* Mean of the errors of these entities' latencies in windows held out. */
static double error_of(const struct model *m, const struct recording *r, const char *entities)
{
	struct model_view v;
	float *error = calloc(m->g.nodes, sizeof(*error));
	size_t row[WINDOWS], count = 0, known = 0;
	double sum = 0;

	assert_int_equal(model_view_open(&v, &m->g, r), 0);
	for (size_t i = LEARNT; i < USUAL; i++)
		if (i % 5 == 4)
			row[count++] = i;
	assert_int_equal(model_node_errors(m, &v, row, count, 0.5, error), 0);
	for (uint32_t n = 0; n < m->g.nodes; n++) {
		if (!is_among(entity_of(&m->g, 2 * m->g.entities + n), entities))
			continue;
		sum += (double)error[n];
		known++;
	}
	assert_true(known > 0);
	model_view_close(&v);
	free(error);
	return sum / (double)known;
}

/* What learnt is nearly as good as if all had, from the beginning. */
static void assert_learnt_well(
	const struct model *m, const struct recording *r, const char *entities)
{
	struct model *full = train(r, USUAL);
	double error = error_of(m, r, entities), of_full = error_of(full, r, entities);

	print_message("error %.3f; had all learnt, %.3f\n", error, of_full);
	assert_true(error < 1.5 * of_full + 0.02);
	model_free(full);
}

/* ---- the facts ---- */

/* A tree, and what its first windows taught. */
struct fixture {
	struct recording r;
	struct model *m;
};

static int fixture_open(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	make(&f->r, SYNTHETIC_TREE, SERVICES);
	f->m = train(&f->r, LEARNT);
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

static void nothing_new_is_no_reason_to_learn(void **state)
{
	struct fixture *f = *state;
	struct model *m = NULL;
	double share = 7;

	assert_int_equal(retrain(&m, f->m, &f->r, &share), -EALREADY);
	assert_null(m);
	assert_true(share == 7);
}

static void a_service_that_came_is_learnt_with_those_that_wait_for_it(void **state)
{
	static const char below[] = "s15 s7->s15 s7";
	static const char all[] = "s15 s7->s15 s7 s3->s7 s3 s1->s3 s1 s0->s1 s0 user->s0";
	struct fixture *f = *state;
	struct recording after;
	struct model *m;
	double share;

	make(&after, SYNTHETIC_TREE, SERVICES + 1);
	assert_int_equal(retrain(&m, f->m, &after, &share), 0);
	assert_true(share > 0 && share < 0.4);
	assert_learnt(m, f->m, below, all);
	assert_learnt_well(m, &after, all);
	model_free(m);
	recording_clear(&after);
}

static void a_service_that_went_leaves_its_caller_to_learn(void **state)
{
	static const char all[] = "s7 s3->s7 s3 s1->s3 s1 s0->s1 s0 user->s0";
	struct fixture *f = *state;
	struct recording before;
	struct model *old, *m;
	double share;

	make(&before, SYNTHETIC_TREE, SERVICES + 1);
	old = train(&before, LEARNT);
	assert_int_equal(retrain(&m, old, &f->r, &share), 0);
	assert_true(share > 0 && share < 0.4);
	assert_int_equal(gvae_find(&m->g, "s15"), GVAE_NONE);
	assert_learnt(m, old, "s7", all);
	model_free(m);
	model_free(old);
	recording_clear(&before);
}

static void a_service_that_does_other_things_is_noticed_and_learnt(void **state)
{
	static const char all[] = "s10 s4->s10 s4 s1->s4 s1 s0->s1 s0 user->s0";
	struct fixture *f = *state;
	struct recording r;
	struct model *m;
	double share, before;

	make(&r, SYNTHETIC_TREE, SERVICES);
	update(&r, 10);
	before = error_of(f->m, &r, "s10");
	assert_int_equal(retrain(&m, f->m, &r, &share), 0);
	assert_true(share > 0 && share < 0.4);
	assert_learnt(m, f->m, "s10", all);
	assert_true(error_of(m, &r, "s10") < before / 4);
	assert_learnt_well(m, &r, all);
	model_free(m);
	recording_clear(&r);
}

static void all_learn_when_most_changed(void **state)
{
	struct recording before, after;
	struct model *old, *m;
	double share;

	(void)state;
	make(&before, SYNTHETIC_CHAIN, 3);
	make(&after, SYNTHETIC_CHAIN, 9);
	old = train(&before, LEARNT);
	assert_int_equal(retrain(&m, old, &after, &share), 0);
	assert_true(share == 1);
	for (uint32_t i = 0; i < gvae_nets(&m->g); i++)
		assert_false(is_as_it_was(m, i, old));
	model_free(m);
	model_free(old);
	recording_clear(&before);
	recording_clear(&after);
}

static void what_is_expected_survives_a_restart(void **state)
{
	struct fixture *f = *state;
	struct model *restored, *m = NULL;
	double share;
	void *blob;
	size_t size;

	assert_int_equal(model_save(f->m, &blob, &size), 0);
	assert_int_equal(model_load(&restored, blob, size), 0);
	assert_memory_equal(
		restored->expected, f->m->expected, f->m->g.nodes * sizeof(*f->m->expected));
	assert_int_equal(retrain(&m, restored, &f->r, &share), -EALREADY);
	model_free(restored);
	free(blob);
}

/* A hub has one callee more: what is known of the others stays, and the new one says nothing. */
static void a_net_that_gains_inputs_keeps_what_it_knows(void **state)
{
	struct recording before, after;
	struct model *old, *m;
	struct model_options o = *options();
	const struct gvae_net *now, *was;
	uint32_t node, known = 0;

	(void)state;
	make(&before, SYNTHETIC_HUB, 12);
	make(&after, SYNTHETIC_HUB, 13);
	o.epochs = 0;
	assert_int_equal(model_train(&old, &before, before.slo, NULL, &o), 0);
	assert_int_equal(model_retrain(&m, old, &after, after.slo, NULL, &o), 0);
	for (node = 2 * m->g.entities; strcmp(entity_of(&m->g, node), "s0"); node++)
		continue;
	now = gvae_net(&m->g, node);
	was = counterpart(&m->g, node, &old->g);
	assert_int_equal(now->shape.inputs, was->shape.inputs + 2);
	for (uint32_t i = 0; i < now->shape.inputs; i++) {
		uint32_t source = m->g.source[now->first_source + i], k;

		k = input_of(&old->g, was, &m->g, source, 0);
		known += k != GVAE_NONE;
		for (uint32_t h = 0; h < now->shape.hidden; h++)
			assert_true(m->weights[now->weight + h * now->shape.inputs + i] ==
				    (k == GVAE_NONE ? 0
						    : old->weights[was->weight +
								   h * was->shape.inputs + k]));
	}
	assert_int_equal(known, was->shape.inputs);
	model_free(m);
	model_free(old);
	recording_clear(&before);
	recording_clear(&after);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_new_is_no_reason_to_learn),
		cmocka_unit_test(a_service_that_came_is_learnt_with_those_that_wait_for_it),
		cmocka_unit_test(a_service_that_went_leaves_its_caller_to_learn),
		cmocka_unit_test(a_service_that_does_other_things_is_noticed_and_learnt),
		cmocka_unit_test(all_learn_when_most_changed),
		cmocka_unit_test(what_is_expected_survives_a_restart),
		cmocka_unit_test(a_net_that_gains_inputs_keeps_what_it_knows),
	};

	return cmocka_run_group_tests(tests, fixture_open, fixture_close);
}
