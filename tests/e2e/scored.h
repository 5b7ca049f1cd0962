/*
 * What `sage-analyzer score` says of a recording, for tests that hold it against a bound.
 *
 * Programs that use it define SAGE_ANALYZER, the path of the program.
 */
#ifndef SAGE_TESTS_E2E_SCORED_H
#define SAGE_TESTS_E2E_SCORED_H

#include <jansson.h>

/* The totals of one method on the recording in a directory; the caller's, for json_decref(). */
json_t *scored(const char *directory, const char *method);

#endif
