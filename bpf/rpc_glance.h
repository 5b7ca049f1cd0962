/*
 * What the first bytes of a message say: its protocol, and what kind of message it is.
 *
 * A message is looked at where something is to be learned (rpc_connection.h decides):
 * while the protocol is unknown, at the first bytes of an answer (errors), and at the
 * first bytes of a request where a protocol has messages that get no answer. Pure
 * functions of at most RPC_GLANCE bytes; `size` of them are good, the rest are zero.
 *
 * Thrift: specification of the binary protocol, strict, framed or not. PostgreSQL:
 * frontend/backend protocol 3.0. Redis: RESP2 and RESP3. memcached: text, meta, binary.
 */
#ifndef SAGE_BPF_RPC_GLANCE_H
#define SAGE_BPF_RPC_GLANCE_H

#include "bpf/event.h"
#include "bpf/kernel.h"

#define RPC_GLANCE 24

struct rpc_glance {
	__u8 byte[RPC_GLANCE];
	__u32 size;
	__u32 pad0;
};

enum rpc_verdict {
	RPC_NOTHING, /* nothing recognised */
	RPC_MESSAGE, /* recognised, direction unsaid */
	RPC_REQUEST, /* a call */
	RPC_NO_CALL, /* from the client, and not a call: one-way, start-up, farewell */
	RPC_RESPONSE,
	RPC_ERROR,   /* a response that reports failure */
	RPC_INTERIM, /* from the server, and the response is still to come */
	RPC_STREAM,  /* from here on the server speaks unasked */
};

static __always_inline __u32 be32(const __u8 *b)
{
	return (__u32)b[0] << 24 | (__u32)b[1] << 16 | (__u32)b[2] << 8 | b[3];
}

#define WORD(a, b, c, d) ((__u32)(a) << 24 | (__u32)(b) << 16 | (__u32)(c) << 8 | (__u32)(d))

static __always_inline bool digit(__u8 b)
{
	return b >= '0' && b <= '9';
}

static __always_inline bool upper(__u8 b)
{
	return b >= 'A' && b <= 'Z';
}

static __always_inline enum rpc_verdict glance_http1(const struct rpc_glance *g)
{
	const __u8 *b = g->byte;

	switch (be32(b)) {
	case WORD('G', 'E', 'T', ' '):
	case WORD('P', 'U', 'T', ' '):
	case WORD('P', 'O', 'S', 'T'):
	case WORD('H', 'E', 'A', 'D'):
	case WORD('D', 'E', 'L', 'E'):
	case WORD('P', 'A', 'T', 'C'):
	case WORD('O', 'P', 'T', 'I'):
		return RPC_REQUEST;
	case WORD('H', 'T', 'T', 'P'):
		if (b[4] != '/')
			return RPC_NOTHING;
		return b[9] == '5' ? RPC_ERROR : b[9] == '1' ? RPC_INTERIM : RPC_RESPONSE;
	default:
		return RPC_NOTHING;
	}
}

static __always_inline enum rpc_verdict glance_thrift(const struct rpc_glance *g)
{
	__u32 first = be32(g->byte), second = be32(g->byte + 4), third = be32(g->byte + 8);
	bool framed = first >> 24 == 0 && g->size >= 8;
	__u32 version, name;

	barrier_var(first);
	barrier_var(second);
	barrier_var(third);
	version = framed ? second : first;
	name = framed ? third : second; /* its length */
	if (version >> 8 != 0x800100 || name >> 16)
		return RPC_NOTHING;
	switch (version & 0xff) {
	case 1:
		return RPC_REQUEST;
	case 2:
		return RPC_RESPONSE;
	case 3:
		return RPC_ERROR;
	case 4:
		return RPC_NO_CALL;
	default:
		return RPC_NOTHING;
	}
}

