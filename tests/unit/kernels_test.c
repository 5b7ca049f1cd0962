#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "analyzer/kernels.h"

#define TILE KERNELS_TILE
#define MOST_UNITS 37
#define TILES 3
#define MANY_TILES 18 /* more than inputs are turned over of at once */
#define WEIGHTS (MOST_UNITS * MOST_UNITS)

/* Sizes around those of blocks, of every width of vectors. */
static const size_t sizes[] = {1, 2, 3, 4, 5, 7, 8, 12, 13, 25, MOST_UNITS};
#define SIZES (sizeof(sizes) / sizeof(*sizes))

/* Numbers of a size for all that a layer needs. */
struct layer {
	float w[WEIGHTS], b[MOST_UNITS], dw[WEIGHTS], db[MOST_UNITS];
	float x[MANY_TILES * MOST_UNITS * TILE], y[MANY_TILES * MOST_UNITS * TILE];
	float out[MOST_UNITS * TILE];
};

static void fill(struct layer *l)
{
	struct random random;

	memset(l, 0, sizeof(*l));
	random_init(&random, 5, 0);
	random_normals(&random, l->w, WEIGHTS);
	random_normals(&random, l->b, MOST_UNITS);
	random_normals(&random, l->x, MANY_TILES * MOST_UNITS * TILE);
	random_normals(&random, l->y, MANY_TILES * MOST_UNITS * TILE);
}

static void assert_near(const struct kernels *k, float is, double should)
{
	if (fabs((double)is - should) <= 2e-5 * (1 + fabs(should)))
		return;
	fail_msg("%s: %.8g instead of %.8g", k->name, (double)is, should);
}

static void check_forward(
	const struct kernels *k, struct layer *l, size_t ins, size_t outs, bool cut)
{
	k->forward(l->out, l->x, l->w, l->b, ins, outs, cut);
	for (size_t o = 0; o < outs; o++)
		for (size_t lane = 0; lane < TILE; lane++) {
			double sum = (double)l->b[o];

			for (size_t i = 0; i < ins; i++)
				sum += (double)l->w[o * ins + i] * (double)l->x[i * TILE + lane];
			assert_near(k, l->out[o * TILE + lane], cut ? fmax(0, sum) : sum);
		}
}

static void check_backward(
	const struct kernels *k, struct layer *l, size_t width, size_t ins, size_t outs, bool gated)
{
	k->backward(l->out, l->y, l->w, width, ins, outs, gated ? l->x : NULL);
	for (size_t i = 0; i < ins; i++)
		for (size_t lane = 0; lane < TILE; lane++) {
			double sum = 0;

			for (size_t o = 0; o < outs; o++)
				sum += (double)l->w[o * width + i] * (double)l->y[o * TILE + lane];
			if (gated && l->x[i * TILE + lane] <= 0)
				sum = 0;
			assert_near(k, l->out[i * TILE + lane], sum);
		}
}

/* What was in the gradient stays in the sum. */
static void check_gradient(
	const struct kernels *k, struct layer *l, size_t tiles, size_t ins, size_t outs)
{
	struct kernels_tiles x = {l->x, MOST_UNITS * TILE}, y = {l->y, MOST_UNITS * TILE};

	for (size_t i = 0; i < WEIGHTS; i++)
		l->dw[i] = 1;
	for (size_t o = 0; o < outs; o++)
		l->db[o] = 2;
	k->gradient(l->dw, l->db, y, x, tiles, ins, outs);
	for (size_t o = 0; o < outs; o++) {
		double bias = 2;

		for (size_t i = 0; i <= ins; i++) {
			double sum = 1;

			for (size_t at = 0; at < tiles * TILE; at++) {
				size_t lane = at % TILE, tile = at / TILE * MOST_UNITS;
				double d = (double)l->y[(tile + o) * TILE + lane];

				sum += i < ins ? d * (double)l->x[(tile + i) * TILE + lane] : 0;
				bias += i < ins ? 0 : d;
			}
			if (i < ins)
				assert_near(k, l->dw[o * ins + i], sum);
		}
		assert_near(k, l->db[o], bias);
	}
	assert_true(l->dw[ins * outs] == 1 || ins * outs == WEIGHTS); /* nothing past the end */
}

extern const struct kernels kernels_wide; /* sixteen lanes in instructions any processor has */

