/* sage-analyzer: the table of subcommands. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/agent_key.h"
#include "analyzer/cli.h"
#include "analyzer/serve.h"
#include "common/log.h"

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
} command[] = {
	{"serve", serve, "take agents' windows, serve dashboard and API, act"},
	{"diagnose", cli_diagnose, "find the cause of missed targets in a recording"},
	{"replay", cli_replay, "walk a recording as if it were live"},
	{"record", cli_record, "write a recording from a running analyzer"},
	{"score", cli_score, "compare methods on recordings with known causes"},
	{"agent-key", agent_key, "print the key of one agent"},
};

static void usage(FILE *out)
{
	fprintf(out, "Usage: sage-analyzer COMMAND [OPTION...]\n\n");
	for (size_t i = 0; i < sizeof(command) / sizeof(*command); i++)
		fprintf(out, "  %-10s %s\n", command[i].name, command[i].help);
	fprintf(out, "\nsage-analyzer COMMAND --help tells the options of one.\n");
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";

	log_init("sage-analyzer", LOG_INFO);
	if (!strcmp(name, "--help") || !strcmp(name, "-h")) {
		usage(stdout);
		return 0;
	}
	if (!strcmp(name, "--version") || !strcmp(name, "-V")) {
		printf("sage-analyzer %s\n", SAGE_VERSION);
		return 0;
	}
	for (size_t i = 0; i < sizeof(command) / sizeof(*command); i++)
		if (!strcmp(name, command[i].name))
			return command[i].run(argc - 1, argv + 1);
	if (*name)
		fprintf(stderr, "sage-analyzer: %s: no such command\n\n", name);
	usage(stderr);
	return 2;
}
