#include "agent/cli.h"

#include <argp.h>
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "agent/control.h"
#include "common/log.h"

enum key {
	KEY_CONTROL = 'c',
	KEY_FILTER = 'f',
	KEY_JSON = 'j',
	KEY_SORT = 's',
	KEY_ONCE = 256,
	KEY_RELEASE,
	KEY_OPERATIONS,
	KEY_TABLE
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct cli_options *o = state->input;

	switch (key) {
	case KEY_CONTROL:
		o->control = argument;
		return 0;
	case KEY_JSON:
		o->json = true;
		return 0;
	case KEY_ONCE:
		o->once = true;
		return 0;
	case KEY_SORT:
		o->view.sort = cli_sort_named(argument);
		if (!o->view.sort)
			argp_error(state, "--sort %s: no such column; one of " CLI_SORTS, argument);
		return 0;
	case KEY_FILTER:
		o->view.filter = argument;
		return 0;
	case KEY_OPERATIONS:
		o->operations = true;
		return 0;
	case KEY_TABLE:
		o->table = true;
		return 0;
	case KEY_RELEASE:
		o->release_all = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

void cli_parse(int argc, char **argv, const char *about, unsigned extras, struct cli_options *o)
{
	static const struct argp_option common[] = {
		{"control", KEY_CONTROL, "SOCKET", 0, "the agent's socket (" CONTROL_SOCKET ")", 0},
		{"json", KEY_JSON, NULL, 0, "print JSON, for scripts", 0},
	};
	static const struct argp_option once = {
		"once", KEY_ONCE, NULL, 0, "print one window and leave", 0};
	static const struct argp_option view[] = {
		{"sort", KEY_SORT, "COLUMN", 0, CLI_SORTS " (cpu)", 0},
		{"filter", KEY_FILTER, "TEXT", 0,
			"only what has TEXT in its service, container, peer or protocol", 0},
	};
	static const struct argp_option release = {
		"release-all", KEY_RELEASE, NULL, 0, "take back every action now", 0};
	static const struct argp_option operations = {"operations", KEY_OPERATIONS, NULL, 0,
		"below each edge what its calls asked for; the rest could not be told or kept", 0};
	static const struct argp_option table = {"table", KEY_TABLE, NULL, 0,
		"protocols and strategies on the kernels they are tested on, not on this one", 0};
	struct argp_option option[8] = {common[0], common[1]};
	struct argp argp = {option, parse_option, NULL, about, NULL, NULL, NULL};
	unsigned n = 2;

	memset(o, 0, sizeof(*o));
	o->control = CONTROL_SOCKET;
	o->view.sort = cli_sort_keyed('c');
	signal(SIGPIPE, SIG_DFL); /* `| head` ends it, quietly, whoever started it */
	if (extras & CLI_ONCE)
		option[n++] = once;
	for (unsigned i = 0; extras & CLI_VIEW && i < sizeof(view) / sizeof(*view); i++)
		option[n++] = view[i];
	if (extras & CLI_OPERATIONS)
		option[n++] = operations;
	if (extras & CLI_TABLE)
		option[n++] = table;
	if (extras & CLI_RELEASE)
		option[n++] = release;
	argp_parse(&argp, argc, argv, 0, NULL, o);
}

static const char *remedy(int err)
{
	switch (err) {
	case -ENOENT:
	case -ECONNREFUSED:
		return "no agent runs there; start `sage-agent run` or point --control at its "
		       "socket";
	case -EACCES:
	case -EPERM:
		return "the socket is the agent's user's; run as that user (root)";
	case -ETIMEDOUT:
		return "the agent does not answer; see its log";
	case -ECONNRESET:
		return "the agent ended before it answered; see its log";
	case -EBADMSG:
		return "the answer is not JSON: is this an agent's socket?";
	case -ENAMETOOLONG:
		return "a socket path has at most 107 characters";
	default:
		return "see the agent's log";
	}
}

json_t *cli_ask(const struct cli_options *o, const char *command)
{
	json_t *answer = NULL;
	int err = control_ask(o->control, command, &answer);
	const char *refused;

	if (err) {
		log_error("%s: %s: %s", o->control, strerror(-err), remedy(err));
		return NULL;
	}
	refused = json_string_value(json_object_get(answer, "error"));
	if (!refused)
		return answer;
	log_error("%s: %s", o->control, refused);
	json_decref(answer);
	return NULL;
}

int cli_print_json(json_t *j)
{
	json_dumpf(j, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(12));
	putchar('\n');
	json_decref(j);
	return 0;
}

double cli_number(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	return json_is_number(value) ? json_number_value(value) : NAN;
}

const char *cli_string(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "-";
}

static const char *absent(cli_cell to)
{
	return strcpy(to, "-");
}

const char *cli_duration(cli_cell to, double us)
{
	if (!isfinite(us))
		return absent(to);
	if (us < 999.5)
		snprintf(to, CLI_CELL, "%.0fus", us);
	else if (us < 999500)
		snprintf(to, CLI_CELL, us < 99950 ? "%.1fms" : "%.0fms", us / 1e3);
	else
		snprintf(to, CLI_CELL, "%.2fs", us / 1e6);
	return to;
}

const char *cli_bytes(cli_cell to, double bytes)
{
	static const char unit[] = "BKMGTP";
	unsigned u = 0;

	if (!isfinite(bytes))
		return absent(to);
	while (bytes >= 999.5 && u < sizeof(unit) - 2) {
		bytes /= 1024;
		u++;
	}
	snprintf(to, CLI_CELL, u && bytes < 9.95 ? "%.1f%c" : "%.0f%c", bytes, unit[u]);
	return to;
}

const char *cli_percent(cli_cell to, double ratio)
{
	if (!isfinite(ratio))
		return absent(to);
	snprintf(to, CLI_CELL, "%.0f%%", ratio * 100);
	return to;
}

const char *cli_decimal(cli_cell to, double value)
{
	if (!isfinite(value))
		return absent(to);
	snprintf(to, CLI_CELL, value < 9.995 ? "%.2f" : value < 99.95 ? "%.1f" : "%.0f", value);
	return to;
}