/* Call `check` for every table that this processor can run; which it cannot is said. */
static void for_each_usable(void (*check)(const struct kernels *k))
{
	const struct kernels *k;

	check(&kernels_wide);
	for (size_t i = 0; (k = kernels_built(i)); i++)
		if (k->usable())
			check(k);
		else
			print_message("%s: not on this processor\n", k->name);
}

static void check_layers(const struct kernels *k)
{
	struct layer *l = malloc(sizeof(*l));

	assert_non_null(l);
	fill(l);
	for (size_t i = 0; i < SIZES; i++)
		for (size_t o = 0; o < SIZES; o++) {
			check_forward(k, l, sizes[i], sizes[o], false);
			check_forward(k, l, sizes[i], sizes[o], true);
			check_backward(k, l, sizes[i], sizes[i], sizes[o], false);
			check_backward(k, l, sizes[i], sizes[i] / 2, sizes[o], true);
			if (sizes[i] * sizes[o] < WEIGHTS)
				check_gradient(k, l, TILES, sizes[i], sizes[o]);
		}
	check_gradient(k, l, MANY_TILES, 25, 13);
	free(l);
}

static void layers_are_those_of_plain_loops(void **state)
{
	(void)state;
	for_each_usable(check_layers);
}

static double bounded(float log_variance)
{
	return fmin(fmax((double)log_variance, (double)KERNELS_LOG_VARIANCE_MIN),
		(double)KERNELS_LOG_VARIANCE_MAX);
}

#define LATENTS 2
#define LANES 11 /* of a tile that count */

/* Two Gaussians of two latents, some of their log variances out of bounds. */
struct latents {
	float q[2 * LATENTS * TILE], p[2 * LATENTS * TILE];
	float noise[LATENTS * TILE], z[LATENTS * TILE];
	float dq[2 * LATENTS * TILE], dp[2 * LATENTS * TILE];
};

static void fill_latents(struct latents *l)
{
	struct random random;

	memset(l, 0, sizeof(*l));
	random_init(&random, 6, 0);
	random_normals(&random, l->q, 2 * LATENTS * TILE);
	random_normals(&random, l->p, 2 * LATENTS * TILE);
	random_normals(&random, l->noise, LATENTS * TILE);
	random_normals(&random, l->z, LATENTS * TILE);
	l->q[LATENTS * TILE + 3] = 7;
	l->p[LATENTS * TILE + 4] = -11;
}

static void check_draw(const struct kernels *k)
{
	struct latents l;

	fill_latents(&l);
	k->draw_back(l.dq, l.z, l.q, l.noise, LATENTS);
	for (size_t i = 0; i < LATENTS * TILE; i++) {
		float lv = l.q[LATENTS * TILE + i];
		double slope = (double)lv == bounded(lv) ? 0.5 * exp(0.5 * (double)lv) : 0;

		assert_near(k, l.dq[i], (double)l.z[i]);
		assert_near(
			k, l.dq[LATENTS * TILE + i], slope * (double)l.z[i] * (double)l.noise[i]);
	}
	k->draw(l.z, l.q, l.noise, LATENTS);
	for (size_t i = 0; i < LATENTS * TILE; i++)
		assert_near(k, l.z[i],
			(double)l.q[i] +
				(double)l.noise[i] * exp(0.5 * bounded(l.q[LATENTS * TILE + i])));
}

static double divergence(const struct latents *l, size_t at)
{
	double lq = bounded(l->q[LATENTS * TILE + at]), lp = bounded(l->p[LATENTS * TILE + at]);
	double gap = (double)l->q[at] - (double)l->p[at];

	return 0.5 * (lp - lq + (exp(lq) + gap * gap) / exp(lp) - 1);
}

/* Central difference by one of the numbers. */
static double slope_at(struct latents *l, float *number, size_t at)
{
	const float step = 1e-3F;
	float was = *number;
	double up, down;

	*number = was + step;
	up = divergence(l, at);
	*number = was - step;
	down = divergence(l, at);
	*number = was;
	return (up - down) / (2 * (double)step);
}

static void assert_slope(const struct kernels *k, float is, double should)
{
	if (fabs((double)is - should) > 1e-3 * (1 + fabs(should)))
		fail_msg("%s: slope %.6g instead of %.6g", k->name, (double)is, should);
}

