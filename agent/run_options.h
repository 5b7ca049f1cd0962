/* The command line of `sage-agent run`. */
#ifndef SAGE_AGENT_RUN_OPTIONS_H
#define SAGE_AGENT_RUN_OPTIONS_H

/* Parse and run. Gives the exit status of the process; 64 for a wrong command line. */
int run_command(int argc, char **argv);

#endif
