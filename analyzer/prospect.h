/*
 * What the target's metric was, or would have been: values, each with a weight, and their
 * quantiles.
 *
 * A counterfactual is a mixture. With the chance that the answer set is the whole cause, the metric
 * is that of normal windows; else it is what the evidence or the model makes of the incident's. One
 * owner, one thread.
 */
#ifndef SAGE_ANALYZER_PROSPECT_H
#define SAGE_ANALYZER_PROSPECT_H

#include "analyzer/diagnosis.h"
#include "analyzer/frame.h"

struct weighed {
	float value;
	double weight;
};

struct prospect {
	struct weighed *value; /* [values] owned */
	size_t values, capacity;
};

/* Returns 0 or -ENOMEM. */
int prospect_open(struct prospect *p, size_t capacity);
void prospect_close(struct prospect *p);

/* Add the known ones of `value`; together they weigh `weight`. Never past the capacity. */
void prospect_add(struct prospect *p, const float *value, size_t count, double weight);

/* All NaN when nothing was added. */
struct spread prospect_spread(struct prospect *p);
double prospect_within(const struct prospect *p, double target);

/* Of the incident's windows, as measured: slo_value [total of the frame]. 0 or -ENOMEM. */
int prospect_observed(struct counterfactual *c, const struct frame *f, const float *slo_value);

/* What an intervention promises: the metric then, and P(target met). */
struct promise {
	struct spread spread;
	double within;
};

/*
 * Normal windows with weight `chance`, the rest is `other` [others]: slo_value [total of the
 * frame]. Returns 0 or -ENOMEM.
 */
int prospect_promise(struct promise *out, const struct frame *f, const float *slo_value,
	double chance, const float *other, size_t others, double target);

/* The same; the rest is the incident's windows less `share` of what each has risen above `normal`.
 */
int prospect_promise_share(struct promise *out, const struct frame *f, const float *slo_value,
	double chance, double share, double normal, double target);

#endif