/* Whether the line after the type byte is a number: "$5\r\n", "*-1\r\n", ":100\r\n". */
static __always_inline bool redis_number(const __u8 *b)
{
	if (!digit(b[1]) && !(b[1] == '-' && digit(b[2])))
		return false;
	for (int i = 2; i < 12; i++) {
		if (b[i] == '\r')
			return b[i + 1] == '\n';
		if (!digit(b[i]))
			return false;
	}
	return false;
}

/* "*3\r\n$9\r\nsubscribe", "*3\r\n$10\r\npsubscribe", the answer of a server that will push. */
static __always_inline bool redis_subscribed(const __u8 *b)
{
	if ((b[0] != '*' && b[0] != '>') || b[1] != '3' || b[4] != '$')
		return false;
	return be32(b + 8) == WORD('s', 'u', 'b', 's') || be32(b + 9) == WORD('p', 's', 'u', 'b') ||
	       be32(b + 9) == WORD('s', 's', 'u', 'b');
}

static __always_inline enum rpc_verdict glance_redis(const struct rpc_glance *g)
{
	const __u8 *b = g->byte;

	switch (b[0]) {
	case '*':
	case '>':
		if (!redis_number(b))
			return RPC_NOTHING;
		return redis_subscribed(b) ? RPC_STREAM : RPC_MESSAGE;
	case '$':
	case ':':
		return redis_number(b) ? RPC_RESPONSE : RPC_NOTHING;
	case '+':
		switch (be32(b)) {
		case WORD('+', 'O', 'K', '\r'):
		case WORD('+', 'P', 'O', 'N'):
		case WORD('+', 'Q', 'U', 'E'):
			return RPC_RESPONSE;
		default:
			return RPC_NOTHING;
		}
	case '-':
		return upper(b[1]) && upper(b[2]) && upper(b[3]) ? RPC_ERROR : RPC_NOTHING;
	default:
		return RPC_NOTHING;
	}
}

/* Binary: opcodes end at 0x25, the data type (byte 5) is always 0, errors start at 0x81. */
static __always_inline enum rpc_verdict memcached_binary(const __u8 *b)
{
	if (b[1] > 0x25 || b[5] != 0)
		return RPC_NOTHING;
	if (b[0] == 0x80)
		return RPC_REQUEST;
	return b[6] != 0 || b[7] >= 0x81 ? RPC_ERROR : RPC_RESPONSE;
}

static __always_inline enum rpc_verdict glance_memcached(const struct rpc_glance *g)
{
	const __u8 *b = g->byte;

	if ((b[0] == 0x80 || b[0] == 0x81) && g->size >= 8)
		return memcached_binary(b);
	if (b[0] == 'm' && (b[1] == 'g' || b[1] == 's') && b[2] == ' ')
		return RPC_REQUEST;
	switch (be32(b)) {
	case WORD('g', 'e', 't', ' '):
	case WORD('g', 'e', 't', 's'):
	case WORD('s', 'e', 't', ' '):
	case WORD('a', 'd', 'd', ' '):
	case WORD('c', 'a', 's', ' '):
	case WORD('i', 'n', 'c', 'r'):
	case WORD('d', 'e', 'c', 'r'):
	case WORD('d', 'e', 'l', 'e'):
	case WORD('t', 'o', 'u', 'c'):
	case WORD('v', 'e', 'r', 's'):
		return RPC_REQUEST;
	case WORD('V', 'A', 'L', 'U'):
	case WORD('E', 'N', 'D', '\r'):
	case WORD('S', 'T', 'O', 'R'):
	case WORD('N', 'O', 'T', '_'):
	case WORD('D', 'E', 'L', 'E'):
	case WORD('T', 'O', 'U', 'C'):
	case WORD('V', 'E', 'R', 'S'):
	case WORD('H', 'D', '\r', '\n'):
	case WORD('E', 'N', '\r', '\n'):
		return RPC_RESPONSE;
	case WORD('E', 'R', 'R', 'O'):
		return b[5] == '\r' ? RPC_ERROR : RPC_NOTHING;
	case WORD('S', 'E', 'R', 'V'):
	case WORD('C', 'L', 'I', 'E'):
		return b[6] == '_' ? RPC_ERROR : RPC_NOTHING;
	default:
		return RPC_NOTHING;
	}
}

