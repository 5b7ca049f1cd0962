#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "analyzer/gvae_part.h"
#include "system.h"

#define ROWS 4
#define STEP 2e-3F

static const struct gvae_loss loss = {.alpha = 0.9F, .beta = 1, .gamma = 0.5F};

struct fixture {
	struct recording r;
	struct gvae g;
	struct gvae_work *work;
	float *weights, *noise, *data, *measured;
	const float *z[ROWS], *mask[ROWS];
};

static float *normals(struct random *random, size_t count)
{
	float *out = malloc((count + 2) * sizeof(*out));

	assert_non_null(out);
	random_normals(random, out, count);
	return out;
}

/*
 * A chain of two with random z-scores; the last column of the second row was not measured. One
 * layer is wide enough for a gradient with inputs as lanes.
 */
static void fixture_open(struct fixture *f)
{
	struct random random;
	uint32_t columns;

	system_record(&f->r, &(struct system){.services = 2, .windows = 16, .seed = 3});
	assert_int_equal(gvae_open(&f->g, &f->r, f->r.slo, NULL, 8, 2), 0);
	assert_true(f->g.encoder[1].shape.inputs > KERNELS_TILE);
	columns = f->g.xs + f->g.ys;
	f->work = gvae_work_new(&f->g);
	random_init(&random, 4, 0);
	f->weights = normals(&random, f->g.parameters);
	f->noise = normals(&random, 2 * (size_t)KERNELS_TILE * f->g.entities);
	f->data = normals(&random, (size_t)ROWS * columns);
	f->measured = normals(&random, (size_t)ROWS * f->g.ys);
	for (size_t i = 0; i < f->g.parameters; i++)
		f->weights[i] *= 0.28F;
	for (size_t i = 0; i < ROWS * (size_t)f->g.ys; i++)
		f->measured[i] = 1;
	f->measured[2 * f->g.ys - 1] = 0;
	for (size_t r = 0; r < ROWS; r++) {
		f->z[r] = f->data + r * columns;
		f->mask[r] = f->measured + r * f->g.ys;
	}
}

static void fixture_close(struct fixture *f)
{
	gvae_work_free(f->work);
	gvae_close(&f->g);
	recording_clear(&f->r);
	free(f->weights);
	free(f->noise);
	free(f->data);
	free(f->measured);
}

/* The same rows for a part of the network. */
static void fixture_cut(struct fixture *part, const struct fixture *whole, struct gvae_part *p)
{
	uint32_t columns = p->g.xs + p->g.ys;

	*part = (struct fixture){.g = p->g,
		.work = gvae_work_new(&p->g),
		.weights = calloc(p->g.parameters, sizeof(float)),
		.noise = whole->noise,
		.data = calloc((size_t)ROWS * columns, sizeof(float)),
		.measured = calloc((size_t)ROWS * p->g.ys, sizeof(float))};
	gvae_part_take(p, &whole->g, part->weights, whole->weights);
	for (size_t r = 0; r < ROWS; r++) {
		for (uint32_t c = 0; c < columns; c++)
			part->data[r * columns + c] = whole->z[r][p->column[c]];
		for (uint32_t y = 0; y < p->g.ys; y++)
			part->measured[r * p->g.ys + y] =
				whole->mask[r][p->column[p->g.xs + y] - whole->g.xs];
		part->z[r] = part->data + r * columns;
		part->mask[r] = part->measured + r * p->g.ys;
	}
}

static void fixture_cut_close(struct fixture *part)
{
	gvae_work_free(part->work);
	free(part->weights);
	free(part->data);
	free(part->measured);
}

static double evaluate(struct fixture *f, float *grad)
{
	return gvae_gradient(
		&f->g, f->work, &loss, f->weights, f->z, f->mask, f->noise, ROWS, grad);
}

/* Rectifiers have kinks, where a difference over a step means little: a few may be off. */
static void assert_slope(struct fixture *f, const float *grad, const struct gvae_net *net)
{
	float *spare = calloc(f->g.parameters, sizeof(*spare));
	size_t end = net->weight + mlp_parameters(&net->shape), off = 0;
	double both = 0, ours = 0, theirs = 0;

	for (size_t i = net->weight; i < end; i++) {
		float was = f->weights[i];
		double up, down, slope;

		f->weights[i] = was + STEP;
		up = evaluate(f, spare);
		f->weights[i] = was - STEP;
		down = evaluate(f, spare);
		f->weights[i] = was;
		slope = (up - down) / (2 * (double)STEP);
		both += slope * (double)grad[i];
		ours += (double)grad[i] * (double)grad[i];
		theirs += slope * slope;
		off += fabs(slope - (double)grad[i]) > 0.02 + 0.02 * fabs(slope);
	}
	assert_true(both / sqrt(ours * theirs) > 0.999);
	assert_true(off * 20 < end - net->weight);
	free(spare);
}

