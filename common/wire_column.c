#include "common/wire_column.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/wire.h"

#define FLOAT_PLANES 3
#define FLOAT_EXPONENT 0x7f800000U

/* Records are addressed in bytes: fields of one type may lie at any offset. */
static const void *cell(const void *base, size_t stride, uint32_t i)
{
	return (const char *)base + stride * i;
}

static void *cell_to_fill(void *base, size_t stride, uint32_t i)
{
	return (char *)base + stride * i;
}

static uint64_t load(const void *at, size_t size)
{
	switch (size) {
	case 1:
		return *(const uint8_t *)at;
	case 2:
		return *(const uint16_t *)at;
	case 4:
		return *(const uint32_t *)at;
	default:
		assert(size == 8);
		return *(const uint64_t *)at;
	}
}

static void store(void *at, size_t size, uint64_t v)
{
	switch (size) {
	case 1:
		*(uint8_t *)at = (uint8_t)v;
		return;
	case 2:
		*(uint16_t *)at = (uint16_t)v;
		return;
	case 4:
		*(uint32_t *)at = (uint32_t)v;
		return;
	default:
		assert(size == 8);
		*(uint64_t *)at = v;
	}
}

void wire_put_field(struct wire_writer *w, const void *records, size_t stride, uint32_t n,
	const struct wire_field *f)
{
	const char *base = (const char *)records + f->offset;

	for (uint32_t i = 0; i < n; i++)
		wire_put_varint(w, load(cell(base, stride, i), f->size));
}

void wire_get_field(
	struct wire_reader *r, void *records, size_t stride, uint32_t n, const struct wire_field *f)
{
	char *base = (char *)records + f->offset;
	uint64_t max = UINT64_MAX >> (64 - 8 * f->size);

	for (uint32_t i = 0; i < n; i++)
		store(cell_to_fill(base, stride, i), f->size, wire_get_bounded(r, max));
}

/* The 24 high bits of a float, rounded to nearest; a finite value stays finite. */
static uint32_t shorten(float value)
{
	uint32_t bits, rounded;

	memcpy(&bits, &value, sizeof(bits));
	rounded = bits + 0x80;
	if ((rounded & FLOAT_EXPONENT) == FLOAT_EXPONENT)
		rounded = bits;
	return rounded >> 8;
}

