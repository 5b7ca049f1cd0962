/*
 * What-if questions: how far they reach, and that the short cuts on the way to an answer change
 * nothing about it.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "analyzer/search.h"
#include "system.h"

#define SERVICES 4
#define FROM 120 /* the incident's windows */
#define TO 160

/* A chain of four whose s3 starves for CPU in the last 40 windows, and a model of it. */
struct fixture {
	struct recording r;
	struct model *m;
};

static int fixture_open(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct model_options o;

	system_record(&f->r, &(struct system){.services = SERVICES,
				     .windows = TO,
				     .seed = 2,
				     .sick = 3,
				     .from = FROM,
				     .to = TO});
	model_options_default(&o);
	o.epochs = 60;
	assert_int_equal(model_train(&f->m, &f->r, f->r.slo, NULL, &o), 0);
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

static uint32_t number_of(const struct fixture *f, unsigned service)
{
	char name[] = {'s', (char)('0' + service), 0};

	return graph_find(&f->r.graph, name);
}

/* Everything on the way up to the user, and, by rule iii, what s2 sees of its own call. */
static void an_intervention_changes_its_causal_descendants_only(void **state)
{
	struct fixture *f = *state;
	struct intervention set = {.service = graph_find(&f->r.graph, "s2")};
	const struct gvae *g = &f->m->g;
	struct counterfactual_run c;
	struct counterfactual_work k;
	size_t row = 125;

	assert_int_equal(counterfactual_open(&c, f->m, &f->r, 1, 1), 0);
	assert_int_equal(counterfactual_work_open(&k, &c), 0);
	assert_int_equal(counterfactual_windows(&c, &row, 1), 0);
	assert_int_equal(counterfactual_prepare(&c, &k, &set, 1), 0);
	for (uint32_t i = 0; i < g->ys; i++) {
		const struct gvae_column *y = &g->column[g->xs + i];
		bool below = !strcmp(y->entity, "s1->s2") || !strcmp(y->entity, "user->s1") ||
			     (!strcmp(y->entity, "s2->s3") && !strncmp(y->metric, "client_", 7));

		assert_true(k.reach.moved[g->xs + i] == below);
		assert_true((k.reach.place[c.map.node_of[i]] != GVAE_NONE) == below);
	}
	counterfactual_work_close(&k);
	counterfactual_close(&c);
}

/* ---- answers beside those of the whole network, decoded anew ---- */

/* Is a source set by the intervention? */
static bool is_set(const struct fixture *f, const struct intervention *set, uint32_t source)
{
	const struct gvae *g = &f->m->g;
	const char *service = f->r.graph.entity[set->service].name;
	uint32_t columns = g->xs + g->ys, z = source - columns;

	for (uint32_t e = 0; e < g->entities; e++) {
		const struct gvae_entity *of = &g->entity[e];
		bool meant = !strcmp(of->name, service) ||
			     (of->edge && set->resource != RESOURCE_CODE &&
				     of->callee == gvae_find(g, service) &&
				     (set->resource == RESOURCE_NONE ||
					     set->resource == RESOURCE_NETWORK));
		bool latent = set->resource == RESOURCE_NONE || set->resource == RESOURCE_CODE ||
			      (of->edge && set->resource == RESOURCE_NETWORK);

		if (meant && source >= columns && z == e && latent)
			return true;
		if (meant && source >= of->first_x && source < of->first_x + of->xs &&
			(set->resource == RESOURCE_NONE ||
				set->resource == resource_of_metric(g->column[source].metric)))
			return true;
	}
	return false;
}

/* All latents in one window, by the nets themselves: of what was measured, or at normal X. */
static void infer_all(const struct fixture *f, size_t row, float *measured, float *normal)
{
	const struct gvae *g = &f->m->g;
	uint32_t columns = g->xs + g->ys;
	struct model_view v;
	struct model_run run;
	float gaussian[GVAE_LATENT * KERNELS_TILE], *x;

	assert_int_equal(model_view_open(&v, g, &f->r), 0);
	assert_int_equal(model_run_open(&run, g), 0);
	x = calloc((size_t)g->xs * KERNELS_TILE, sizeof(*x));
	for (uint32_t c = 0; c < columns; c++) {
		model_run_column(&run, &v, &row, 1, c);
		measured[c] = run.state[c * KERNELS_TILE];
		normal[c] = g->column[c].normal;
		for (size_t i = 0; c < g->xs && i < KERNELS_TILE; i++)
			x[c * KERNELS_TILE + i] = normal[c];
	}
	for (uint32_t z = 0; z < g->entities; z++) {
		model_infer(f->m, &run, z, gaussian);
		measured[columns + z] = gaussian[0];
		model_infer_prior(f->m, &run, x, z, gaussian);
		normal[columns + z] = gaussian[0];
	}
	free(x);
	model_run_close(&run);
	model_view_close(&v);
}

/* The target's metric after every node with a changed parent was decoded from all its inputs. */
static float ask_plainly(const struct fixture *f, size_t row, const struct intervention *set)
{
	const struct gvae *g = &f->m->g;
	uint32_t sources = gvae_state(g);
	float *state = calloc((size_t)sources * KERNELS_TILE, sizeof(*state));
	float *measured = calloc(sources, sizeof(*measured)), *normal = calloc(sources, 4);
	float x[64 * KERNELS_TILE], kept[64 * KERNELS_TILE], out[4 * KERNELS_TILE], answer;
	bool *changed = calloc(sources, sizeof(*changed));

	infer_all(f, row, measured, normal);
	for (uint32_t s = 0; s < sources; s++) {
		changed[s] = is_set(f, set, s);
		state[s * KERNELS_TILE] = changed[s] ? normal[s] : measured[s];
	}
	for (uint32_t n = 0; n < g->nodes; n++) {
		const struct gvae_net *d = &g->decoder[n];
		bool touched = false;

		for (uint32_t i = 0; i < d->shape.inputs; i++)
			touched |= changed[g->source[d->first_source + i]];
		if (!touched)
			continue;
		gvae_apply(g, d, f->m->weights, state, 1, false, x, kept, out);
		for (uint32_t i = 0; i < d->shape.outputs; i++) {
			changed[g->xs + d->output + i] = true;
			state[(g->xs + d->output + i) * KERNELS_TILE] = out[i * KERNELS_TILE];
		}
	}
	answer = model_from_z(
		&g->column[g->xs + g->slo_y], state[(size_t)(g->xs + g->slo_y) * KERNELS_TILE]);
	free(state);
	free(measured);
	free(normal);
	free(changed);
	return answer;
}

static void answers_are_those_of_the_whole_network(void **state)
{
	static const enum resource item[] = {RESOURCE_NONE, RESOURCE_CPU, RESOURCE_MEMORY,
		RESOURCE_DISK, RESOURCE_NETWORK, RESOURCE_CODE};
	struct fixture *f = *state;
	const float *slo = series_values(&f->r.series, f->r.slo->entity, f->r.slo->metric);
	size_t differ = 0;

	for (size_t row = 5; row < TO; row += 25)
		for (unsigned s = 1; s <= SERVICES; s++)
			for (size_t i = 0; i < sizeof(item) / sizeof(*item); i++) {
				struct intervention set = {number_of(f, s), item[i]};
				float quick, plain = ask_plainly(f, row, &set);

				assert_int_equal(model_counterfactual(
							 f->m, &f->r, row, &set, 1, 1, 1, &quick),
					0);
				assert_true(fabsf(quick - plain) <= 1e-3F * plain);
				differ += fabsf(plain - slo[row]) > 1e-2F * plain;
			}
	assert_true(differ > 20); /* else the comparison says nothing */
}

/* ---- many questions ---- */

static void search_begin(struct search *s, const struct fixture *f, unsigned workers)
{
	const struct series *series = &f->r.series;

	assert_int_equal(search_open(s, f->m, &f->r, f->r.slo, series->start_s[FROM],
				 series->start_s[TO - 1] + 1),
		0);
	s->workers = s->workers < workers ? s->workers : workers;
}

/* Every set of two services. Returns how many. */
static size_t list_pairs(const struct fixture *f, struct question q[SERVICES * SERVICES])
{
	size_t count = 0;

	for (unsigned a = 1; a <= SERVICES; a++)
		for (unsigned b = 1; b <= SERVICES; b++)
			if (a != b)
				q[count++] =
					(struct question){.set = {{number_of(f, a), RESOURCE_NONE},
								  {number_of(f, b), RESOURCE_NONE}},
						.count = 2};
	return count;
}

static void many_questions_are_answered_as_one_is(void **state)
{
	struct question q[SERVICES * SERVICES];
	struct search s;

	for (unsigned workers = 1; workers <= 8; workers *= 2) {
		size_t count = list_pairs(*state, q);

		search_begin(&s, *state, workers);
		search_ask_all(&s, q, count);
		for (size_t i = 0; i < count; i++) {
			struct answer one;

			assert_true(q[i].known);
			assert_int_equal(search_ask(&s, q[i].set, q[i].count, &one), 0);
			assert_true(one.restored == q[i].answer.restored);
			assert_true(one.probability == q[i].answer.probability);
		}
		search_close(&s);
	}
}

static void the_lowest_answer_is_found_by_few_draws_first(void **state)
{
	struct question q[SERVICES * SERVICES], all[SERVICES * SERVICES];
	const struct question *lowest, *by_all;
	struct search s;
	size_t count = list_pairs(*state, q);

	list_pairs(*state, all);
	search_begin(&s, *state, 8);
	search_ask_all(&s, all, count);
	by_all = question_lowest(all, count, INFINITY);
	lowest = search_lowest(&s, q, count, INFINITY);
	assert_non_null(lowest);
	assert_true(lowest->answer.restored <= by_all->answer.restored * 1.01);
	assert_null(search_lowest(&s, q, count, by_all->answer.restored));
	search_close(&s);
}

static void a_question_about_a_stranger_is_not_answered(void **state)
{
	struct fixture *f = *state;
	struct question q = {.set = {{.service = graph_find(&f->r.graph, "user")}}, .count = 1};
	struct search s;

	search_begin(&s, f, 1);
	search_ask_all(&s, &q, 1);
	assert_false(q.known);
	assert_null(search_lowest(&s, &q, 1, INFINITY));
	search_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_intervention_changes_its_causal_descendants_only),
		cmocka_unit_test(answers_are_those_of_the_whole_network),
		cmocka_unit_test(many_questions_are_answered_as_one_is),
		cmocka_unit_test(the_lowest_answer_is_found_by_few_draws_first),
		cmocka_unit_test(a_question_about_a_stranger_is_not_answered),
	};

	return cmocka_run_group_tests(tests, fixture_open, fixture_close);
}
