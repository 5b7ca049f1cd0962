/*
 * The windows a diagnosis compares: normal ones and those of the incident, with
 * the robust measure of how far a value moved between them.
 *
 * Values of a column are gathered into an array [total], the normal windows
 * first; derived quantities (self time) live in arrays of the same shape. One
 * thread at a time; the recording must outlive the frame.
 */
#ifndef SAGE_ANALYZER_FRAME_H
#define SAGE_ANALYZER_FRAME_H

#include <stdbool.h>

#include "analyzer/recording.h"

struct frame {
	const struct recording *r;
	size_t *row;    /* [total] rows of the series, owned */
	size_t normals; /* the first of them are normal */
	size_t total;   /* the rest are the incident's, in order of time */
	float *scratch; /* [total] owned */
};

struct shift {
	double normal, observed; /* medians */
	double spread;           /* 1.4826 MAD of the normal windows, with its floor */
	double sigmas;           /* (observed - normal) / spread */
	double since_s;          /* first incident window past 3 sigmas, NaN if none */
};

/*
 * Normal is every row outside [from_s, to_s) where use[row] holds (NULL = all) and
 * the SLO metric is known and within its target; the latest 1,024 of them. Returns 0 or -ENOMEM.
 */
int frame_open(struct frame *f, const struct recording *r, const struct slo *slo, double from_s,
	double to_s, const bool *use);
void frame_close(struct frame *f);

/* Values of a metric in the frame's windows, NaN where absent. False, and out
 * untouched, when there is no such column. */
bool frame_gather(const struct frame *f, uint32_t entity, const char *metric, float *out);

/* The normal median alone, where frame_shift() would find one; else NaN. The incident's alone. */
double frame_normal(const struct frame *f, const float *value);
double frame_observed(const struct frame *f, const float *value);

/*
 * How far `value` [total] moved. The spread is at least `floor`. False when fewer than 3 normal or
 * no incident windows have a value.
 */
bool frame_shift(const struct frame *f, const float *value, double floor, struct shift *out);

/*
 * The same for who knows what is normal, and to whom less than `least` sigmas are none: where so
 * many of the floor alone are more than the value moved, the floor is the spread, which spares a
 * median.
 */
void frame_shift_from(const struct frame *f, const float *value, double normal, double floor,
	double least, struct shift *out);

/* Median of the values that are known, which it moves to the front. NaN when none is. */
double frame_median(float *value, size_t count);

#endif