static float lengthen(uint32_t high)
{
	uint32_t bits = high << 8;
	float value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

static void put_presence(struct wire_writer *w, const float *base, size_t stride, uint32_t n)
{
	uint8_t byte = 0;

	for (uint32_t i = 0; i < n; i++) {
		const float *value = cell(base, stride, i);

		if (!isnan(*value))
			byte = (uint8_t)(byte | 1U << i % 8);
		if (i % 8 == 7 || i + 1 == n) {
			wire_put_u8(w, byte);
			byte = 0;
		}
	}
}

void wire_put_floats(struct wire_writer *w, const float *base, size_t stride, uint32_t n)
{
	put_presence(w, base, stride, n);
	for (unsigned plane = FLOAT_PLANES; plane-- > 0;) {
		for (uint32_t i = 0; i < n; i++) {
			const float *value = cell(base, stride, i);

			if (!isnan(*value))
				wire_put_u8(w, (uint8_t)(shorten(*value) >> 8 * plane));
		}
	}
}

static uint32_t count_bits(const uint8_t *bits, uint32_t n)
{
	uint32_t set = 0;

	for (uint32_t i = 0; i < n; i++)
		set += bits[i / 8] >> i % 8 & 1;
	return set;
}

void wire_get_floats(struct wire_reader *r, float *base, size_t stride, uint32_t n)
{
	const uint8_t *present = wire_get_bytes(r, ((size_t)n + 7) / 8);
	uint32_t values = present ? count_bits(present, n) : 0, next = 0;
	const uint8_t *plane = wire_get_bytes(r, (size_t)values * FLOAT_PLANES);

	if (!present || !plane)
		return;
	for (uint32_t i = 0; i < n; i++) {
		float *value = cell_to_fill(base, stride, i);

		*value = NAN;
		if (!(present[i / 8] >> i % 8 & 1))
			continue;
		*value = lengthen((uint32_t)plane[next] << 16 |
				  (uint32_t)plane[next + values] << 8 | plane[next + 2 * values]);
		/* a NaN's bits come from no encoder: absent has its own mark */
		if (isnan(*value))
			r->bad = true;
		next++;
	}
}

/* Gaps and counts of the buckets in use; returns how many, and the sum of the counts. */
static uint32_t put_buckets(
	struct wire_writer *gaps, struct wire_writer *counts, const struct hist *h, uint64_t *sum)
{
	uint32_t used = 0;
	unsigned last = 0;

	*sum = 0;
	for (unsigned b = 0; b < HIST_BUCKETS; b++) {
		if (!h->count[b])
			continue;
		wire_put_varint(gaps, b - last);
		wire_put_varint(counts, h->count[b] - 1);
		last = b + 1;
		*sum += h->count[b];
		used++;
	}
	return used;
}

void wire_put_hists(struct wire_writer *w, const struct hist *base, size_t stride, uint32_t n)
{
	struct wire_writer gaps = {0}, counts = {0}, totals = {0};
	uint64_t sum;

	for (uint32_t i = 0; i < n; i++) {
		const struct hist *h = cell(base, stride, i);

		wire_put_varint(w, put_buckets(&gaps, &counts, h, &sum));
		wire_put_signed(&totals, (int64_t)(h->total - sum));
	}
	for (uint32_t i = 0; i < n; i++)
		wire_put_varint(w, ((const struct hist *)cell(base, stride, i))->sum_ns);
	wire_put_bytes(w, totals.data, totals.size);
	wire_put_varint(w, gaps.size);
	wire_put_bytes(w, gaps.data, gaps.size);
	wire_put_bytes(w, counts.data, counts.size);
	if (gaps.error || counts.error || totals.error)
		w->error = w->error ? w->error : -ENOMEM;
	wire_writer_close(&gaps);
	wire_writer_close(&counts);
	wire_writer_close(&totals);
}

static void get_buckets(struct wire_reader *gaps, struct wire_reader *counts, struct wire_spread *h,
	struct wire_bucket *out)
{
	uint64_t number = 0;

	for (uint32_t i = 0; i < h->buckets; i++, number++) {
		number += wire_get_bounded(gaps, HIST_BUCKETS);
		if (gaps->bad || counts->bad || number >= HIST_BUCKETS) {
			gaps->bad = true;
			return;
		}
		out[i].number = (uint16_t)number;
		out[i].count = (uint32_t)wire_get_bounded(counts, UINT32_MAX - 1) + 1;
		h->total += out[i].count;
	}
}

/* The columns before the buckets; returns how many buckets follow. */
static uint32_t get_spread_heads(
	struct wire_reader *r, struct wire_spread *base, size_t stride, uint32_t n, uint32_t first)
{
	uint32_t all = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct wire_spread *h = cell_to_fill(base, stride, i);

		h->first = first + all;
		h->buckets = (uint32_t)wire_get_bounded(r, HIST_BUCKETS);
		all += h->buckets;
	}
	for (uint32_t i = 0; i < n; i++)
		((struct wire_spread *)cell_to_fill(base, stride, i))->sum_ns = wire_get_varint(r);
	for (uint32_t i = 0; i < n; i++)
		((struct wire_spread *)cell_to_fill(base, stride, i))->total =
			(uint64_t)wire_get_signed(r);
	return all;
}

int wire_get_spreads(struct wire_reader *r, struct wire_spread *base, size_t stride, uint32_t n,
	struct wire_bucket **bucket, uint32_t *buckets)
{
	uint32_t more = get_spread_heads(r, base, stride, n, *buckets);
	size_t gap_bytes = (size_t)wire_get_bounded(r, wire_reader_left(r));
	struct wire_reader gaps;
	struct wire_bucket *grown;

	wire_reader_init(&gaps, r->at, r->bad ? 0 : gap_bytes);
	wire_get_bytes(r, gap_bytes);
	/* each takes a byte among the gaps at least: bounds what a count may claim */
	r->bad |= more ? more > gap_bytes : gap_bytes > 0;
	if (r->bad || !more)
		return 0;
	grown = realloc(*bucket, ((size_t)*buckets + more) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	*bucket = grown;
	for (uint32_t i = 0; i < n && !r->bad; i++) {
		struct wire_spread *h = cell_to_fill(base, stride, i);

		get_buckets(&gaps, r, h, &grown[h->first]);
		r->bad |= gaps.bad;
	}
	*buckets += more;
	r->bad |= wire_reader_left(&gaps) > 0;
	return 0;
}
