/*
 * Compiled for several widths of vectors, KERNELS_LANES floats each, into the table KERNELS; see
 * CMakeLists.txt. Vectors are the compiler's own type, so that one text serves all processors.
 */
#include "analyzer/kernels_vector.h"

#include <math.h>
#include <string.h>

#define LANES KERNELS_LANES
#define TILE KERNELS_TILE
#define PARTS (TILE / LANES) /* vectors in a row of a tile */
#define UNITS (12 / PARTS)   /* rows of a block: twelve sums hide the latency of the additions */

/* Blocks of a gradient: outputs by inputs. More sums where there are more registers. */
#define GRADIENT_OUTPUTS (LANES == 16 ? 6 : 3)
#define GRADIENT_INPUTS 4

/* Sums stay in registers only when the loops over them are gone. */
#ifdef __clang__
#define EACH(i, count) _Pragma("clang loop unroll(full)") for (size_t i = 0; i < (count); i++)
#else
#define EACH(i, count) _Pragma("GCC unroll 16") for (size_t i = 0; i < (count); i++)
#endif
#define INLINE static inline __attribute__((always_inline))

typedef float vector __attribute__((vector_size(LANES * 4), aligned(4), may_alias));
typedef int mask __attribute__((vector_size(LANES * 4), aligned(4), may_alias));
typedef float four __attribute__((vector_size(16), aligned(4), may_alias));

INLINE vector load(const float *from)
{
	return *(const vector *)from;
}

INLINE void store(float *to, vector v)
{
	*(vector *)to = v;
}

/* Rows so that none of the blocks that `left` is cut into is much smaller than the others. */
INLINE size_t even_share(size_t left, size_t most)
{
	size_t blocks = (left + most - 1) / most;

	return (left + blocks - 1) / blocks;
}

/* ---- products with a tile ----------------------------------------------------------- */

/*
 * out [rows][T] = w x [steps][T] + b: the weight of row u at step s is w[u * by_row + s * by_step].
 * Afterwards not below zero, or zero where the gate is.
 */
struct product {
	float *out;
	const float *x, *w, *b, *gate;
	size_t by_row, by_step, steps;
	bool rectify;
};

/* v where the other is above zero, else zero */
INLINE vector gated(vector v, vector gate)
{
	return (vector)((mask)v & (gate > 0));
}

INLINE void finish(const struct product *p, size_t at, vector sum)
{
	if (p->rectify)
		sum = gated(sum, sum);
	if (p->gate)
		sum = gated(sum, load(p->gate + at));
	store(p->out + at, sum);
}

INLINE void product_block(const struct product *p, size_t row, const size_t rows)
{
	const float *w = p->w + row * p->by_row, *x = p->x;
	vector sum[UNITS][PARTS];

	EACH (u, rows)
		EACH (part, PARTS)
			sum[u][part] = (vector){0} + (p->b ? p->b[row + u] : 0);
	for (size_t s = 0; s < p->steps; s++, w += p->by_step, x += TILE) {
		EACH (u, rows)
			EACH (part, PARTS)
				sum[u][part] += w[u * p->by_row] * load(x + part * LANES);
	}
	EACH (u, rows)
		EACH (part, PARTS)
			finish(p, (row + u) * TILE + part * LANES, sum[u][part]);
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
		.steps = inputs};

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
		.steps = outputs};

	product(&p, inputs);
}

/* ---- gradients of weights ------------------------------------------------------------ */

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

