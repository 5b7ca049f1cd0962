#include "tests/testbed/stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

void stream_init(struct stream *s, int fd)
{
	int one = 1;

	s->fd = fd;
	s->taken = s->filled = 0;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

int stream_connect(struct stream *s, const char *address, unsigned port)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	struct timeval patience = {.tv_sec = STREAM_TIMEOUT_S};
	int err, fd;

	if (inet_pton(AF_INET, address, &to.sin_addr) != 1)
		return -EINVAL;
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(fd, (struct sockaddr *)&to, sizeof(to))) {
		err = -errno;
		close(fd);
		return err;
	}
	stream_init(s, fd);
	return 0;
}

void stream_close(struct stream *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

static int fill(struct stream *s)
{
	ssize_t n;

	s->taken = s->filled = 0;
	do
		n = recv(s->fd, s->buffer, sizeof(s->buffer), 0);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n ? -errno : -EPIPE;
	s->filled = (size_t)n;
	return 0;
}

int stream_take(struct stream *s, void *to, size_t size)
{
	char *at = to;

	while (size) {
		size_t ready = s->filled - s->taken;
		int err;

		if (!ready) {
			err = fill(s);
			if (err)
				return err;
			continue;
		}
		if (ready > size)
			ready = size;
		if (at) {
			memcpy(at, s->buffer + s->taken, ready);
			at += ready;
		}
		s->taken += ready;
		size -= ready;
	}
	return 0;
}

int stream_take_line(struct stream *s, char *to, size_t size)
{
	size_t used = 0;

	for (;;) {
		char c;
		int err = stream_take(s, &c, 1);

		if (err)
			return err;
		if (c == '\n')
			break;
		if (used + 1 == size)
			return -EMSGSIZE;
		to[used++] = c;
	}
	if (used && to[used - 1] == '\r')
		used--;
	to[used] = 0;
	return (int)used;
}

int stream_send(struct stream *s, const void *from, size_t size)
{
	const char *at = from;

	while (size) {
		ssize_t n = send(s->fd, at, size, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		at += n;
		size -= (size_t)n;
	}
	return 0;
}
