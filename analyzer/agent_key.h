/* `sage-analyzer agent-key`: an agent's own key, from the master key. */
#ifndef SAGE_ANALYZER_AGENT_KEY_H
#define SAGE_ANALYZER_AGENT_KEY_H

#include "common/identity.h"

/* argv[0] is the name of the subcommand. Returns the exit status. */
int agent_key(int argc, char **argv);

/* Read a key file named by an option; on -errno one line is logged. */
int agent_key_read(const char *option, const char *file, struct identity_key *out);

#endif
