/* First bytes of messages: which protocol, which kind, and that none takes another's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "bpf/rpc_glance.h"
#include "common/wire.h"

enum from { CLIENT, SERVER };

struct sample {
	const char *what;
	const char *bytes;
	size_t size;
	enum from from;
	enum rpc_protocol protocol; /* recognised out of the blue; RPC_TCP = not */
	enum rpc_verdict verdict;   /* likewise */
	enum rpc_protocol spoken;   /* on a connection that speaks this */
	enum rpc_verdict known;     /* it is that */
};

#define BYTES(b) b, sizeof(b) - 1

/* Recognised at sight, and the same afterwards. */
#define PLAIN(what, from, protocol, verdict, bytes)                                                \
	{                                                                                          \
		what, BYTES(bytes), from, protocol, verdict, protocol, verdict                     \
	}
/* Understood only where the protocol is known. */
#define LATER(what, from, protocol, verdict, bytes)                                                \
	{                                                                                          \
		what, BYTES(bytes), from, RPC_TCP, RPC_NOTHING, protocol, verdict                  \
	}

#define ZEROS4 "\0\0\0\0"
#define MYSQL_LOGIN                                                                                \
	"\x4c\0\0\x01\x8d\xa2\x0b\0\0\0\0\x40\x2d" ZEROS4 ZEROS4 ZEROS4 ZEROS4 ZEROS4              \
	"\x1d\0\0root\0"
#define MONGODB(id, to, kind, flags) "\x60\0\0\0" id to kind flags

