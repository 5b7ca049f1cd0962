/*
 * Options that the subcommands on recordings share. A bad value ends the program with
 * status 2 and one line that says what is wrong, as argp does.
 */
#ifndef SAGE_ANALYZER_CLI_OPTIONS_H
#define SAGE_ANALYZER_CLI_OPTIONS_H

#include <argp.h>

#include "analyzer/inquiry.h"

struct option_slo {
	const char *entity, *metric; /* NULL: not given */
	double target;
};

void option_parse(const struct argp *parser, int argc, char **argv, char *name, void *arguments);

double option_number(struct argp_state *state, const char *option, const char *text);
enum method option_method(struct argp_state *state, const char *text);
enum history option_history(struct argp_state *state, const char *text);

/* `--slo ENTITY METRIC TARGET`: takes the two words after `entity` as well. */
void option_slo(struct argp_state *state, const char *entity, struct option_slo *out);

/*
 * Read a recording and, when `slo` is given, put it in the place of its targets. Returns 0, or an
 * exit status after saying why.
 */
int option_read_recording(struct recording *r, const char *dir, const struct option_slo *slo);

#endif
