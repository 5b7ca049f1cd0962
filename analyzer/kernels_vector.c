/*
 * Compiled for several widths of vectors, KERNELS_LANES floats each, into the table KERNELS; see
 * CMakeLists.txt. Vectors are the compiler's own type, so that one text serves all processors.
 */
#include "analyzer/kernels_vector.h"

#include <math.h>
#include <string.h>

#include "analyzer/kernels_layer.h"

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
