/*
 * A layer on tiles, forward and backward: for the builds of kernels_vector.c, which include it once
 * each. The functions are those of struct kernels (kernels.h).
 */
#ifndef SAGE_ANALYZER_KERNELS_LAYER_H
#define SAGE_ANALYZER_KERNELS_LAYER_H

#include "analyzer/kernels_lanes.h"

#define UNITS (12 / PARTS) /* rows of a block: twelve sums hide the latency of the additions */

/* Rows so that none of the blocks that `left` is cut into is much smaller than the others. */
INLINE size_t even_share(size_t left, size_t most)
{
	size_t blocks = (left + most - 1) / most;

	return (left + blocks - 1) / blocks;
}

/* ---- products with a tile ----------------------------------------------------------- */

/*
 * out [rows][T] = w x [tiles][steps][T] + b: the weight of row u at step s of tile t is
 * w[u * by_row + s * by_step + t * by_tile]. Afterwards not below zero, or zero where the gate is.
 * With `columns`, only so many of a row are wanted, and they are added to out [rows][.. by_out].
 */
struct product {
	float *out;
	const float *x, *w, *b, *gate;
	size_t by_row, by_step, steps, by_tile, tiles;
	size_t by_out, columns;
	bool rectify;
};

/* v where the other is above zero, else zero */
INLINE vector gated(vector v, vector gate)
{
	return (vector)((mask)v & (gate > 0));
}

INLINE void add(float *to, vector sum, size_t count)
{
	if (count >= LANES)
		store(to, load(to) + sum);
	else
		for (size_t i = 0; i < count; i++)
			to[i] += sum[i];
}

INLINE void finish(const struct product *p, size_t row, size_t at, vector sum)
{
	if (p->columns) {
		if (at < p->columns)
			add(p->out + row * p->by_out + at, sum, p->columns - at);
		return;
	}
	if (p->rectify)
		sum = gated(sum, sum);
	if (p->gate)
		sum = gated(sum, load(p->gate + row * TILE + at));
	store(p->out + row * TILE + at, sum);
}

INLINE void product_block(const struct product *p, size_t row, const size_t rows)
{
	const float *x = p->x;
	vector sum[UNITS][PARTS];

	EACH (u, rows)
		EACH (part, PARTS)
			sum[u][part] = (vector){0} + (p->b ? p->b[row + u] : 0);
	for (size_t t = 0; t < p->tiles; t++) {
		const float *w = p->w + row * p->by_row + t * p->by_tile;

		for (size_t s = 0; s < p->steps; s++, w += p->by_step, x += TILE) {
			EACH (u, rows)
				EACH (part, PARTS)
					sum[u][part] += w[u * p->by_row] * load(x + part * LANES);
		}
	}
	EACH (u, rows)
		EACH (part, PARTS)
			finish(p, row + u, part * LANES, sum[u][part]);
}

INLINE void product(const struct product *p, size_t rows)
{
	for (size_t row = 0, take; row < rows; row += take) {
		take = even_share(rows - row, UNITS);
		switch (take) { /* the compiler keeps the sums in registers where it knows their
				   number */
		case 1:
			product_block(p, row, 1);
			break;
		case 2:
			product_block(p, row, 2);
			break;
		case 3:
			product_block(p, row, 3);
			break;
#if UNITS > 3
		case 4:
			product_block(p, row, 4);
			break;
		case 5:
			product_block(p, row, 5);
			break;
		case 6:
			product_block(p, row, 6);
			break;
#endif
#if UNITS > 6
		case 7:
			product_block(p, row, 7);
			break;
		case 8:
			product_block(p, row, 8);
			break;
		case 9:
			product_block(p, row, 9);
			break;
		case 10:
			product_block(p, row, 10);
			break;
		case 11:
			product_block(p, row, 11);
			break;
		case 12:
			product_block(p, row, 12);
			break;
#endif
		default:
			__builtin_unreachable();
		}
	}
}

static void forward(float *out, const float *x, const float *w, const float *b, size_t inputs,
	size_t outputs, bool rectify)
{
	struct product p = {.out = out,
		.x = x,
		.w = w,
		.b = b,
		.by_row = inputs,
		.by_step = 1,
		.steps = inputs,
		.tiles = 1};

	if (rectify) {
		p.rectify = true;
		product(&p, outputs);
	} else {
		p.rectify = false;
		product(&p, outputs);
	}
}

static void backward(float *dx, const float *dout, const float *w, size_t width, size_t inputs,
	size_t outputs, const float *gate)
{
	struct product p = {.out = dx,
		.x = dout,
		.w = w,
		.gate = gate,
		.by_row = 1,
		.by_step = width,
		.steps = outputs,
		.tiles = 1};

	product(&p, inputs);
}

