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
	bool covered; /* the answer set holds every true service: without it the target were met */
	enum verdict verdict;
	double probability; /* P(target met | answer set normal); NaN where none was given */
	double seconds, training_s;
};

/* With its 90 % interval by the bootstrap; all NaN when there is no case to tell from. */
struct mean {
	double value, low, high;
};

struct share {
	size_t count, of;
	struct mean ratio;
};

#define SCORE_BINS 10

/*
 * Of answers that said P(target met again), how often it had come true: by the truth, it does when
 * every culprit is in the answer set.
 */
struct calibration {
	struct {
		size_t count, true_count;
		double said; /* mean of P in the bin */
	} bin[SCORE_BINS];   /* [0, 0.1), ..., [0.9, 1] */
	size_t of;
	struct mean error; /* expected calibration error: mean over answers of |said - came true| */
};

struct totals {
	size_t incidents, stretches;
	struct share top1, top3, exact, resource;
	struct share false_positive; /* diagnosed, of healthy stretches */
	struct share false_negative; /* healthy, of incidents */
	struct share unknown;        /* of incidents */
	struct calibration calibration;
	struct mean seconds;    /* to diagnose one case with a trained model */
	struct mean training_s; /* of that model */
};

/* The incident that begins at row `first` of an ordered truth. */
struct incident_truth score_incident(const struct recording *r, size_t first);

/* Hold an answer against the truth. */
struct score_case score_answer(
	const struct incident_truth *t, const struct diagnosis *d, const struct graph *g);

/* Add up. The same cases give the same intervals. Returns 0 or -ENOMEM. */
int score_total(const struct score_case *c, size_t cases, struct totals *out);

#endif
