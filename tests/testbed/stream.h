/*
 * A TCP connection with a read buffer, used by one thread at a time, blocking.
 * A peer silent for STREAM_TIMEOUT_S counts as gone on the calling side.
 */
#ifndef SAGE_TESTBED_STREAM_H
#define SAGE_TESTBED_STREAM_H

#include <stddef.h>
#include <stdint.h>

#define STREAM_TIMEOUT_S 5
#define STREAM_BUFFER 4096

struct stream {
	int fd;
	size_t taken, filled; /* buffer[taken..filled) is read but not used */
	char buffer[STREAM_BUFFER];
};

/* Take over a connected descriptor. */
void stream_init(struct stream *s, int fd);

/* Connect to an IPv4 address. Returns 0 or -errno. */
int stream_connect(struct stream *s, const char *address, unsigned port);

void stream_close(struct stream *s);

/* Take exactly `size` bytes; `to` may be NULL to drop them. 0, -EPIPE at the end, or -errno. */
int stream_take(struct stream *s, void *to, size_t size);

/*
 * Take a line up to and with its "\n", handed out without "\r\n" and ended by
 * a zero. Returns its length, -EMSGSIZE when longer than `size`, or as above.
 */
int stream_take_line(struct stream *s, char *to, size_t size);

/* Send all of it in one piece. Returns 0 or -errno. */
int stream_send(struct stream *s, const void *from, size_t size);

#endif