static void check_divergence(const struct kernels *k)
{
	struct latents l;
	double sum = 0, is;

	fill_latents(&l);
	is = k->divergence(l.dq, l.dp, l.q, l.p, LATENTS, LANES, 1);
	for (size_t i = 0; i < LATENTS * TILE; i++) {
		bool counts = i % TILE < LANES;
		float *of[4] = {
			&l.q[i], &l.q[LATENTS * TILE + i], &l.p[i], &l.p[LATENTS * TILE + i]};
		float found[4] = {
			l.dq[i], l.dq[LATENTS * TILE + i], l.dp[i], l.dp[LATENTS * TILE + i]};

		sum += counts ? divergence(&l, i) : 0;
		for (size_t n = 0; n < 4; n++)
			assert_slope(k, found[n], counts ? slope_at(&l, of[n], i) : 0);
	}
	assert_true(fabs(is - sum) < 1e-4 * sum);
}

static void gaussians_are_drawn_and_compared_as_by_the_book(void **state)
{
	(void)state;
	for_each_usable(check_draw);
	for_each_usable(check_divergence);
}

#define NOISES 200001

static void check_noise(const struct kernels *k)
{
	float *value = malloc((NOISES + 1) * sizeof(*value));
	double sum = 0, squares = 0, fourth = 0, neighbours = 0;
	struct random random;

	assert_non_null(value);
	value[NOISES] = 99;
	random_init(&random, 7, 0);
	k->noise(value, NOISES, &random);
	assert_true(value[NOISES] == 99);
	for (size_t i = 0; i < NOISES; i++) {
		double v = (double)value[i];

		assert_true(fabs(v) < 5.8);
		sum += v / NOISES;
		squares += v * v / NOISES;
		fourth += v * v * v * v / NOISES;
		neighbours += i >= TILE ? v * (double)value[i - TILE] / NOISES : 0;
	}
	assert_true(fabs(sum) < 0.01 && fabs(squares - 1) < 0.015);
	assert_true(fabs(fourth - 3) < 0.12 && fabs(neighbours) < 0.01);
	free(value);
}

static void noise_is_normal(void **state)
{
	(void)state;
	for_each_usable(check_noise);
}

#define STEPS 3
#define PARAMETERS 301

static void check_adam(const struct kernels *k)
{
	static float weights[PARAMETERS], first[PARAMETERS], second[PARAMETERS];
	static float part[2][PARAMETERS];
	const float *const gradient[2] = {part[0], part[1]};
	double w[PARAMETERS] = {0}, m[PARAMETERS] = {0}, v[PARAMETERS] = {0};
	struct random random;

	random_init(&random, 8, 0);
	memset(weights, 0, sizeof(weights));
	memset(first, 0, sizeof(first));
	memset(second, 0, sizeof(second));
	for (size_t t = 1; t <= STEPS; t++) {
		struct kernels_adam step = kernels_adam_step(0.01F, t, 4);

		random_normals(&random, part[0], PARAMETERS);
		random_normals(&random, part[1], PARAMETERS);
		k->adam(weights, first, second, gradient, 2, PARAMETERS, &step);
		for (size_t i = 0; i < PARAMETERS; i++) {
			double g = ((double)part[0][i] + (double)part[1][i]) / 4;

			m[i] = 0.9 * m[i] + 0.1 * g;
			v[i] = 0.999 * v[i] + 0.001 * g * g;
			w[i] -= 0.01 * m[i] / (1 - pow(0.9, (double)t)) /
				(sqrt(v[i] / (1 - pow(0.999, (double)t))) + 1e-8);
		}
	}
	for (size_t i = 0; i < PARAMETERS; i++)
		assert_near(k, weights[i], w[i]);
}

static void adam_is_that_of_the_paper(void **state)
{
	(void)state;
	for_each_usable(check_adam);
}

static void the_best_is_one_that_works_here(void **state)
{
	size_t last = 0;

	(void)state;
	assert_true(kernels_best()->usable());
	while (kernels_built(last + 1))
		last++;
	assert_true(kernels_built(last)->usable()); /* every processor has some */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(layers_are_those_of_plain_loops),
		cmocka_unit_test(gaussians_are_drawn_and_compared_as_by_the_book),
		cmocka_unit_test(noise_is_normal),
		cmocka_unit_test(adam_is_that_of_the_paper),
		cmocka_unit_test(the_best_is_one_that_works_here),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
