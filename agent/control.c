#include "agent/control.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/directory.h"

#define MAX_CLIENTS 16
#define MAX_REQUEST 1024

struct client {
	int fd; /* -1: free */
	size_t length;
	char request[MAX_REQUEST];
	char *answer; /* being sent; owned */
	size_t answer_size, sent;
};

struct control {
	int listener, epoll;
	control_answer *answer;
	void *ctx;
	struct sockaddr_un address;
	struct client client[MAX_CLIENTS];
};

static int fill_address(struct sockaddr_un *address, const char *path)
{
	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	if (!*path)
		return -EINVAL;
	if (strlen(path) >= sizeof(address->sun_path))
		return -ENAMETOOLONG;
	memcpy(address->sun_path, path, strlen(path));
	return 0;
}

/* ---- server ------------------------------------------------------------------ */

static int bind_socket(int fd, const struct sockaddr_un *address)
{
	const struct sockaddr *a = (const struct sockaddr *)address;
	mode_t mask = umask(0177);
	int err = bind(fd, a, sizeof(*address)) ? -errno : 0;

	umask(mask);
	return err;
}

/* A socket file left by an agent that was killed refuses connections: it may go. */
static int replace_stale(int fd, const struct sockaddr_un *address)
{
	int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), err;
	struct stat st;

	if (probe < 0)
		return -errno;
	err = connect(probe, (const struct sockaddr *)address, sizeof(*address)) ? errno : 0;
	close(probe);
	if (err != ECONNREFUSED || lstat(address->sun_path, &st) || !S_ISSOCK(st.st_mode))
		return -EADDRINUSE;
	unlink(address->sun_path);
	return bind_socket(fd, address);
}

static int listen_at(struct control *c)
{
	struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL};
	int err;

	c->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	c->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (c->listener < 0 || c->epoll < 0)
		return -errno;
	directory_make_for(c->address.sun_path, 0755); /* bind says what is wrong if this failed */
	err = bind_socket(c->listener, &c->address);
	if (err == -EADDRINUSE)
		err = replace_stale(c->listener, &c->address);
	if (err) {
		c->address.sun_path[0] = 0; /* not ours to remove */
		return err;
	}
	if (listen(c->listener, MAX_CLIENTS) || epoll_ctl(c->epoll, EPOLL_CTL_ADD, c->listener, &e))
		return -errno;
	return 0;
}

int control_open(struct control **out, const char *path, control_answer *answer, void *ctx)
{
	struct control *c = calloc(1, sizeof(*c));
	int err;

	if (!c)
		return -ENOMEM;
	c->listener = c->epoll = -1;
	c->answer = answer;
	c->ctx = ctx;
	for (int i = 0; i < MAX_CLIENTS; i++)
		c->client[i].fd = -1;
	err = fill_address(&c->address, path);
	if (!err)
		err = listen_at(c);
	if (err) {
		control_close(c);
		return err;
	}
	*out = c;
	return 0;
}

int control_fd(const struct control *c)
{
	return c->epoll;
}

static void drop(struct client *client)
{
	close(client->fd);
	free(client->answer);
	memset(client, 0, sizeof(*client));
	client->fd = -1;
}