/* ---- gradients of weights ------------------------------------------------------------ */

/*
 * Samples are lanes, so the sum over them is one over lanes. Either the inputs are turned over
 * first, to be lanes themselves, or products are summed lane by lane and lanes at the end. The
 * first is faster for as many inputs as there are lanes in a tile, or nearly, and enough outputs to
 * make up for the turning; the second takes the inputs that are left.
 */
#define TURNED_INPUTS 12 /* at least, of the sixteen lanes */
#define TURNED_OUTPUTS 8 /* at least */
#define TURNED_TILES 16  /* at once: 16 KiB */

/* Four rows by four columns, turned over: to [4][T] from four rows. */
INLINE void turn_four(float *to, const float *const row[4])
{
	four a = *(const four *)row[0], b = *(const four *)row[1], c = *(const four *)row[2],
	     d = *(const four *)row[3];
	four ab = __builtin_shufflevector(a, b, 0, 4, 1, 5),
	     cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
	four ab2 = __builtin_shufflevector(a, b, 2, 6, 3, 7),
	     cd2 = __builtin_shufflevector(c, d, 2, 6, 3, 7);

	*(four *)to = __builtin_shufflevector(ab, cd, 0, 1, 4, 5);
	*(four *)(to + TILE) = __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
	*(four *)(to + 2 * TILE) = __builtin_shufflevector(ab2, cd2, 0, 1, 4, 5);
	*(four *)(to + 3 * TILE) = __builtin_shufflevector(ab2, cd2, 2, 3, 6, 7);
}

/* to [T lanes][T inputs] of x [count][T]; where there are fewer than T, the last one again. */
INLINE void turn(float *to, const float *x, size_t count)
{
	EACH (i, TILE / 4) {
		const float *row[4];

		EACH (k, 4)
			row[k] = x + (4 * i + k < count ? 4 * i + k : count - 1) * TILE;
		EACH (lane, TILE / 4) {
			const float *from[4] = {row[0] + 4 * lane, row[1] + 4 * lane,
				row[2] + 4 * lane, row[3] + 4 * lane};

			turn_four(to + 4 * lane * TILE + 4 * i, from);
		}
	}
}

INLINE void gradient_turned(float *dw, size_t by_row, struct kernels_tiles dout,
	struct kernels_tiles x, size_t tiles, size_t inputs, size_t outputs)
{
	float turned[TURNED_TILES * TILE * TILE] __attribute__((aligned(64)));
	struct product p = {.out = dw,
		.x = turned,
		.by_row = TILE,
		.by_step = 1,
		.steps = TILE,
		.by_tile = dout.stride,
		.by_out = by_row,
		.columns = inputs};

	for (size_t first = 0; first < tiles; first += p.tiles) {
		p.tiles = tiles - first < TURNED_TILES ? tiles - first : TURNED_TILES;
		p.w = dout.first + first * dout.stride;
		for (size_t t = 0; t < p.tiles; t++)
			turn(turned + t * TILE * TILE, x.first + (first + t) * x.stride, inputs);
		product(&p, outputs);
	}
}

/* Blocks of the other way: outputs by inputs. More sums where there are more registers. */
#define GRADIENT_OUTPUTS (LANES == 16 ? 6 : 3)
#define GRADIENT_INPUTS 4

/* Each lane of the result is the sum of one of the four. */
INLINE four sum_lanes(vector a, vector b, vector c, vector d)
{
	four sum[4];
	four ab, cd;

#if LANES == 4
	sum[0] = a, sum[1] = b, sum[2] = c, sum[3] = d;
#else
	const vector from[4] = {a, b, c, d};

	EACH (i, 4) {
#if LANES == 16
		typedef float eight __attribute__((vector_size(32)));
		eight half =
			__builtin_shufflevector(from[i], from[i], 0, 1, 2, 3, 4, 5, 6, 7) +
			__builtin_shufflevector(from[i], from[i], 8, 9, 10, 11, 12, 13, 14, 15);
		sum[i] = __builtin_shufflevector(half, half, 0, 1, 2, 3) +
			 __builtin_shufflevector(half, half, 4, 5, 6, 7);
#else
		sum[i] = __builtin_shufflevector(from[i], from[i], 0, 1, 2, 3) +
			 __builtin_shufflevector(from[i], from[i], 4, 5, 6, 7);
#endif
	}
#endif
	ab = __builtin_shufflevector(sum[0], sum[1], 0, 4, 1, 5) +
	     __builtin_shufflevector(sum[0], sum[1], 2, 6, 3, 7);
	cd = __builtin_shufflevector(sum[2], sum[3], 0, 4, 1, 5) +
	     __builtin_shufflevector(sum[2], sum[3], 2, 6, 3, 7);
	return __builtin_shufflevector(ab, cd, 0, 1, 4, 5) +
	       __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
}

