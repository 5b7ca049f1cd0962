/* The answers of a running agent to its commands: window, status, support, actions, release. */
#ifndef SAGE_AGENT_RUN_ANSWER_H
#define SAGE_AGENT_RUN_ANSWER_H

#include <jansson.h>

/* A control_answer; `ctx` is the struct agent. */
json_t *run_answer(void *ctx, const char *command);

#endif
