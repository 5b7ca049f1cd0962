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

/*
 * What diagnose, replay and score have in common: DIR..., --method, --json. The words of argv stay
 * argv's.
 */
struct option_common {
	size_t most; /* recordings taken */
	char **dir;  /* [dirs], at least one */
	size_t dirs;
	enum method method;    /* the one given last; guarded when none was */
	bool methods[METHODS]; /* all that were given, or guarded */
	bool json;
};

/* For a parser that has option_common_child as its only child: what to do at ARGP_KEY_INIT. */
extern const struct argp_child option_common_child[];
void option_common_init(struct argp_state *state, struct option_common *common, size_t most);

void option_parse(const struct argp *parser, int argc, char **argv, char *name, void *arguments);

double option_number(struct argp_state *state, const char *option, const char *text);
enum history option_history(struct argp_state *state, const char *text);

/* `--slo ENTITY METRIC TARGET`: takes the two words after `entity` as well. */
void option_slo(struct argp_state *state, const char *entity, struct option_slo *out);

/*
 * Read a recording and, when `slo` is given, put it in the place of its targets. Returns 0, or an
 * exit status after saying why.
 */
int option_read_recording(struct recording *r, const char *dir, const struct option_slo *slo);

#endif