static const struct sample samples[] = {
	/* HTTP/1 */
	PLAIN("GET", CLIENT, RPC_HTTP1, RPC_REQUEST, "GET / HTTP/1.1\r\n"),
	PLAIN("OPTIONS", CLIENT, RPC_HTTP1, RPC_REQUEST, "OPTIONS * HTTP/1.1\r\n"),
	PLAIN("200", SERVER, RPC_HTTP1, RPC_RESPONSE, "HTTP/1.1 200 OK\r\n"),
	PLAIN("404 is the client's", SERVER, RPC_HTTP1, RPC_RESPONSE, "HTTP/1.0 404 No\r\n"),
	PLAIN("503", SERVER, RPC_HTTP1, RPC_ERROR, "HTTP/1.1 503 Busy\r\n"),
	PLAIN("100 precedes", SERVER, RPC_HTTP1, RPC_INTERIM, "HTTP/1.1 100 Continue\r\n\r\n"),
	PLAIN("101 switches", SERVER, RPC_HTTP1, RPC_STREAM, "HTTP/1.1 101 Switching\r\n"),
	PLAIN("CONNECT", CLIENT, RPC_HTTP1, RPC_STREAM, "CONNECT a:443 HTTP/1.1\r\n"),
	PLAIN("no status", SERVER, RPC_TCP, RPC_NOTHING, "HTTP/1.1 xyz\r\n"),

	/* DNS over TCP */
	PLAIN("question", CLIENT, RPC_DNS, RPC_REQUEST,
		"\0\x1e\x12\x34\1\0\0\1\0\0\0\0\0\0\4host\4test\0\0\1\0\1"),
	PLAIN("question with EDNS", CLIENT, RPC_DNS, RPC_REQUEST,
		"\0\x1c\xff\xff\1\x20\0\1\0\0\0\0\0\1\0\0\2\0\1\0\0\x29\x10\0\0\0\0\0\0\0"),
	PLAIN("answer", SERVER, RPC_DNS, RPC_RESPONSE,
		"\0\x2a\x12\x34\x81\x80\0\1\0\1\0\0\0\0\4host\4test\0\0\1\0\1\xc0\x0c\0\1"),
	PLAIN("no such name", SERVER, RPC_DNS, RPC_RESPONSE,
		"\0\x1e\x12\x34\x81\x83\0\1\0\0\0\0\0\0\4host\4test\0\0\1\0\1"),
	PLAIN("server failure", SERVER, RPC_DNS, RPC_ERROR,
		"\0\x1e\x12\x34\x81\x82\0\1\0\0\0\0\0\0\4host\4test\0\0\1\0\1"),
	LATER("refused without the question", SERVER, RPC_DNS, RPC_ERROR,
		"\0\x0c\x12\x34\x81\5\0\0\0\0\0\0\0\0"),
	LATER("update", CLIENT, RPC_DNS, RPC_REQUEST,
		"\0\x1e\x12\x34\x28\0\0\1\0\0\0\1\0\0\4test\0\0\6\0\1\1a\xc0\x0c\0\1"),

	/* Thrift */
	PLAIN("framed call", CLIENT, RPC_THRIFT, RPC_REQUEST,
		"\0\0\0\x11\x80\1\0\1\0\0\0\4ping\0\0\0\1\0"),
	PLAIN("unframed call", CLIENT, RPC_THRIFT, RPC_REQUEST, "\x80\1\0\1\0\0\0\4ping\0\0\0\1\0"),
	PLAIN("reply", SERVER, RPC_THRIFT, RPC_RESPONSE,
		"\0\0\0\x11\x80\1\0\2\0\0\0\4ping\0\0\0\1\0"),
	PLAIN("exception", SERVER, RPC_THRIFT, RPC_ERROR,
		"\0\0\0\x11\x80\1\0\3\0\0\0\4ping\0\0\0\1\0"),
	PLAIN("one-way", CLIENT, RPC_THRIFT, RPC_NO_CALL, "\x80\1\0\4\0\0\0\4ping\0\0\0\1\0"),
	PLAIN("compact call", CLIENT, RPC_THRIFT, RPC_REQUEST, "\x82\x21\x01\x04ping\0"),
	PLAIN("framed compact call", CLIENT, RPC_THRIFT, RPC_REQUEST,
		"\0\0\0\x0a\x82\x21\x81\x01\x04ping\0"),
	PLAIN("compact reply", SERVER, RPC_THRIFT, RPC_RESPONSE, "\x82\x41\x01\x04ping\0"),
	PLAIN("compact exception", SERVER, RPC_THRIFT, RPC_ERROR, "\x82\x61\x01\x04ping\0"),
	PLAIN("compact one-way", CLIENT, RPC_THRIFT, RPC_NO_CALL, "\x82\x81\x01\x04ping\0"),
	PLAIN("compact of version 2", CLIENT, RPC_TCP, RPC_NOTHING, "\x82\x22\x01\x04ping\0"),

	/* Redis */
	PLAIN("command", CLIENT, RPC_REDIS, RPC_MESSAGE, "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"),
	PLAIN("value", SERVER, RPC_REDIS, RPC_RESPONSE, "$5\r\nhello\r\n"),
	PLAIN("error", SERVER, RPC_REDIS, RPC_ERROR, "-WRONGTYPE Operation\r\n"),
	PLAIN("subscribed", SERVER, RPC_REDIS, RPC_STREAM, "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n"),
	PLAIN("subscribed, RESP3", SERVER, RPC_REDIS, RPC_STREAM,
		">3\r\n$10\r\npsubscribe\r\n$1\r\nc\r\n"),
	PLAIN("HELLO's map", SERVER, RPC_REDIS, RPC_RESPONSE, "%7\r\n$6\r\nserver\r\n"),
	PLAIN("push", SERVER, RPC_REDIS, RPC_RESPONSE, ">2\r\n$10\r\ninvalidate\r\n*1\r\n"),
	PLAIN("blob error", SERVER, RPC_REDIS, RPC_ERROR, "!21\r\nSYNTAX invalid syntax\r\n"),
	PLAIN("null", SERVER, RPC_REDIS, RPC_RESPONSE, "_\r\n"),
	PLAIN("replica", SERVER, RPC_REDIS, RPC_STREAM, "+FULLRESYNC 8de1787ba490483314a4d30f1"),
	PLAIN("no number", SERVER, RPC_TCP, RPC_NOTHING, "$abc\r\n"),

	/* memcached */
	PLAIN("get", CLIENT, RPC_MEMCACHED, RPC_REQUEST, "get k\r\n"),
	PLAIN("value", SERVER, RPC_MEMCACHED, RPC_RESPONSE, "VALUE k 0 1\r\nv\r\nEND\r\n"),
	PLAIN("error", SERVER, RPC_MEMCACHED, RPC_ERROR, "ERROR\r\n"),
	PLAIN("client's error", SERVER, RPC_MEMCACHED, RPC_ERROR, "CLIENT_ERROR bad data\r\n"),
	PLAIN("meta get", CLIENT, RPC_MEMCACHED, RPC_REQUEST, "mg key v q\r\n"),
	PLAIN("meta no operation", CLIENT, RPC_MEMCACHED, RPC_REQUEST, "mn\r\n"),
	PLAIN("its answer", SERVER, RPC_MEMCACHED, RPC_RESPONSE, "MN\r\n"),
	PLAIN("meta value", SERVER, RPC_MEMCACHED, RPC_RESPONSE, "VA 5 t0\r\nhello\r\n"),
	PLAIN("meta miss", SERVER, RPC_MEMCACHED, RPC_RESPONSE, "EN\r\n"),
	PLAIN("binary get", CLIENT, RPC_MEMCACHED, RPC_REQUEST,
		"\x80\0\0\1\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0k"),
	PLAIN("binary error", SERVER, RPC_MEMCACHED, RPC_ERROR,
		"\x81\x01\0\0\0\0\0\x84\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),

	/* PostgreSQL */
	PLAIN("start-up", CLIENT, RPC_POSTGRESQL, RPC_NO_CALL, "\0\0\0\x29\0\3\0\0user\0po\0\0"),
	PLAIN("query", CLIENT, RPC_POSTGRESQL, RPC_REQUEST, "Q\0\0\0\x0dselect 1\0"),
	PLAIN("rows", SERVER, RPC_POSTGRESQL, RPC_RESPONSE, "T\0\0\0\x21\0\1?column?\0"),
	PLAIN("error", SERVER, RPC_POSTGRESQL, RPC_ERROR, "E\0\0\0\x40SERROR\0VERROR\0C22012\0"),
	LATER("terminate", CLIENT, RPC_POSTGRESQL, RPC_NO_CALL, "X\0\0\0\4"),
	LATER("COPY from the client", SERVER, RPC_POSTGRESQL, RPC_INTERIM, "G\0\0\0\x09\0\0\1\0\0"),
	LATER("data of it", CLIENT, RPC_POSTGRESQL, RPC_NO_CALL, "d\0\0\0\x06x\n"),
	LATER("replication", SERVER, RPC_POSTGRESQL, RPC_STREAM, "W\0\0\0\x07\0\0\0"),

	/* MySQL */
	{"greeting",
		BYTES("\x5b\0\0\0\x0a"
		      "5.5.5-10.11.6-MariaDB\0\x08\0\0\0abcdefgh\0xx"),
		SERVER, RPC_MYSQL, RPC_INTERIM, RPC_MYSQL, RPC_RESPONSE},
	PLAIN("login", CLIENT, RPC_MYSQL, RPC_NO_CALL, MYSQL_LOGIN),
	PLAIN("query", CLIENT, RPC_MYSQL, RPC_REQUEST, "\x09\0\0\0\x03select 1"),
	PLAIN("prepare", CLIENT, RPC_MYSQL, RPC_REQUEST, "\x09\0\0\0\x16select ?"),
	PLAIN("execute", CLIENT, RPC_MYSQL, RPC_REQUEST, "\x0a\0\0\0\x17\1\0\0\0\0\1\0\0\0"),
	PLAIN("OK", SERVER, RPC_MYSQL, RPC_RESPONSE, "\x07\0\0\x01\0\0\0\2\0\0\0"),
	PLAIN("error", SERVER, RPC_MYSQL, RPC_ERROR,
		"\x18\0\0\x01\xff\x28\x04#42000You have an err"),
	LATER("ping", CLIENT, RPC_MYSQL, RPC_REQUEST, "\1\0\0\0\x0e"),
	LATER("quit", CLIENT, RPC_MYSQL, RPC_NO_CALL, "\1\0\0\0\1"),
	LATER("close statement", CLIENT, RPC_MYSQL, RPC_NO_CALL, "\5\0\0\0\x19\1\0\0\0"),
	LATER("long data", CLIENT, RPC_MYSQL, RPC_NO_CALL, "\x0b\0\0\0\x18\1\0\0\0\0\0data"),
	LATER("sign-in goes on", CLIENT, RPC_MYSQL, RPC_NO_CALL,
		"\x14\0\0\x03"
		"01234567890123456789"),
	LATER("dump of the log", CLIENT, RPC_MYSQL, RPC_STREAM,
		"\x0b\0\0\0\x12\4\0\0\0\0\0\1\0\0\0"),
	LATER("rows", SERVER, RPC_MYSQL, RPC_RESPONSE, "\1\0\0\1\1\x17\0\0\2\3def"),
	LATER("TLS follows", CLIENT, RPC_MYSQL, RPC_NO_CALL,
		"\x20\0\0\x01\x85\xae\x0b\0\0\0\0\x40\x2d" ZEROS4 ZEROS4 ZEROS4 ZEROS4 ZEROS4),

	/* MongoDB */
	PLAIN("message", CLIENT, RPC_MONGODB, RPC_REQUEST,
		MONGODB("\7\0\0\0", ZEROS4, "\xdd\7\0\0", ZEROS4) "\0\x4b\0\0\0\2find"),
	PLAIN("answer", SERVER, RPC_MONGODB, RPC_RESPONSE,
		MONGODB("\x51\0\0\0", "\7\0\0\0", "\xdd\7\0\0", ZEROS4) "\0\x4b\0\0\0\3cursor\0"),
	PLAIN("failure", SERVER, RPC_MONGODB, RPC_ERROR,
		MONGODB("\x51\0\0\0", "\7\0\0\0", "\xdd\7\0\0",
			ZEROS4) "\0\x4b\0\0\0\1ok\0" ZEROS4 ZEROS4 "\2errmsg\0"),
	PLAIN("success said first", SERVER, RPC_MONGODB, RPC_RESPONSE,
		MONGODB("\x51\0\0\0", "\7\0\0\0", "\xdd\7\0\0", ZEROS4) "\0\x4b\0\0\0\1ok\0" ZEROS4
									"\0\0\xf0\x3f"
									"\0"),
	PLAIN("unacknowledged", CLIENT, RPC_MONGODB, RPC_NO_CALL,
		MONGODB("\7\0\0\0", ZEROS4, "\xdd\7\0\0", "\2\0\0\0") "\0\x4b\0\0\0"),
	PLAIN("monitor", CLIENT, RPC_MONGODB, RPC_NO_CALL,
		MONGODB("\7\0\0\0", ZEROS4, "\xdd\7\0\0", "\0\0\1\0") "\0\x4b\0\0\0"),
	PLAIN("pushed", SERVER, RPC_MONGODB, RPC_STREAM,
		MONGODB("\x51\0\0\0", "\7\0\0\0", "\xdd\7\0\0", "\2\0\0\0") "\0\x4b\0\0\0"),
	PLAIN("handshake", CLIENT, RPC_MONGODB, RPC_REQUEST,
		MONGODB("\1\0\0\0", ZEROS4, "\xd4\7\0\0", ZEROS4) "admin.$cmd\0"),
	PLAIN("old reply", SERVER, RPC_MONGODB, RPC_RESPONSE,
		MONGODB("\x51\0\0\0", "\1\0\0\0", "\1\0\0\0", "\x08\0\0\0")),
	PLAIN("compressed", CLIENT, RPC_MONGODB, RPC_REQUEST,
		MONGODB("\7\0\0\0", ZEROS4, "\xdc\7\0\0", "\xdd\7\0\0")),

	/* Kafka */
	PLAIN("versions", CLIENT, RPC_KAFKA, RPC_REQUEST,
		"\0\0\0\x11\0\x12\0\2\0\0\0\0\0\7kafkajs"),
	PLAIN("metadata, nameless", CLIENT, RPC_KAFKA, RPC_REQUEST,
		"\0\0\0\x0e\0\3\0\1\0\0\0\1\xff\xff\0\0\0\0"),
	PLAIN("produce, acknowledged", CLIENT, RPC_KAFKA, RPC_REQUEST,
		"\0\0\0\x60\0\0\0\7\0\0\0\2\0\7kafkajs\xff\xff\xff\xff\0\0\x75\x30"),
	PLAIN("produce, not acknowledged", CLIENT, RPC_KAFKA, RPC_NO_CALL,
		"\0\0\0\x60\0\0\0\7\0\0\0\2\0\7kafkajs\xff\xff\0\0\0\0\x75\x30"),
	PLAIN("produce v9, not acknowledged", CLIENT, RPC_KAFKA, RPC_NO_CALL,
		"\0\0\0\x60\0\0\0\x09\0\0\0\2\0\7rdkafka\0\0\0\0\0\0\x75\x30"),
	PLAIN("fetch waits", CLIENT, RPC_KAFKA, RPC_NO_CALL,
		"\0\0\0\x60\0\1\0\x0b\0\0\0\2\0\7kafkajs\xff\xff\xff\xff"),
	LATER("response", SERVER, RPC_KAFKA, RPC_RESPONSE, "\0\0\0\x20\0\0\0\2\0\0\0\0"),

	/* AMQP 0-9-1 */
	PLAIN("header", CLIENT, RPC_AMQP, RPC_NO_CALL, "AMQP\0\0\x09\x01"),
	PLAIN("open channel", CLIENT, RPC_AMQP, RPC_REQUEST, "\1\0\1\0\0\0\5\0\x14\0\x0a\0\xce"),
	PLAIN("opened", SERVER, RPC_AMQP, RPC_RESPONSE,
		"\1\0\1\0\0\0\x08\0\x14\0\x0b" ZEROS4 "\xce"),
	LATER("declare", CLIENT, RPC_AMQP, RPC_REQUEST,
		"\1\0\1\0\0\0\x40\0\x32\0\x0a\0\0\x20queue"),
	LATER("publish", CLIENT, RPC_AMQP, RPC_STREAM, "\1\0\1\0\0\0\x40\0\x3c\0\x28\0\0\0"),
	LATER("consume", CLIENT, RPC_AMQP, RPC_STREAM, "\1\0\1\0\0\0\x40\0\x3c\0\x14\0\0\0"),
	LATER("acknowledge", CLIENT, RPC_AMQP, RPC_NO_CALL,
		"\1\0\1\0\0\0\x0d\0\x3c\0\x50" ZEROS4 ZEROS4),
	LATER("sign of life", CLIENT, RPC_AMQP, RPC_NO_CALL, "\x08\0\0\0\0\0\0\xce"),
	LATER("a mistake", SERVER, RPC_AMQP, RPC_ERROR,
		"\1\0\1\0\0\0\x40\0\x14\0\x28\1\x94NOT_FOUND"),
	PLAIN("AMQP 1.0", CLIENT, RPC_TCP, RPC_NOTHING, "AMQP\0\1\0\0"),

	/* NATS */
	PLAIN("greeting", SERVER, RPC_NATS, RPC_STREAM, "INFO {\"server_id\":\"N\"} \r\n"),
	PLAIN("connect", CLIENT, RPC_NATS, RPC_STREAM, "CONNECT {\"verbose\":false}\r\n"),
	PLAIN("publish", CLIENT, RPC_NATS, RPC_STREAM, "PUB a 1\r\nx\r\n"),
	PLAIN("message", SERVER, RPC_NATS, RPC_STREAM, "MSG a 1 1\r\nx\r\n"),

	/* of nobody */
	{"TLS", BYTES("\x16\3\1\2\0\1\0\1\xfc\3\3"), CLIENT, RPC_TCP, RPC_NOTHING, RPC_TCP,
		RPC_NOTHING},
	{"zeros", BYTES(ZEROS4 ZEROS4 ZEROS4 ZEROS4 ZEROS4 ZEROS4), CLIENT, RPC_TCP, RPC_NOTHING,
		RPC_TCP, RPC_NOTHING},
	{"ones", BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), SERVER,
		RPC_TCP, RPC_NOTHING, RPC_TCP, RPC_NOTHING},
	{"text", BYTES("Hello, how are you today?\r\n"), CLIENT, RPC_TCP, RPC_NOTHING, RPC_TCP,
		RPC_NOTHING},
	{"SSH", BYTES("SSH-2.0-OpenSSH_9.2\r\n"), SERVER, RPC_TCP, RPC_NOTHING, RPC_TCP,
		RPC_NOTHING},
};

