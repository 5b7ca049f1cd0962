/*
 * Columns of a window: one field of every record, one after the other, so that
 * like stands beside like when zlib sees it. `base` is the field in the first
 * record, `stride` the size of a record, `n` the number of records.
 */
#ifndef SAGE_COMMON_WIRE_COLUMN_H
#define SAGE_COMMON_WIRE_COLUMN_H

#include "common/wire_codec.h"

/* An unsigned integer field of a record: where it is and how wide (1, 2, 4, 8). */
struct wire_field {
	size_t offset, size;
};

void wire_put_field(struct wire_writer *w, const void *records, size_t stride, uint32_t n,
	const struct wire_field *f);
void wire_get_field(struct wire_reader *r, void *records, size_t stride, uint32_t n,
	const struct wire_field *f);

/*
 * floats: a bit per record, set where there is a value (not NaN); then the
 * values rounded to 16 significant bits, as three planes of bytes, high first.
 */
void wire_put_floats(struct wire_writer *w, const float *base, size_t stride, uint32_t n);
void wire_get_floats(struct wire_reader *r, float *base, size_t stride, uint32_t n);

struct hist;

struct wire_spread;
struct wire_bucket;

/*
 * Histograms: buckets in use, as gap from the one before and count, then what is
 * needed to restore sum_ns and total exactly. Reading appends the buckets to a list that it
 * makes longer (free(); 0 or -ENOMEM, malformed input is the reader's to tell).
 */
void wire_put_hists(struct wire_writer *w, const struct hist *base, size_t stride, uint32_t n);
int wire_get_spreads(struct wire_reader *r, struct wire_spread *base, size_t stride, uint32_t n,
	struct wire_bucket **bucket, uint32_t *buckets);

#endif
