/*
 * The commands that ask a running agent: argument parsing, asking, and the text
 * they share. Each command is a function in a cli_*.c file and gives the exit
 * status of the process.
 */
#ifndef SAGE_AGENT_CLI_H
#define SAGE_AGENT_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

int cli_top(int argc, char **argv);
int cli_edges(int argc, char **argv);
int cli_containers(int argc, char **argv);
int cli_status(int argc, char **argv);
int cli_support(int argc, char **argv);
int cli_actions(int argc, char **argv);

/* What a command takes beside --control and --json. */
enum cli_extra {
	CLI_NONE = 0,
	CLI_ONCE = 1,
	CLI_VIEW = 2,
	CLI_RELEASE = 4,
	CLI_OPERATIONS = 8,
	CLI_TABLE = 16
};

#define CLI_SORTS "cpu, throttled, runq, mem, iowait, calls, errors, p50, p99, name"

struct cli_sort {
	const char *name;
	char key;                     /* in the live view */
	const char *container, *edge; /* metric of the one or field of the other; both NULL: name */
	bool worst;                   /* of a container's edges the largest counts, not the sum */
};

/* What of a window is shown. */
struct cli_view {
	const struct cli_sort *sort;
	const char *filter; /* in a name, peer or protocol; NULL = all */
};

struct cli_options {
	const char *control;
	struct cli_view view;
	bool json, once, release_all;
	bool operations; /* break the edges down */
	bool table;      /* of all kernels tested on, not of this one */
};

/* Parse; wrong arguments end the process with a message and status 64 (argp). */
void cli_parse(int argc, char **argv, const char *about, unsigned extras, struct cli_options *o);

/* The columns to sort by; NULL when there is none such. */
const struct cli_sort *cli_sort_named(const char *name);
const struct cli_sort *cli_sort_keyed(char key);
const struct cli_sort *cli_sort_at(size_t number);

/* Leave in a window's `containers` and `edges` what the view shows, in its order. */
void cli_arrange(json_t *window, const struct cli_view *v);

/* Ask; on failure says what, where and what to do, and gives NULL. */
json_t *cli_ask(const struct cli_options *o, const char *command);

/* Print as JSON and release. Gives 0. */
int cli_print_json(json_t *j);

/* ---- text for people: absent values become "-" ------------------------------- */

#define CLI_CELL 24

typedef char cli_cell[CLI_CELL];

double cli_number(const json_t *object, const char *key); /* NaN when absent */
const char *cli_string(const json_t *object, const char *key);

const char *cli_duration(cli_cell to, double us);   /* 850us 12.3ms 1.20s */
const char *cli_bytes(cli_cell to, double bytes);   /* 1.2K 34M 2.1G */
const char *cli_percent(cli_cell to, double ratio); /* 12% */
const char *cli_decimal(cli_cell to, double value); /* 0.31 12.0 1234 */

/* The table lines `containers`, `edges` and `top` have in common: at most 80 columns. */
void cli_container_head(FILE *f);
void cli_container_line(FILE *f, const json_t *container);
void cli_edge_head(FILE *f);
/* The calls a container serves, then those it makes; of each what was asked for, if wanted. */
void cli_edge_lines(FILE *f, const json_t *window, const json_t *container, bool operations);

#endif