INLINE void gradient_block(float *dw, size_t by_row, struct kernels_tiles dout,
	struct kernels_tiles x, size_t tiles, const size_t outs, const size_t ins)
{
	vector sum[GRADIENT_OUTPUTS][GRADIENT_INPUTS] = {0};

	for (size_t t = 0; t < tiles; t++, dout.first += dout.stride, x.first += x.stride) {
		EACH (part, PARTS) {
			vector d[GRADIENT_OUTPUTS];

			EACH (o, outs)
				d[o] = load(dout.first + o * TILE + part * LANES);
			EACH (i, ins) {
				vector v = load(x.first + i * TILE + part * LANES);

				EACH (o, outs)
					sum[o][i] += d[o] * v;
			}
		}
	}
	EACH (o, outs) {
		four all = sum_lanes(sum[o][0], sum[o][1], sum[o][2], sum[o][3]);

		EACH (i, ins)
			dw[o * by_row + i] += all[i];
	}
}

INLINE void gradient_rows(float *dw, size_t by_row, struct kernels_tiles dout,
	struct kernels_tiles x, size_t tiles, size_t inputs, const size_t outs)
{
	size_t whole = inputs / GRADIENT_INPUTS * GRADIENT_INPUTS;

	for (size_t i = 0; i < whole; i += GRADIENT_INPUTS, x.first += GRADIENT_INPUTS * TILE)
		gradient_block(dw + i, by_row, dout, x, tiles, outs, GRADIENT_INPUTS);
	switch (inputs - whole) {
	case 1:
		gradient_block(dw + whole, by_row, dout, x, tiles, outs, 1);
		break;
	case 2:
		gradient_block(dw + whole, by_row, dout, x, tiles, outs, 2);
		break;
	case 3:
		gradient_block(dw + whole, by_row, dout, x, tiles, outs, 3);
		break;
	default:
		break;
	}
}

INLINE void gradient_summed(float *dw, size_t by_row, struct kernels_tiles dout,
	struct kernels_tiles x, size_t tiles, size_t inputs, size_t outputs)
{
	for (size_t o = 0, take; o < outputs;
		o += take, dout.first += take * TILE, dw += take * by_row) {
		take = even_share(outputs - o, GRADIENT_OUTPUTS);
		switch (take) {
		case 1:
			gradient_rows(dw, by_row, dout, x, tiles, inputs, 1);
			break;
		case 2:
			gradient_rows(dw, by_row, dout, x, tiles, inputs, 2);
			break;
		case 3:
			gradient_rows(dw, by_row, dout, x, tiles, inputs, 3);
			break;
#if LANES == 16
		case 4:
			gradient_rows(dw, by_row, dout, x, tiles, inputs, 4);
			break;
		case 5:
			gradient_rows(dw, by_row, dout, x, tiles, inputs, 5);
			break;
		case 6:
			gradient_rows(dw, by_row, dout, x, tiles, inputs, 6);
			break;
#endif
		default:
			__builtin_unreachable();
		}
	}
}

static void gradient_bias(float *db, struct kernels_tiles dout, size_t tiles, size_t outputs)
{
	for (size_t o = 0; o < outputs; o++) {
		const float *d = dout.first + o * TILE;
		vector sum = {0};

		for (size_t t = 0; t < tiles; t++, d += dout.stride) {
			EACH (part, PARTS)
				sum += load(d + part * LANES);
		}
		for (size_t i = 0; i < LANES; i++)
			db[o] += sum[i];
	}
}

static void gradient(float *dw, float *db, struct kernels_tiles dout, struct kernels_tiles x,
	size_t tiles, size_t inputs, size_t outputs)
{
	size_t i = 0, take;

	gradient_bias(db, dout, tiles, outputs);
	for (; outputs >= TURNED_OUTPUTS && inputs - i >= TURNED_INPUTS;
		i += take, x.first += take * TILE) {
		take = inputs - i < TILE ? inputs - i : TILE;
		gradient_turned(dw + i, inputs, dout, x, tiles, take, outputs);
	}
	if (i < inputs)
		gradient_summed(dw + i, inputs, dout, x, tiles, inputs - i, outputs);
}

#endif
