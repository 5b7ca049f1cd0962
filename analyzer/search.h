/*
 * Sets of services tried against the missed windows of one incident: what would the target's
 * metric have been, had these been normal?
 *
 * Shared by the faithful and the guarded method. One thread; model and recording must outlive it.
 */
#ifndef SAGE_ANALYZER_SEARCH_H
#define SAGE_ANALYZER_SEARCH_H

#include "analyzer/counterfactual.h"

struct search {
	struct counterfactual_run run;
	size_t *row; /* [rows] windows of the incident that are asked about; owned */
	size_t rows;
	size_t draws;  /* of all windows together */
	float *draw;   /* [draws] of the latest answer, window by window; owned */
	float *middle; /* [rows] owned */
	double target;
	double observed; /* median of the SLO metric in those windows */
};

struct answer {
	double restored;    /* median over the windows of the median draw */
	double probability; /* share of draws within the target */
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

/* Share of the rise above the target that an answer takes away, 0..1. */
double search_relief(const struct search *s, const struct answer *a);

/* The X metric of `service` of that class that is farthest from normal in the incident, or
 * "latent" when there is none. */
void search_metric(struct search *s, uint32_t service, enum resource resource, char out[64]);

#endif
