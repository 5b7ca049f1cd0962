/* Where a benchmark's numbers go beside the terminal. */
#ifndef SAGE_TESTS_BENCH_OUTPUT_H
#define SAGE_TESTS_BENCH_OUTPUT_H

#include <jansson.h>

/* Write {"bench": value} to a file. Returns 0, or -1 having said so on stderr. */
int output_json(const char *path, const char *bench, json_t *value);

#endif
