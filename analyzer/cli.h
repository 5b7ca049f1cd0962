/*
 * Subcommands of sage-analyzer that work on recordings. argv[0] is the name of the
 * subcommand. Each returns an exit status: 0, 1 when it failed, 2 for a usage error or
 * a recording that cannot be read. docs/operations.md describes their options.
 */
#ifndef SAGE_ANALYZER_CLI_H
#define SAGE_ANALYZER_CLI_H

int cli_diagnose(int argc, char **argv);
int cli_replay(int argc, char **argv);
int cli_record(int argc, char **argv);
int cli_score(int argc, char **argv);

#endif
