/*
 * Layers of a perceptron by the analyzer's kernels, beside the same products by OpenBLAS's sgemm:
 * what the choice between them rests on. One thread; from narrow layers, as the model has them, to
 * wide ones, as they are at a service that calls thousands.
 *
 * sgemm is given matrices without gaps and does the products only; the kernels work on tiles,
 * add biases and rectify.
 */
#ifndef SAGE_TESTS_BENCH_LAYERS_H
#define SAGE_TESTS_BENCH_LAYERS_H

#include <jansson.h>

/* Measure and print; the rows as JSON, or NULL when out of memory. */
json_t *layers_run(void);

#endif
