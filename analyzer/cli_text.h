/* Diagnoses and values as people read them. Any thread. */
#ifndef SAGE_ANALYZER_CLI_TEXT_H
#define SAGE_ANALYZER_CLI_TEXT_H

#include <stdio.h>

#include "analyzer/diagnosis.h"

/* A value in a unit that suits it, by the ending of the metric's name: "41.3 ms", "61 %". */
void text_value(char *out, size_t size, const char *metric, double value);

/* Time of day, local, with tenths where the second has some: "12:03:10". */
void text_time(char *out, size_t size, double time_s);

/*
 * Print a value (taken over; NULL: out of memory) as JSON and a line's end, with jansson's flags
 * for its shape. Returns an exit status, 1 after saying why.
 */
int text_json(json_t *value, size_t shape);

/* The whole answer, as a page. */
void text_diagnosis(FILE *out, const struct diagnosis *d, const struct graph *g);

#endif
