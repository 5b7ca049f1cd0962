/*
 * Sets of services tried against the missed windows of one incident: what would the target's
 * metric have been, had these been normal?
 *
 * Shared by the faithful and the guarded method. Called by one thread; model and recording must
 * outlive it.
 */
#ifndef SAGE_ANALYZER_SEARCH_H
#define SAGE_ANALYZER_SEARCH_H

#include "analyzer/counterfactual.h"

#define SEARCH_SET 3 /* services at once, at most */

struct search {
	struct counterfactual_run run;
	struct counterfactual_work *work; /* [workers] owned */
	unsigned workers;
	size_t *row; /* [rows] windows of the incident that are asked about; owned */
	size_t rows;
	size_t draws; /* of all windows together */
	float *draw;  /* [draws] of the latest search_ask(), window by window; [workers] such; owned
		       */
	double target;
	double observed; /* median of the SLO metric in those windows */
};

struct answer {
	double restored;    /* median over the windows of the median draw */
	double probability; /* share of draws within the target */
};

struct question {
	struct intervention set[SEARCH_SET];
	size_t count;
	struct answer answer;
	bool known; /* the model knows the services, and the answer is there */
};

/* Did a window of [from_s, to_s) miss the target? Where none did, no model is needed. */
bool search_missed(const struct recording *r, const struct slo *slo, double from_s, double to_s);

/*
 * Windows of [from_s, to_s) that missed the target. Returns 0, -ENODATA when there is none or
 * the model is of another target, or -ENOMEM.
 */
int search_open(struct search *s, const struct model *m, const struct recording *r,
	const struct slo *slo, double from_s, double to_s);
void search_close(struct search *s);

/* Returns 0 or -ENOENT when the model does not know one of the services. */
int search_ask(struct search *s, const struct intervention *set, size_t count, struct answer *out);

/* The same of many, by as many threads as CPUs. Answers do not depend on their number. */
void search_ask_all(struct search *s, struct question *q, size_t count);

/*
 * The question whose answer is lowest, and below `bound`; NULL when there is none. All are answered
 * by some of the draws, and of those the few lowest by all.
 */
struct question *search_lowest(struct search *s, struct question *q, size_t count, double bound);

/* The same of answers that are there. */
struct question *question_lowest(struct question *q, size_t count, double bound);

/* Share of the rise above the target that an answer takes away, 0..1. */
double search_relief(const struct search *s, const struct answer *a);

/* The X metric of `service` of that class that is farthest from normal in the incident, or
 * "latent" when there is none. Returns how far, in deviations summed over the windows. */
double search_metric(struct search *s, uint32_t service, enum resource resource, char out[64]);

#endif
