/* sage-agent: one table of commands. */
#include <argp.h>
#include <stdio.h>
#include <string.h>

#include "agent/cli.h"
#include "agent/run_options.h"
#include "common/log.h"

struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *summary;
};

static const struct command commands[] = {
	{"run", run_command, "capture, ship to the analyzer, act on its leases"},
	{"top", cli_top, "containers and their calls, live"},
	{"containers", cli_containers, "the containers of this node"},
	{"edges", cli_edges, "the calls between them"},
	{"status", cli_status, "what the agent ships and loses"},
	{"support", cli_support, "how each signal is seen on this kernel, and what is not seen"},
	{"actions", cli_actions, "actions held now; --release-all takes them back"},
};

#define COMMANDS (sizeof(commands) / sizeof(*commands))

static void print_usage(FILE *f)
{
	fputs("Usage: sage-agent COMMAND [OPTION...]\n\n", f);
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(f, "  %-12s %s\n", commands[i].name, commands[i].summary);
	fputs("\n`sage-agent COMMAND --help` lists the options of a command.\n", f);
}

static int run_by_name(int argc, char **argv)
{
	char name[64];

	for (size_t i = 0; i < COMMANDS; i++) {
		if (strcmp(commands[i].name, argv[1]) != 0)
			continue;
		snprintf(name, sizeof(name), "sage-agent %s", commands[i].name);
		argv[1] = name; /* argp calls the program by this */
		return commands[i].run(argc - 1, argv + 1);
	}
	log_error("%s: no such command; `sage-agent --help` lists them", argv[1]);
	return 64;
}

int main(int argc, char **argv)
{
	log_init("sage-agent", LOG_INFO);
	if (argc < 2) {
		print_usage(stderr);
		return 64;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "help")) {
		print_usage(stdout);
		return 0;
	}
	if (!strcmp(argv[1], "--version")) {
		printf("sage-agent %s\n", SAGE_VERSION);
		return 0;
	}
	return run_by_name(argc, argv);
}
