#include "tests/bench/layers.h"

#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/kernels.h"
#include "common/clock.h"
#include "tests/bench/peak.h"

#define TILE KERNELS_TILE
#define ROUNDS 15
#define ROUND_FLOPS 2e6 /* of each way, so that the clock's own time does not count */

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

struct shape {
	unsigned inputs, outputs, windows;
	const char *where;
};

static const struct shape shapes[] = {
	{10, 10, 16, "hidden, of encoders"},
	{10, 10, 64, "hidden, of decoders"},
	{15, 10, 16, "first, of encoders"},
	{600, 10, 16, "first, of an encoder with 75 callees"},
	{8191, 10, 16, "the same with 1,023"},
	{2052, 10, 64, "first, of its decoder"},
	{32, 32, 256, "hidden, of the training below"},
	{300, 32, 32, ""},
	{300, 32, 256, ""},
	{1000, 32, 32, ""},
	{1000, 32, 256, ""},
	{64, 64, 32, ""},
	{64, 64, 256, ""},
	{128, 128, 32, ""},
	{128, 128, 256, ""},
};

/*
 * Legend: I inputs, O outputs, W windows. For sgemm x is [I][W] and y [O][W], for the kernels tiles
 * that are an odd number of cache lines apart, as mlp.c has them.
 */
struct layer {
	int inputs, outputs, windows;
	float *x, *y, *dx, *w, *dw, *b; /* w and dw [O][I], dx as x, b [O] */
	float *block;                   /* owns the floats */
};

static size_t stride(int units)
{
	return ((size_t)units | 1) * TILE;
}

static void kernel_forward(struct layer *l)
{
	size_t in = (size_t)l->inputs, out = (size_t)l->outputs;

	for (size_t t = 0; t < (size_t)l->windows / TILE; t++)
		kernels_best()->forward(l->y + t * stride(l->outputs), l->x + t * stride(l->inputs),
			l->w, l->b, in, out, true);
}

static void blas_forward(struct layer *l)
{
	cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, l->outputs, l->windows, l->inputs, 1,
		l->w, l->inputs, l->x, l->windows, 0, l->y, l->windows);
}

static void kernel_backward(struct layer *l)
{
	size_t in = (size_t)l->inputs, out = (size_t)l->outputs;

	for (size_t t = 0; t < (size_t)l->windows / TILE; t++)
		kernels_best()->backward(l->dx + t * stride(l->inputs),
			l->y + t * stride(l->outputs), l->w, in, in, out,
			l->x + t * stride(l->inputs));
}

static void blas_backward(struct layer *l)
{
	cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, l->inputs, l->windows, l->outputs, 1,
		l->w, l->inputs, l->y, l->windows, 0, l->dx, l->windows);
}

static void kernel_gradient(struct layer *l)
{
	struct kernels_tiles y = {l->y, stride(l->outputs)}, x = {l->x, stride(l->inputs)};

	kernels_best()->gradient(l->dw, l->b, y, x, (size_t)l->windows / TILE, (size_t)l->inputs,
		(size_t)l->outputs);
}

static void blas_gradient(struct layer *l)
{
	cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, l->outputs, l->inputs, l->windows, 1,
		l->y, l->windows, l->x, l->windows, 1, l->dw, l->inputs);
}

static void (*const ways[])(struct layer *l) = {kernel_forward, blas_forward, kernel_backward,
	blas_backward, kernel_gradient, blas_gradient};
static const char *const way_name[] = {
	"forward", "forward_sgemm", "backward", "backward_sgemm", "gradient", "gradient_sgemm"};

#define WAYS COUNT(ways)

static float *take(float **from, size_t count)
{
	float *piece = *from;

	*from += (count + TILE - 1) / TILE * TILE;
	return piece;
}

static int open_layer(struct layer *l, const struct shape *s)
{
	size_t in = s->inputs, out = s->outputs, tiles = s->windows / TILE;
	size_t x = tiles * stride((int)in), y = tiles * stride((int)out);
	size_t floats = 2 * x + y + 2 * in * out + out + 6 * TILE;
	float *at;

	*l = (struct layer){.inputs = (int)in, .outputs = (int)out, .windows = (int)s->windows};
	floats = (floats + TILE - 1) / TILE * TILE;
	l->block = at = aligned_alloc(64, floats * sizeof(float));
	if (!at)
		return -1;
	for (size_t i = 0; i < floats; i++)
		at[i] = (float)(i % 17) / 17 - 0.4F;
	l->x = take(&at, x);
	l->y = take(&at, y);
	l->dx = take(&at, x);
	l->w = take(&at, in * out);
	l->dw = take(&at, in * out);
	l->b = take(&at, out);
	return 0;
}

static double time_s(void (*way)(struct layer *l), struct layer *l, size_t times)
{
	uint64_t start_ns = clock_monotonic_ns();

	for (size_t i = 0; i < times; i++)
		way(l);
	return (double)(clock_monotonic_ns() - start_ns) / 1e9;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Medians of rounds in which each way has its turn. */
static int measure(double gflops[WAYS], const struct shape *s)
{
	double flops = 2.0 * s->inputs * s->outputs * s->windows, seconds[WAYS][ROUNDS];
	size_t times = 1 + (size_t)(ROUND_FLOPS / flops);
	struct layer l;

	if (open_layer(&l, s))
		return -1;
	for (size_t round = 0; round < ROUNDS; round++)
		for (size_t i = 0; i < WAYS; i++) {
			kernel_forward(&l); /* outputs of a size that is the same for all */
			seconds[i][round] = time_s(ways[i], &l, times);
		}
	for (size_t i = 0; i < WAYS; i++) {
		qsort(seconds[i], ROUNDS, sizeof(double), ascending);
		gflops[i] = flops * (double)times / 1e9 / seconds[i][ROUNDS / 2];
	}
	free(l.block);
	return 0;
}

static json_t *row_json(const struct shape *s, const double gflops[WAYS])
{
	json_t *row = json_pack("{s:i, s:i, s:i}", "inputs", (int)s->inputs, "outputs",
		(int)s->outputs, "windows", (int)s->windows);

	for (size_t i = 0; i < WAYS; i++)
		json_object_set_new(row, way_name[i], json_real(gflops[i]));
	return row;
}

json_t *layers_run(void)
{
	json_t *rows = json_array();
	double gflops[WAYS];

	openblas_set_num_threads(1);
	printf("layers: GFLOP/s of one thread, kernels (%s) beside sgemm (%s); medians of %d "
	       "rounds\n%-22s %18s %18s %18s\n",
		kernels_best()->name, peak_kernels(), ROUNDS, "inputs, units, windows", "forward",
		"backward", "gradient");
	for (size_t i = 0; i < COUNT(shapes); i++) {
		const struct shape *s = &shapes[i];

		if (measure(gflops, s)) {
			json_decref(rows);
			return NULL;
		}
		printf("%6u x %3u, %3u windows", s->inputs, s->outputs, s->windows);
		for (size_t way = 0; way < WAYS; way += 2)
			printf(" %9.0f, %7.0f", gflops[way], gflops[way + 1]);
		printf("   %s\n", s->where);
		json_array_append_new(rows, row_json(s, gflops));
	}
	fflush(stdout);
	return rows;
}