/* A start-up packet has no type: a length, then the version 3.x or a request for TLS or GSS. */
static __always_inline bool postgresql_startup(const __u8 *b)
{
	__u32 version = be32(b + 4);

	return b[0] == 0 && b[1] == 0 &&
	       (version >> 16 == 3 || version == 80877103 || version == 80877104 ||
		       version == 80877102);
}

/* The type byte of a message whose length is already found plausible, sent by `from_server`. */
static __always_inline enum rpc_verdict postgresql_message(const __u8 *b, bool from_server)
{
	if (from_server)
		return b[0] == 'E' ? RPC_ERROR : RPC_RESPONSE;
	switch (b[0]) {
	case 'Q': /* query, parse, bind, execute, function call, describe, close, sync */
	case 'P':
	case 'B':
	case 'E':
	case 'F':
	case 'D':
	case 'C':
	case 'S':
		return RPC_REQUEST;
	default: /* password, copy data, terminate */
		return RPC_NO_CALL;
	}
}

/* Types that are hard to mistake, with what must follow each. */
static __always_inline enum rpc_verdict postgresql_new(const __u8 *b)
{
	__u32 length = be32(b + 1);

	switch (b[0]) {
	case 'Q':
		return b[5] >= '\t' && b[5] < 0x7f ? RPC_REQUEST : RPC_NOTHING;
	case 'P':
		return length > 7 ? RPC_REQUEST : RPC_NOTHING;
	case 'R':
		return length >= 8 && b[5] == 0 && b[6] == 0 ? RPC_RESPONSE : RPC_NOTHING;
	case '1':
	case '2':
		return length == 4 ? RPC_RESPONSE : RPC_NOTHING;
	case 'T':
		return length >= 6 && b[2] == 0 ? RPC_RESPONSE : RPC_NOTHING;
	case 'C':
		return length < 64 && upper(b[5]) && upper(b[6]) ? RPC_RESPONSE : RPC_NOTHING;
	case 'E':
		return b[5] == 'S' && upper(b[6]) ? RPC_ERROR : RPC_NOTHING;
	default:
		return RPC_NOTHING;
	}
}

static __always_inline enum rpc_verdict glance_postgresql(
	const struct rpc_glance *g, bool known, bool from_server)
{
	const __u8 *b = g->byte;

	if (g->size >= 8 && postgresql_startup(b))
		return RPC_NO_CALL;
	if (g->size < 5 || b[1] != 0 || be32(b + 1) < 4)
		return RPC_NOTHING;
	return known ? postgresql_message(b, from_server) : postgresql_new(b);
}

/*
 * What this message is. `protocol` is what is known of the connection, RPC_TCP if
 * nothing; when a protocol is recognised it is replaced.
 */
static __always_inline enum rpc_verdict glance_at(
	const struct rpc_glance *g, bool from_server, __u8 *protocol)
{
	enum rpc_verdict v;

	switch (*protocol) {
	case RPC_HTTP1:
		return glance_http1(g);
	case RPC_THRIFT:
		return glance_thrift(g);
	case RPC_REDIS:
		return glance_redis(g);
	case RPC_MEMCACHED:
		return glance_memcached(g);
	case RPC_POSTGRESQL:
		return glance_postgresql(g, true, from_server);
	}
	if ((v = glance_http1(g)))
		*protocol = RPC_HTTP1;
	else if ((v = glance_thrift(g)))
		*protocol = RPC_THRIFT;
	else if ((v = glance_redis(g)))
		*protocol = RPC_REDIS;
	else if ((v = glance_memcached(g)))
		*protocol = RPC_MEMCACHED;
	else if ((v = glance_postgresql(g, false, from_server)))
		*protocol = RPC_POSTGRESQL;
	return v;
}

#endif
