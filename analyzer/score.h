/*
 * How often the answers are right: incidents of known truth and healthy stretches,
 * counted, with an interval for every share.
 *
 * Plain values, no allocation but the list of cases; one thread at a time.
 */
#ifndef SAGE_ANALYZER_SCORE_H
#define SAGE_ANALYZER_SCORE_H

#include "analyzer/diagnosis.h"

/* Rows of truth.csv with the same interval. */
struct incident_truth {
	const struct truth *row; /* [rows] */
	size_t rows;
};

struct score_case {
	bool healthy;      /* a stretch without a fault: only `diagnosed` counts */
	bool has_resource; /* truth names one */
	bool top1, top3, exact, resource;
	enum verdict verdict;
	double seconds;
};

struct share {
	size_t count, of;
	double ratio, low, high; /* 90 % interval by the bootstrap; NaN when of == 0 */
};

struct totals {
	size_t incidents, stretches;
	struct share top1, top3, exact, resource;
	struct share false_positive; /* diagnosed, of healthy stretches */
	struct share false_negative; /* healthy, of incidents */
	struct share unknown;        /* of incidents */
	double seconds;              /* mean of all cases */
};

/* The incident that begins at row `first` of an ordered truth. */
struct incident_truth score_incident(const struct recording *r, size_t first);

/* Hold an answer against the truth. */
struct score_case score_answer(
	const struct incident_truth *t, const struct diagnosis *d, const struct graph *g);

/* Add up. The same cases give the same intervals. */
void score_total(const struct score_case *c, size_t cases, struct totals *out);

#endif