#define SAMPLES (sizeof(samples) / sizeof(samples[0]))

static struct rpc_glance glance_of(const struct sample *s, size_t size)
{
	struct rpc_glance g = {0};

	if (size > RPC_GLANCE)
		size = RPC_GLANCE;
	memcpy(g.byte, s->bytes, size);
	g.size = (__u32)size;
	return g;
}

static enum rpc_verdict look(const struct rpc_glance *g, enum from from, __u32 *protocol)
{
	return glance_at(g, from == SERVER, protocol);
}

static void the_protocol_is_recognised_at_sight(void **state)
{
	(void)state;
	for (size_t i = 0; i < SAMPLES; i++) {
		const struct sample *s = &samples[i];
		struct rpc_glance g = glance_of(s, s->size);
		__u32 protocol = RPC_TCP;
		enum rpc_verdict v = look(&g, s->from, &protocol);

		if (protocol != s->protocol || v != s->verdict)
			fail_msg("%s, %s: taken for %s, verdict %d", wire_protocol_name(s->spoken),
				s->what, wire_protocol_name(protocol), (int)v);
	}
}

static void on_a_known_connection_each_message_has_its_kind(void **state)
{
	(void)state;
	for (size_t i = 0; i < SAMPLES; i++) {
		const struct sample *s = &samples[i];
		struct rpc_glance g = glance_of(s, s->size);
		__u32 protocol = s->spoken;
		enum rpc_verdict v = look(&g, s->from, &protocol);

		if (protocol != s->spoken || v != s->known)
			fail_msg("%s, %s: verdict %d", wire_protocol_name(s->spoken), s->what,
				(int)v);
	}
}

