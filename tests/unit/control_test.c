#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "agent/control.h"

#define BIG (4U << 20)

static char path[64];

/* "echo": small; "big": more than a socket buffer holds. */
static json_t *answer(void *ctx, const char *command)
{
	char *big;
	json_t *o;

	(void)ctx;
	if (!strcmp(command, "echo"))
		return json_pack("{s:s}", "command", command);
	if (strcmp(command, "big") != 0)
		return NULL;
	big = malloc(BIG);
	memset(big, 'x', BIG);
	o = json_pack("{s:s#}", "text", big, (int)BIG);
	free(big);
	return o;
}

static int open_control(void **state)
{
	snprintf(path, sizeof(path), "/tmp/sage-control-%d.sock", getpid());
	return control_open((struct control **)state, path, answer, NULL);
}

static int close_control(void **state)
{
	control_close(*state);
	return access(path, F_OK) == 0;
}

static int dial(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* Let the server work until the client has something to read or was hung up on. */
static void serve_until_readable(struct control *c, int client)
{
	struct pollfd fd[2] = {
		{.fd = control_fd(c), .events = POLLIN}, {.fd = client, .events = POLLIN}};

	for (int i = 0; i < 1000 && !fd[1].revents; i++) {
		assert_true(poll(fd, 2, 5000) > 0);
		if (fd[0].revents)
			control_events(c);
	}
	assert_true(fd[1].revents);
}

static ssize_t ask(struct control *c, int fd, const char *text, char *reply, size_t size)
{
	ssize_t n;

	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
	serve_until_readable(c, fd);
	n = recv(fd, reply, size - 1, 0);
	reply[n > 0 ? n : 0] = 0;
	return n;
}

static void a_command_is_answered_on_one_line(void **state)
{
	char reply[256];
	int fd = dial();

	for (int i = 0; i < 3; i++) {
		ask(*state, fd, "{\"command\":\"echo\"}\n", reply, sizeof(reply));
		assert_string_equal(reply, "{\"command\":\"echo\"}\n");
	}
	close(fd);
}

static void nonsense_is_answered_with_an_error(void **state)
{
	static const char *const nonsense[] = {
		"\n", "{\n", "[]\n", "{\"command\":7}\n", "{\"command\":\"fly\"}\n", "\xff\xfe\n"};
	char reply[256];
	int fd = dial();

	for (size_t i = 0; i < sizeof(nonsense) / sizeof(*nonsense); i++) {
		ask(*state, fd, nonsense[i], reply, sizeof(reply));
		assert_non_null(strstr(reply, "\"error\""));
	}
	close(fd);
}

static void an_endless_line_is_hung_up_on(void **state)
{
	char text[4096], reply[16];
	int fd = dial();

	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	assert_true(ask(*state, fd, text, reply, sizeof(reply)) <= 0);
	close(fd);
}

static void a_slow_reader_gets_all_and_delays_nobody(void **state)
{
	static char reply[65536];
	char small[256];
	size_t total = 0;
	int slow = dial(), quick = dial();

	ask(*state, slow, "{\"command\":\"big\"}\n", small, sizeof(small));
	total += strlen(small);
	ask(*state, quick, "{\"command\":\"echo\"}\n", small, sizeof(small));
	assert_string_equal(small, "{\"command\":\"echo\"}\n");
	while (total < BIG && !strchr(reply, '\n')) {
		ssize_t n;

		serve_until_readable(*state, slow);
		n = recv(slow, reply, sizeof(reply) - 1, 0);
		assert_true(n > 0);
		reply[n] = 0;
		total += (size_t)n;
	}
	assert_int_equal(total, BIG + strlen("{\"text\":\"\"}\n"));
	close(slow);
	close(quick);
}

static void more_clients_than_seats_are_turned_away(void **state)
{
	char reply[256];
	int fd[20];

	for (int i = 0; i < 20; i++) {
		fd[i] = dial();
		control_events(*state);
	}
	serve_until_readable(*state, fd[19]);
	assert_int_equal(recv(fd[19], reply, sizeof(reply), 0), 0);
	ask(*state, fd[0], "{\"command\":\"echo\"}\n", reply, sizeof(reply));
	assert_string_equal(reply, "{\"command\":\"echo\"}\n");
	for (int i = 0; i < 20; i++)
		close(fd[i]);
}

static void the_client_asks_and_parses(void **state)
{
	struct pollfd fd = {.fd = control_fd(*state), .events = POLLIN};
	pid_t client = fork();
	int status;

	if (!client) {
		json_t *j;

		_exit(control_ask(path, "echo", &j) ||
			strcmp("echo", json_string_value(json_object_get(j, "command"))) != 0);
	}
	while (!waitpid(client, &status, WNOHANG)) {
		if (poll(&fd, 1, 100) > 0)
			control_events(*state);
	}
	assert_int_equal(status, 0);
}

static void only_the_owner_may_connect(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void a_socket_in_use_is_not_taken(void **state)
{
	struct control *second = NULL;

	(void)state;
	assert_int_equal(control_open(&second, path, answer, NULL), -EADDRINUSE);
	assert_null(second);
	assert_int_equal(access(path, F_OK), 0);
}

static void a_socket_left_behind_is_replaced(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct control *c = NULL;

	(void)state;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	assert_int_equal(control_open(&c, path, answer, NULL), 0);
	control_close(c);
}

static void a_file_that_is_no_socket_stays(void **state)
{
	struct control *c = NULL;
	FILE *f = fopen(path, "we");

	(void)state;
	assert_non_null(f);
	fclose(f);
	assert_int_equal(control_open(&c, path, answer, NULL), -EADDRINUSE);
	assert_int_equal(access(path, F_OK), 0);
	unlink(path);
}

static void without_an_agent_asking_fails(void **state)
{
	json_t *j = NULL;

	(void)state;
	assert_int_equal(control_ask(path, "echo", &j), -ENOENT);
	assert_int_equal(control_ask("", "echo", &j), -EINVAL);
	assert_null(j);
}

static void an_agent_that_ends_meanwhile_is_told_as_that(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), status;
	char line[64];
	pid_t client;

	(void)state;
	snprintf(path, sizeof(path), "/tmp/sage-control-%d.sock", getpid());
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 1), 0);
	client = fork();
	if (!client) {
		json_t *j;

		_exit(control_ask(path, "echo", &j) != -ECONNRESET);
	}
	status = accept(fd, NULL, NULL);
	assert_true(read(status, line, sizeof(line)) > 0);
	close(status);
	waitpid(client, &status, 0);
	assert_int_equal(status, 0);
	close(fd);
	unlink(path);
}

#define SERVED(test) cmocka_unit_test_setup_teardown(test, open_control, close_control)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SERVED(a_command_is_answered_on_one_line),
		SERVED(nonsense_is_answered_with_an_error),
		SERVED(an_endless_line_is_hung_up_on),
		SERVED(a_slow_reader_gets_all_and_delays_nobody),
		SERVED(more_clients_than_seats_are_turned_away),
		SERVED(the_client_asks_and_parses),
		SERVED(only_the_owner_may_connect),
		SERVED(a_socket_in_use_is_not_taken),
		cmocka_unit_test(a_socket_left_behind_is_replaced),
		cmocka_unit_test(a_file_that_is_no_socket_stays),
		cmocka_unit_test(without_an_agent_asking_fails),
		cmocka_unit_test(an_agent_that_ends_meanwhile_is_told_as_that),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