INLINE void gradient_rows(float *dw, struct kernels_tiles dout, struct kernels_tiles x,
	size_t tiles, size_t inputs, const size_t outs)
{
	size_t whole = inputs / GRADIENT_INPUTS * GRADIENT_INPUTS;

	for (size_t i = 0; i < whole; i += GRADIENT_INPUTS, x.first += GRADIENT_INPUTS * TILE)
		gradient_block(dw + i, inputs, dout, x, tiles, outs, GRADIENT_INPUTS);
	switch (inputs - whole) {
	case 1:
		gradient_block(dw + whole, inputs, dout, x, tiles, outs, 1);
		break;
	case 2:
		gradient_block(dw + whole, inputs, dout, x, tiles, outs, 2);
		break;
	case 3:
		gradient_block(dw + whole, inputs, dout, x, tiles, outs, 3);
		break;
	default:
		break;
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
	gradient_bias(db, dout, tiles, outputs);
	for (size_t o = 0, take; o < outputs;
		o += take, dout.first += take * TILE, dw += take * inputs) {
		take = even_share(outputs - o, GRADIENT_OUTPUTS);
		switch (take) {
		case 1:
			gradient_rows(dw, dout, x, tiles, inputs, 1);
			break;
		case 2:
			gradient_rows(dw, dout, x, tiles, inputs, 2);
			break;
		case 3:
			gradient_rows(dw, dout, x, tiles, inputs, 3);
			break;
#if LANES == 16
		case 4:
			gradient_rows(dw, dout, x, tiles, inputs, 4);
			break;
		case 5:
			gradient_rows(dw, dout, x, tiles, inputs, 5);
			break;
		case 6:
			gradient_rows(dw, dout, x, tiles, inputs, 6);
			break;
#endif
		default:
			__builtin_unreachable();
		}
	}
}

/* ---- elementary functions, for the compiler to vectorise ------------------------------- */

INLINE float from_bits(unsigned bits)
{
	float value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

INLINE unsigned to_bits(float value)
{
	unsigned bits;

	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

/* e^x for |x| < 80 within 2 units in the last place: 2^n by the exponent's bits, the rest by
 * Taylor. */
INLINE float exponential(float x)
{
	const float round = 0x1.8p23F;
	float shifted = x * 1.44269504F + round, n = shifted - round;
	float r = x - n * 0.693359375F + n * 2.12194440e-4F, p = 1.0F / 5040;

	p = p * r + 1.0F / 720;
	p = p * r + 1.0F / 120;
	p = p * r + 1.0F / 24;
	p = p * r + 1.0F / 6;
	p = p * r + 0.5F;
	p = p * r + 1;
	p = p * r + 1;
	return p * from_bits((to_bits(shifted) + 127U) << 23);
}

/* ln x for x in (0, 1], normal: the mantissa m in [2/3, 4/3), then 2 artanh((m - 1) / (m + 1)). */
INLINE float logarithm(float x)
{
	unsigned bits = to_bits(x), offset = bits - 0x3f2aaaabU;
	int exponent = (int)offset >> 23;
	float m = from_bits(bits - ((unsigned)exponent << 23));
	float s = (m - 1) / (m + 1), s2 = s * s, p = 2.0F / 9;

	p = p * s2 + 2.0F / 7;
	p = p * s2 + 2.0F / 5;
	p = p * s2 + 2.0F / 3;
	p = p * s2 + 2;
	return p * s + (float)exponent * 0.693147181F;
}

/* Sine and cosine of a turn t in [-1/2, 1/2), by those of half the angle. */
INLINE void circle(float t, float *sine, float *cosine)
{
	float h = 3.14159265F * t, h2 = h * h, s = -1.0F / 39916800, c = 1.0F / 479001600;

	s = s * h2 + 1.0F / 362880;
	s = s * h2 - 1.0F / 5040;
	s = s * h2 + 1.0F / 120;
	s = s * h2 - 1.0F / 6;
	s = s * h2 * h + h;
	c = c * h2 - 1.0F / 3628800;
	c = c * h2 + 1.0F / 40320;
	c = c * h2 - 1.0F / 720;
	c = c * h2 + 1.0F / 24;
	c = c * h2 - 0.5F;
	c = c * h2 + 1;
	*sine = 2 * s * c;
	*cosine = 1 - 2 * s * s;
}

/* ---- latents --------------------------------------------------------------------------- */

INLINE float bounded(float log_variance)
{
	float low =
		log_variance > KERNELS_LOG_VARIANCE_MIN ? log_variance : KERNELS_LOG_VARIANCE_MIN;

	return low < KERNELS_LOG_VARIANCE_MAX ? low : KERNELS_LOG_VARIANCE_MAX;
}

/* 1 where the log variance is within its bounds: the slope of bounded(). */
INLINE float slope(float log_variance)
{
	return log_variance == bounded(log_variance) ? 1.0F : 0.0F;
}

static void draw(
	float *restrict z, const float *restrict q, const float *restrict noise, size_t latents)
{
	const float *lv = q + latents * TILE;

	for (size_t i = 0; i < latents * TILE; i++)
		z[i] = q[i] + noise[i] * exponential(0.5F * bounded(lv[i]));
}

static void draw_back(float *restrict dq, const float *restrict dz, const float *restrict q,
	const float *restrict noise, size_t latents)
{
	size_t half = latents * TILE;

	for (size_t i = 0; i < half; i++) {
		float lv = q[half + i];

		dq[i] += dz[i];
		dq[half + i] +=
			slope(lv) * dz[i] * noise[i] * 0.5F * exponential(0.5F * bounded(lv));
	}
}

static double divergence(float *restrict dq, float *restrict dp, const float *restrict q,
	const float *restrict p, size_t latents, size_t lanes, float scale)
{
	size_t half = latents * TILE;
	float weight[TILE], sum[TILE] = {0};
	double all = 0;

	for (size_t i = 0; i < TILE; i++)
		weight[i] = i < lanes ? scale : 0;
	for (size_t l = 0; l < half; l += TILE)
		for (size_t i = 0; i < TILE; i++) {
			float lq = bounded(q[half + l + i]), lp = bounded(p[half + l + i]);
			float gap = q[l + i] - p[l + i], inverse = exponential(-lp);
			float pull = gap * inverse, ratio = exponential(lq) * inverse,
			      far = gap * pull;

			sum[i] += lp - lq + ratio + far - 1;
			dq[l + i] += weight[i] * pull;
			dp[l + i] -= weight[i] * pull;
			dq[half + l + i] += slope(q[half + l + i]) * weight[i] * 0.5F * (ratio - 1);
			dp[half + l + i] +=
				slope(p[half + l + i]) * weight[i] * 0.5F * (1 - ratio - far);
		}
	for (size_t i = 0; i < lanes; i++)
		all += (double)sum[i];
	return 0.5 * all;
}

/* ---- noise ----------------------------------------------------------------------------- */

/* Box and Muller on a tile of pairs; 24 bits for each half. */
static void noise_tile(float *restrict out, struct random *random)
{
	unsigned high[TILE], low[TILE];

	for (size_t i = 0; i < TILE; i++) {
		uint64_t bits = random_bits(random);

		high[i] = (unsigned)(bits >> 40);
		low[i] = (unsigned)bits & 0xffffff;
	}
	for (size_t i = 0; i < TILE; i++) {
		float u = ((float)(int)high[i] + 1) * 0x1p-24F,
		      t = (float)(int)low[i] * 0x1p-24F - 0.5F;
		float radius = sqrtf(-2 * logarithm(u)), sine, cosine;

		circle(t, &sine, &cosine);
		out[i] = radius * sine;
		out[TILE + i] = radius * cosine;
	}
}

static void noise(float *out, size_t count, struct random *random)
{
	float rest[2 * TILE];

	for (; count >= 2 * TILE; count -= 2 * TILE, out += 2 * TILE)
		noise_tile(out, random);
	if (!count)
		return;
	noise_tile(rest, random);
	memcpy(out, rest, count * sizeof(*out));
}

/* ---- Adam ------------------------------------------------------------------------------ */

#define EPSILON 1e-8F
#define ADAM_BLOCK 256

INLINE void adam_block(float *restrict weights, float *restrict moment1, float *restrict moment2,
	const float *restrict sum, size_t count, const struct kernels_adam *step)
{
	for (size_t i = 0; i < count; i++) {
		float g = sum[i] * step->scale;

		moment1[i] = KERNELS_BETA1 * moment1[i] + (1 - KERNELS_BETA1) * g;
		moment2[i] = KERNELS_BETA2 * moment2[i] + (1 - KERNELS_BETA2) * g * g;
		weights[i] -= step->rate * moment1[i] / (sqrtf(moment2[i]) + EPSILON);
	}
}

static void adam(float *weights, float *moment1, float *moment2, const float *const *gradients,
	size_t parts, size_t count, const struct kernels_adam *step)
{
	float sum[ADAM_BLOCK];

	for (size_t from = 0; from < count; from += ADAM_BLOCK) {
		size_t n = count - from < ADAM_BLOCK ? count - from : ADAM_BLOCK;

		memcpy(sum, gradients[0] + from, n * sizeof(*sum));
		for (size_t part = 1; part < parts; part++)
			for (size_t i = 0; i < n; i++)
				sum[i] += gradients[part][from + i];
		adam_block(weights + from, moment1 + from, moment2 + from, sum, n, step);
	}
}

/* ---- the table ------------------------------------------------------------------------- */

/* Has this processor the instructions that this was compiled to? */
static bool usable(void)
{
#ifdef __AVX512F__
	return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
	       __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("fma");
#elif defined(__AVX2__)
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
	return true;
#endif
}

const struct kernels KERNELS = {
	.name = KERNELS_NAME,
	.usable = usable,
	.forward = forward,
	.backward = backward,
	.gradient = gradient,
	.draw = draw,
	.draw_back = draw_back,
	.divergence = divergence,
	.noise = noise,
	.adam = adam,
};
