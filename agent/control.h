/*
 * The agent's unix socket: a client sends a line of JSON, {"command": "status"},
 * and gets a line of JSON back.
 *
 * The server part belongs to the agent's main loop and never blocks: clients, their
 * requests and the answers waiting for them are bounded. Answers are the one thing
 * the running agent allocates for. The client part is for the command line and waits.
 */
#ifndef SAGE_AGENT_CONTROL_H
#define SAGE_AGENT_CONTROL_H

#include <jansson.h>

#define CONTROL_SOCKET "/run/sage/agent.sock"

struct control;

/* Makes the answer to a command; a new reference, or NULL for an unknown command. */
typedef json_t *control_answer(void *ctx, const char *command);

/*
 * Listen, mode 0600. A socket nobody listens on is replaced. Returns 0, -EADDRINUSE
 * when another agent answers there, or -errno.
 */
int control_open(struct control **c, const char *path, control_answer *answer, void *ctx);

/* Readable when control_events() has something to do. */
int control_fd(const struct control *c);
void control_events(struct control *c);

/* Removes the socket. Safe on NULL. */
void control_close(struct control *c);

/*
 * Ask a running agent. Returns 0 and a new reference, -ENOENT or -ECONNREFUSED when no
 * agent runs there, -EACCES, -ETIMEDOUT after 5 s, -ECONNRESET when it ends meanwhile, -EBADMSG for
 * an answer that is no JSON.
 */
int control_ask(const char *path, const char *command, json_t **answer);

#endif