/* A message may come in pieces: the first few bytes alone are nothing, or the same protocol. */
static void the_start_of_a_message_is_nobody_elses(void **state)
{
	(void)state;
	for (size_t i = 0; i < SAMPLES; i++) {
		const struct sample *s = &samples[i];

		for (size_t size = 0; size < s->size; size++) {
			struct rpc_glance g = glance_of(s, size);
			__u32 protocol = RPC_TCP;

			(void)look(&g, s->from, &protocol);
			if (protocol != RPC_TCP && protocol != s->spoken)
				fail_msg("%s, %s: the first %zu bytes are taken for %s",
					wire_protocol_name(s->spoken), s->what, size,
					wire_protocol_name(protocol));
		}
	}
}

static void both_halves_number_protocols_alike(void **state)
{
	(void)state;
	assert_int_equal(RPC_PROTOCOLS, WIRE_PROTOCOLS);
	assert_string_equal(wire_protocol_name(RPC_HTTP1), "http");
	assert_string_equal(wire_protocol_name(RPC_POSTGRESQL), "postgresql");
	assert_string_equal(wire_protocol_name(RPC_NATS), "nats");
	assert_string_equal(wire_protocol_name(RPC_DNS), "dns");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_protocol_is_recognised_at_sight),
		cmocka_unit_test(on_a_known_connection_each_message_has_its_kind),
		cmocka_unit_test(the_start_of_a_message_is_nobody_elses),
		cmocka_unit_test(both_halves_number_protocols_alike),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
