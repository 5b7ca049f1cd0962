#include "tests/bench/arguments.h"

#include <stdlib.h>

double argument_number(struct argp_state *state, const char *text, double least, double most)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end || !(value >= least && value <= most))
		argp_error(state, "%s: a number from %.0f to %.0f is needed", text, least, most);
	return value;
}

error_t argument_common(int key, char *text, struct argp_state *state, const char **json)
{
	switch (key) {
	case 'j':
		*json = text;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "%s: unexpected", text);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}