static void accept_clients(struct control *c)
{
	int fd;

	while ((fd = accept4(c->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
		struct epoll_event e = {.events = EPOLLIN};
		int i;

		for (i = 0; i < MAX_CLIENTS && c->client[i].fd >= 0; i++)
			;
		if (i == MAX_CLIENTS) {
			close(fd);
			continue;
		}
		c->client[i].fd = fd;
		e.data.ptr = &c->client[i];
		if (epoll_ctl(c->epoll, EPOLL_CTL_ADD, fd, &e))
			drop(&c->client[i]);
	}
}

static json_t *answer_line(struct control *c, const char *line, size_t length)
{
	json_error_t error;
	json_t *request = json_loadb(line, length, 0, &error), *answer = NULL;
	const char *command = json_string_value(json_object_get(request, "command"));

	if (command)
		answer = c->answer(c->ctx, command);
	json_decref(request);
	return answer ? answer
		      : json_pack("{s:s}", "error",
				"no such command; send {\"command\": NAME} and a newline");
}

/* Send what the socket takes; the rest waits for EPOLLOUT. False when the client is done. */
static bool send_some(struct control *c, struct client *client)
{
	struct epoll_event e = {.events = EPOLLOUT, .data.ptr = client};
	ssize_t n = send(client->fd, client->answer + client->sent,
		client->answer_size - client->sent, MSG_NOSIGNAL);

	if (n < 0 && errno != EAGAIN)
		return false;
	client->sent += n > 0 ? (size_t)n : 0;
	if (client->sent == client->answer_size) {
		free(client->answer);
		client->answer = NULL;
		e.events = EPOLLIN;
	}
	return !epoll_ctl(c->epoll, EPOLL_CTL_MOD, client->fd, &e);
}

static bool start_answer(struct control *c, struct client *client, size_t line)
{
	json_t *answer = answer_line(c, client->request, line);
	char *text = answer ? json_dumps(answer, JSON_COMPACT) : NULL;

	json_decref(answer);
	client->length = 0; /* one request at a time: what came with it is dropped */
	if (!text)
		return false;
	client->answer = text;
	client->answer_size = strlen(text) + 1;
	client->sent = 0;
	text[client->answer_size - 1] = '\n'; /* takes the place of the terminating zero */
	return send_some(c, client);
}

static bool receive(struct control *c, struct client *client)
{
	ssize_t n =
		recv(client->fd, client->request + client->length, MAX_REQUEST - client->length, 0);
	char *newline;

	if (n <= 0)
		return n < 0 && errno == EAGAIN;
	client->length += (size_t)n;
	newline = memchr(client->request, '\n', client->length);
	if (newline)
		return start_answer(c, client, (size_t)(newline - client->request));
	return client->length < MAX_REQUEST;
}

void control_events(struct control *c)
{
	struct epoll_event e[MAX_CLIENTS + 1];
	int n = epoll_wait(c->epoll, e, MAX_CLIENTS + 1, 0);

	for (int i = 0; i < n; i++) {
		struct client *client = e[i].data.ptr;

		if (!client)
			accept_clients(c);
		else if (!(client->answer ? send_some(c, client) : receive(c, client)))
			drop(client);
	}
}

void control_close(struct control *c)
{
	if (!c)
		return;
	for (int i = 0; i < MAX_CLIENTS; i++) {
		if (c->client[i].fd >= 0)
			drop(&c->client[i]);
	}
	if (c->listener >= 0)
		close(c->listener);
	if (c->epoll >= 0)
		close(c->epoll);
	if (c->address.sun_path[0])
		unlink(c->address.sun_path);
	free(c);
}

/* ---- client -------------------------------------------------------------------- */

static int ask(int fd, const char *command, json_t **answer)
{
	struct timeval limit = {.tv_sec = 5};
	json_error_t error;
	json_t *a = NULL;
	int first, err = 0;
	FILE *f;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (dprintf(fd, "{\"command\":\"%s\"}\n", command) < 0)
		return -errno;
	f = fdopen(dup(fd), "r");
	if (!f)
		return -errno;
	first = ungetc(fgetc(f), f);
	if (first != EOF)
		a = json_loadf(f, JSON_DISABLE_EOF_CHECK, &error);
	if (!a)
		err = ferror(f) ? -ETIMEDOUT : first == EOF ? -ECONNRESET : -EBADMSG;
	fclose(f);
	if (err)
		return err;
	*answer = a;
	return 0;
}

int control_ask(const char *path, const char *command, json_t **answer)
{
	struct sockaddr_un address;
	int err = fill_address(&address, path), fd;

	if (err)
		return err;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)))
		err = -errno;
	else
		err = ask(fd, command, answer);
	close(fd);
	return err;
}
