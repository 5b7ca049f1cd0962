/*
 * `sage-analyzer serve`: intake, loop, store and HTTP in one process.
 *
 * Runs until SIGTERM or SIGINT. Options stand in serve.c. The exit status is 0 after an
 * ordered stop, 1 when it could not start (one line says why), 64 for wrong usage.
 */
#ifndef SAGE_ANALYZER_SERVE_H
#define SAGE_ANALYZER_SERVE_H

/* argv[0] is the name of the subcommand. */
int serve(int argc, char **argv);

#endif
