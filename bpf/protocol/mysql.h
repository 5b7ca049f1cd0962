/*
 * MySQL and MariaDB: client/server protocol, version 10. A packet is a length of three bytes,
 * a number that starts at 0 with each command, and a payload. What a client sends with
 * another number belongs to its start-up, or is data for LOAD DATA. Under TLS nothing is
 * recognised but its start, and the connection stays `tcp`.
 */
#ifndef SAGE_BPF_PROTOCOL_MYSQL_H
#define SAGE_BPF_PROTOCOL_MYSQL_H

#include "bpf/protocol/glance.h"

enum mysql_command {
	MYSQL_QUIT = 0x01,
	MYSQL_INIT_DB,
	MYSQL_QUERY,
	MYSQL_BINLOG_DUMP = 0x12,
	MYSQL_PREPARE = 0x16,
	MYSQL_EXECUTE,
	MYSQL_LONG_DATA,
	MYSQL_CLOSE,
	MYSQL_RESET,
	MYSQL_FETCH = 0x1c,
	MYSQL_BINLOG_DUMP_GTID = 0x1e,
	MYSQL_COMMANDS = 0x20,
};

static __always_inline enum rpc_verdict mysql_command(__u8 command)
{
	switch (command) {
	case MYSQL_QUIT:
	case MYSQL_LONG_DATA:
	case MYSQL_CLOSE:
		return RPC_NO_CALL;
	case MYSQL_BINLOG_DUMP:
	case MYSQL_BINLOG_DUMP_GTID:
		return RPC_STREAM;
	default:
		return command < MYSQL_COMMANDS ? RPC_REQUEST : RPC_NOTHING;
	}
}

/* The server's first packet: version 10, and a version that starts with a number. */
static __always_inline bool mysql_greeting(const __u8 *b)
{
	return b[1] == 0 && b[3] == 0 && b[4] == 10 && digit(b[5]) && (b[6] == '.' || digit(b[6]));
}

/* The client's first: number 1, protocol 4.1, and a filler of zeros behind the character set. */
static __always_inline bool mysql_login(const __u8 *b)
{
	bool plain = (b[5] & 0x0a) == 0x02; /* 4.1, no TLS to follow */

	return b[2] == 0 && b[3] == 1 && plain && be32(b + 13) == 0 && be32(b + 17) == 0 &&
	       be32(b + 21) == 0 && be32(b + 25) == 0;
}

/* An error with its SQL state, or the short answer to what gives no rows. */
static __always_inline enum rpc_verdict mysql_answer(const struct rpc_glance *g, __u32 length)
{
	const __u8 *b = g->byte;

	if (b[3] != 1)
		return RPC_NOTHING;
	if (b[4] == 0xff)
		return length > 9 && b[7] == '#' ? RPC_ERROR : RPC_NOTHING;
	return length == 7 && g->size == 11 && b[4] == 0 && be16(b + 9) == 0 ? RPC_RESPONSE
									     : RPC_NOTHING;
}

/* Commands that are hard to mistake; they fill their packet. */
static __always_inline enum rpc_verdict mysql_request(const struct rpc_glance *g, __u32 length)
{
	const __u8 *b = g->byte;

	switch (b[4]) {
	case MYSQL_QUERY:
	case MYSQL_PREPARE:
		return printable(b[5]) && (length < 2 || printable(b[6]) || b[6] == '\n')
			       ? RPC_REQUEST
			       : RPC_NOTHING;
	case MYSQL_EXECUTE: /* statement, flags, always one iteration */
		return length >= 10 && b[9] <= 4 && le32(b + 10) == 1 ? RPC_REQUEST : RPC_NOTHING;
	default:
		return RPC_NOTHING;
	}
}

static __always_inline enum rpc_verdict mysql_new(const struct rpc_glance *g, __u32 length)
{
	const __u8 *b = g->byte;

	if (length + 4 > g->size && g->size < RPC_GLANCE)
		return RPC_NOTHING;
	if (mysql_greeting(b))
		return RPC_INTERIM;
	if (length >= 32 && mysql_login(b))
		return RPC_NO_CALL;
	if (b[3])
		return mysql_answer(g, length);
	return length > 1 && (length + 4 == g->size || g->size == RPC_GLANCE)
		       ? mysql_request(g, length)
		       : RPC_NOTHING;
}

static __always_inline enum rpc_verdict glance_mysql(
	const struct rpc_glance *g, bool known, bool from_server)
{
	const __u8 *b = g->byte;
	__u32 length = le32(b) & 0xffffff;

	if (g->size < 5 || !length)
		return RPC_NOTHING;
	if (!known)
		return mysql_new(g, length);
	if (from_server)
		return b[4] == 0xff ? RPC_ERROR : RPC_RESPONSE;
	return b[3] ? RPC_NO_CALL : mysql_command(b[4]);
}

#endif
