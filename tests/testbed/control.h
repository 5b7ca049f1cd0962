/*
 * Turning a running program of the testbed from outside: one text line in a
 * datagram on a unix socket with a path, which reaches across namespaces.
 */
#ifndef SAGE_TESTBED_CONTROL_H
#define SAGE_TESTBED_CONTROL_H

#include <stddef.h>

/* Listen at `path`, replacing what is there. Returns a descriptor or -errno. */
int control_listen(const char *path);

/* Take the next line, without waiting. Returns its length, -EAGAIN when there is none. */
int control_receive(int fd, char *line, size_t size);

/* Send a line. Returns 0 or -errno (nobody listens: -ECONNREFUSED or -ENOENT). */
int control_send(const char *path, const char *line);

#endif
