/*
 * Which resource of a service moved: its counters, and those of the calls into and out of
 * it, against their normal windows. One thread at a time.
 */
#ifndef SAGE_ANALYZER_SYMPTOM_H
#define SAGE_ANALYZER_SYMPTOM_H

#include "analyzer/frame.h"

struct symptom {
	double strength; /* 0..1; 0 = did not move in the harmful direction */
	uint32_t entity; /* whose metric moved most */
	char metric[64];
	struct shift shift;
};

/*
 * The strongest symptom of every class at a service or host, of metrics known here. Of a host only
 * what none of its services can have done. Returns 0 or -ENOMEM.
 */
int symptom_read(const struct frame *f, uint32_t entity, struct symptom out[RESOURCES]);

/* Have it count for its service too if it is stronger and the metric is none known here. */
int symptom_read_unknown(const struct frame *f, uint32_t column, struct symptom out[RESOURCES]);

/* How clearly more segments are lost on an edge, 0..1. scratch [total of the frame]. */
double symptom_of_loss(const struct frame *f, uint32_t edge, float *scratch);

/*
 * The class to blame at a service that added time: `own` inside it, `between` on the way of
 * its calls (both in the same unit).
 */
enum resource symptom_resource(const struct symptom s[RESOURCES], double own, double between);

#endif
