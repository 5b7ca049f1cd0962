/* Both protocols of the tiers, over a socket pair. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/testbed/rpc.h"

struct pair {
	struct stream client, server;
};

static void connect_pair(struct pair *p)
{
	int fd[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	stream_init(&p->client, fd[0]);
	stream_init(&p->server, fd[1]);
}

static void close_pair(struct pair *p)
{
	stream_close(&p->client);
	stream_close(&p->server);
}

static void call_and_reply(const struct rpc_protocol *protocol, bool good)
{
	const struct rpc_call call = {.method = "cart", .sequence = 41};
	struct rpc_call heard;
	struct pair p;
	bool ok = !good;

	connect_pair(&p);
	for (int i = 0; i < 2; i++) { /* the connection is kept */
		assert_int_equal(protocol->send_call(&p.client, &call), 0);
		assert_int_equal(protocol->receive_call(&p.server, &heard), 0);
		assert_string_equal(heard.method, "cart");
		assert_int_equal(protocol->send_reply(&p.server, &heard, 5000, good), 0);
		assert_int_equal(protocol->receive_reply(&p.client, &call, &ok), 0);
		assert_int_equal(ok, good);
	}
	close_pair(&p);
}

static void http_carries_calls_and_errors(void **state)
{
	(void)state;
	call_and_reply(&rpc_http, true);
	call_and_reply(&rpc_http, false);
}

static void thrift_carries_calls_and_exceptions(void **state)
{
	(void)state;
	call_and_reply(&rpc_thrift, true);
	call_and_reply(&rpc_thrift, false);
}

static void thrift_call_has_the_bytes_of_the_specification(void **state)
{
	static const unsigned char head[] = {
		0x80, 1, 0, 1, 0, 0, 0, 4, 'c', 'a', 'r', 't', 0, 0, 0, 41, 11, 0, 1, 0, 0, 0, 64};
	const struct rpc_call call = {.method = "cart", .sequence = 41};
	unsigned char frame[4 + sizeof(head) + 64 + 1];
	struct pair p;

	(void)state;
	connect_pair(&p);
	assert_int_equal(rpc_thrift.send_call(&p.client, &call), 0);
	assert_int_equal(stream_take(&p.server, frame, sizeof(frame)), 0);
	assert_int_equal(frame[3], sizeof(frame) - 4);
	assert_memory_equal(frame + 4, head, sizeof(head));
	assert_int_equal(frame[sizeof(frame) - 1], 0);
	close_pair(&p);
}

static void thrift_refuses_what_is_not_thrift(void **state)
{
	static const char bad[][32] = {
		"GET / HTTP/1.1\r\n\r\n",
		"\0\0\0\4\0\0\0\0........",
		"\0\0\0\x20\x80\1\0\1\0\0\xff\xff................",
	};
	struct rpc_call heard;
	struct pair p;

	(void)state;
	for (int i = 0; i < 3; i++) {
		connect_pair(&p);
		assert_int_equal(stream_send(&p.client, bad[i], 18), 0);
		assert_int_equal(rpc_thrift.receive_call(&p.server, &heard), -EBADMSG);
		close_pair(&p);
	}
}

static void end_of_connection_is_told(void **state)
{
	struct rpc_call heard;
	struct pair p;

	(void)state;
	connect_pair(&p);
	stream_close(&p.client);
	assert_int_equal(rpc_http.receive_call(&p.server, &heard), -EPIPE);
	close_pair(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(http_carries_calls_and_errors),
		cmocka_unit_test(thrift_carries_calls_and_exceptions),
		cmocka_unit_test(thrift_call_has_the_bytes_of_the_specification),
		cmocka_unit_test(thrift_refuses_what_is_not_thrift),
		cmocka_unit_test(end_of_connection_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