/* Rectifiers have kinks, where a difference over a step means little: a few may be off. */
static void the_gradient_of_the_whole_loss_is_its_slope(void **state)
{
	struct fixture f;
	float *grad, *spare;
	double both = 0, ours = 0, theirs = 0;
	size_t off = 0;

	(void)state;
	fixture_open(&f);
	grad = calloc(f.g.parameters, sizeof(*grad));
	spare = calloc(f.g.parameters, sizeof(*spare));
	assert_true(evaluate(&f, grad) > 0);
	for (size_t i = 0; i < f.g.parameters; i++) {
		float was = f.weights[i];
		double up, down, slope;

		f.weights[i] = was + STEP;
		up = evaluate(&f, spare);
		f.weights[i] = was - STEP;
		down = evaluate(&f, spare);
		f.weights[i] = was;
		slope = (up - down) / (2 * (double)STEP);
		both += slope * (double)grad[i];
		ours += (double)grad[i] * (double)grad[i];
		theirs += slope * slope;
		off += fabs(slope - (double)grad[i]) > 0.02 + 0.02 * fabs(slope);
	}
	assert_true(both / sqrt(ours * theirs) > 0.9999);
	assert_true(off * 50 < f.g.parameters);
	free(grad);
	free(spare);
	fixture_close(&f);
}

static void a_part_that_is_all_is_the_whole(void **state)
{
	struct fixture f, all;
	struct gvae_part p;
	float *grad, *same;
	bool *learn;

	(void)state;
	fixture_open(&f);
	learn = malloc(gvae_nets(&f.g));
	memset(learn, true, gvae_nets(&f.g));
	assert_int_equal(gvae_part_open(&p, &f.g, learn), 0);
	fixture_cut(&all, &f, &p);
	assert_int_equal(p.g.parameters, f.g.parameters);
	grad = calloc(f.g.parameters, sizeof(*grad));
	same = calloc(f.g.parameters, sizeof(*same));
	assert_true(evaluate(&f, grad) == evaluate(&all, same));
	assert_memory_equal(grad, same, f.g.parameters * sizeof(*grad));
	fixture_cut_close(&all);
	gvae_part_close(&p);
	free(learn);
	free(grad);
	free(same);
	fixture_close(&f);
}

static bool any(const float *value, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (value[i] != 0)
			return true;
	return false;
}

/* The last node and one of the latents it reads; its other parents are given or fixed. */
static void a_part_learns_what_is_its_own(void **state)
{
	struct fixture f, part;
	struct gvae_part p;
	const struct gvae_net *last;
	uint32_t z = GVAE_NONE;
	float *grad;
	bool *learn;

	(void)state;
	fixture_open(&f);
	last = &f.g.decoder[f.g.nodes - 1];
	for (uint32_t i = 0; i < last->shape.inputs; i++) {
		uint32_t source = f.g.source[last->first_source + i];

		if (source >= f.g.xs + f.g.ys)
			z = source - f.g.xs - f.g.ys;
	}
	learn = calloc(gvae_nets(&f.g), sizeof(*learn));
	learn[z] = learn[f.g.entities + z] = learn[gvae_nets(&f.g) - 1] = true;
	learn[gvae_nets(&f.g) - 2] = true;
	assert_int_equal(gvae_part_open(&p, &f.g, learn), 0);
	assert_int_equal(p.g.nodes, 2);
	fixture_cut(&part, &f, &p);
	grad = calloc(p.g.parameters, sizeof(*grad));
	assert_true(evaluate(&part, grad) > 0);
	for (uint32_t i = 0; i < gvae_nets(&p.g); i++) {
		const struct gvae_net *net = gvae_net(&p.g, i);

		if (net->fixed)
			assert_false(any(grad + net->weight, mlp_parameters(&net->shape)));
		else
			assert_slope(&part, grad, net);
		assert_true(net->fixed == !learn[p.net[i]]);
	}
	fixture_cut_close(&part);
	gvae_part_close(&p);
	free(learn);
	free(grad);
	fixture_close(&f);
}

static void what_was_not_measured_does_not_count(void **state)
{
	struct fixture f;
	float *grad, *spare;
	double before;
	uint32_t last;

	(void)state;
	fixture_open(&f);
	grad = calloc(f.g.parameters, sizeof(*grad));
	spare = calloc(f.g.parameters, sizeof(*spare));
	last = f.g.xs + f.g.ys - 1; /* no decoder reads the target, which comes last */
	assert_int_equal(last, f.g.xs + f.g.decoder[f.g.nodes - 1].output + 1);
	memset(f.measured, 0, (size_t)ROWS * f.g.ys * sizeof(float));
	before = evaluate(&f, grad);
	for (size_t i = 0; i < f.g.parameters; i++)
		if (i >= f.g.decoder[0].weight)
			assert_true(grad[i] == 0); /* nothing to decode towards: KL alone is left */
	assert_true(before > 0);
	free(grad);
	free(spare);
	fixture_close(&f);
}

/* Every Y that feeds a node is put out by one before it. */
static void assert_topological(const struct gvae *g)
{
	bool *known = calloc(gvae_state(g), sizeof(*known));

	for (uint32_t n = 0; n < g->nodes; n++) {
		const struct gvae_net *d = &g->decoder[n];

		for (uint32_t i = 0; i < d->shape.inputs; i++) {
			uint32_t s = g->source[d->first_source + i];

			assert_true(s < g->xs || s >= g->xs + g->ys || known[s]);
		}
		for (uint32_t i = 0; i < d->shape.outputs; i++)
			known[g->xs + d->output + i] = true;
	}
	free(known);
}

