/*
 * Where targets come from: a file, the API, or a proposal made from what is normal.
 *
 * File, short form (YAML):
 *
 *     - entity: user->frontend
 *       metric: client_p99_us
 *       target_ms: 50          # or target: 50000, in the metric's unit
 *
 * Pure functions over a recording; any thread that owns it.
 */
#ifndef SAGE_ANALYZER_SLO_H
#define SAGE_ANALYZER_SLO_H

#include <jansson.h>

#include "analyzer/recording.h"

#define SLO_MAX 256

/* A target by name: what a file or a request says before the graph knows the entity. */
struct slo_text {
	char entity[300];
	char metric[64];
	double target; /* in the metric's unit */
	bool proposed;
};

/*
 * Read a file. *out is owned by the caller (free). Returns how many, or -errno with
 * one line in `why`: file, line, reason. -EBADMSG for malformed content.
 */
long slo_read(const char *path, struct slo_text **out, char *why, size_t why_size);

/* Is it well-formed? Else false with the reason in `why`. */
bool slo_check(const struct slo_text *s, char *why, size_t why_size);

/* Set or replace (same entity and metric) in a recording. Returns 0, -E2BIG, -ENOMEM. */
int slo_set(struct recording *r, const struct slo_text *s);

/*
 * As a document of the store, and back. Restoring skips what is malformed, and returns 0 or
 * as slo_set().
 */
json_t *slo_to_json(const struct recording *r);
int slo_from_json(struct recording *r, const json_t *all);

/* The metric in one window; NaN when absent. */
double slo_value(const struct recording *r, const struct slo *s, size_t row);

/*
 * Propose targets from the rows so far, for every service the outside world calls:
 * median + 6 robust deviations of its p99, no less than 1.5 times the median, rounded up to two
 * readable digits. client_p99_us where the outside is seen, server_p99_us otherwise; edges
 * with a target already, or with fewer than 8 values, are left out. Returns how many were
 * added, or -ENOMEM.
 */
long slo_propose(struct recording *r);

/* The least "readable" number >= value: 1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8 times a power of ten. */
double slo_round_up(double value);

#endif
