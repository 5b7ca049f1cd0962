/* What the benchmarks' command lines share. */
#ifndef SAGE_TESTS_BENCH_ARGUMENTS_H
#define SAGE_TESTS_BENCH_ARGUMENTS_H

#include <argp.h>

/* --json, taken by argument_common(). */
#define ARGUMENT_JSON                                                                              \
	{                                                                                          \
		"json", 'j', "FILE", 0, "write the numbers here too", 0                            \
	}

/* The number in an option's text; ends the program with a message when it is out of bounds. */
double argument_number(struct argp_state *state, const char *text, double least, double most);

/* The default case of an argp parser: --json into *json (borrowed), anything else refused. */
error_t argument_common(int key, char *text, struct argp_state *state, const char **json);

#endif