static void put(struct recording *r, const char *entity, const char *metric, bool constant)
{
	uint32_t column = series_column(&r->series, graph_entity(&r->graph, entity), metric);

	for (size_t i = 0; i < 12; i++) {
		long row = series_row(&r->series, 1000 + 5 * (double)i);

		series_set(&r->series, (size_t)row, column, constant ? 7 : (float)(i % 5 + 1));
	}
}

static void a_call_cycle_is_cut_and_not_refused(void **state)
{
	struct recording r;
	struct gvae g;
	struct slo slo = {.metric = "client_p99_us", .target = 10};

	(void)state;
	recording_init(&r);
	put(&r, "user->a", "client_p99_us", false);
	put(&r, "a->b", "client_p99_us", false);
	put(&r, "b->a", "client_p99_us", false);
	put(&r, "a->a", "client_p99_us", false);
	put(&r, "a", "server_p99_us", false);
	put(&r, "b", "server_p99_us", false);
	slo.entity = graph_find(&r.graph, "user->a");
	assert_int_equal(gvae_open(&g, &r, &slo, NULL, 10, 5), 0);
	assert_int_equal(g.nodes, 6);
	assert_topological(&g);
	gvae_close(&g);
	recording_clear(&r);
}

static void one_latency_a_service_is_enough(void **state)
{
	struct recording r;
	struct gvae g;
	struct slo slo = {.metric = "server_mean_us", .target = 3};

	(void)state;
	recording_init(&r);
	put(&r, "a", "server_mean_us", false);
	put(&r, "b", "server_mean_us", false);
	put(&r, "b", "cpu_util_ratio", false);
	graph_edge(&r.graph, "a", "b");
	slo.entity = graph_find(&r.graph, "a");
	assert_int_equal(gvae_open(&g, &r, &slo, NULL, 10, 5), 0);
	assert_int_equal(g.nodes, 2);
	assert_int_equal(g.ys, 2);
	assert_int_equal(g.decoder[1].shape.inputs, 2); /* latent of a; latency of b */
	assert_topological(&g);
	gvae_close(&g);
	recording_clear(&r);
}

static void constant_columns_are_dropped(void **state)
{
	struct recording r;
	struct gvae g;
	struct slo slo = {.metric = "server_p99_us", .target = 3};

	(void)state;
	recording_init(&r);
	put(&r, "a", "server_p99_us", false);
	put(&r, "a", "cpu_limit_cores", true);
	put(&r, "a", "cpu_util_ratio", false);
	slo.entity = graph_find(&r.graph, "a");
	assert_int_equal(gvae_open(&g, &r, &slo, NULL, 10, 5), 0);
	assert_int_equal(g.xs, 1);
	gvae_close(&g);
	recording_clear(&r);
}

static void opaque_metrics_are_x_where_there_are_no_others(void **state)
{
	struct recording r;
	struct slo slo = {.metric = "server_p99_us", .target = 100};
	struct gvae g;

	(void)state;
	recording_init(&r);
	put(&r, "user->a", "server_p99_us", false);
	put(&r, "a", "server_p99_us", false);
	put(&r, "a", "queue_depth", false);
	slo.entity = graph_find(&r.graph, "user->a");
	assert_int_equal(gvae_open(&g, &r, &slo, NULL, 10, 5), 0);
	assert_int_equal(g.xs, 1);
	assert_string_equal(g.column[0].metric, "queue_depth");
	gvae_close(&g);
	put(&r, "a", "cpu_util_ratio", false);
	assert_int_equal(gvae_open(&g, &r, &slo, NULL, 10, 5), 0);
	assert_int_equal(g.xs, 1);
	assert_string_equal(g.column[0].metric, "cpu_util_ratio");
	gvae_close(&g);
	recording_clear(&r);
}

static void a_target_without_data_is_refused(void **state)
{
	struct recording r;
	struct gvae g;
	struct slo slo = {.metric = "server_p50_us", .target = 3};

	(void)state;
	recording_init(&r);
	put(&r, "a", "server_p99_us", false);
	slo.entity = graph_find(&r.graph, "a");
	assert_int_equal(gvae_open(&g, &r, &slo, NULL, 10, 5), -ENODATA);
	recording_clear(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_gradient_of_the_whole_loss_is_its_slope),
		cmocka_unit_test(a_part_that_is_all_is_the_whole),
		cmocka_unit_test(a_part_learns_what_is_its_own),
		cmocka_unit_test(what_was_not_measured_does_not_count),
		cmocka_unit_test(a_call_cycle_is_cut_and_not_refused),
		cmocka_unit_test(one_latency_a_service_is_enough),
		cmocka_unit_test(constant_columns_are_dropped),
		cmocka_unit_test(opaque_metrics_are_x_where_there_are_no_others),
		cmocka_unit_test(a_target_without_data_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
