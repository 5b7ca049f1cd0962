/*
 * The scorecard as people and programs read it: all methods side by side. Nothing is kept; one
 * thread.
 */
#ifndef SAGE_ANALYZER_SCORE_REPORT_H
#define SAGE_ANALYZER_SCORE_REPORT_H

#include <stdio.h>

#include "analyzer/diagnose.h"
#include "analyzer/score.h"

struct scored_method {
	enum method method;
	struct totals totals;
};

/* A line a method, and how far their promises came true. */
void score_print(FILE *out, const struct scored_method *m, size_t methods);

/* One method's totals: a new reference, NULL when out of memory. */
json_t *score_to_json(const struct scored_method *m);

#endif
