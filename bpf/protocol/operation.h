/*
 * Which operation a request asks for, as a short key of which agent/operation.h makes a name.
 *
 * A key holds what a protocol defines or who wrote the program has chosen: a command, a method, the
 * verb and table of a statement, the pattern of a path. What a user may have put in does not get
 * into it: no query, key or value, and parts of a path that may identify something become `*`. That
 * also keeps the number of keys small. What cannot be told gives no key.
 *
 * A key is put together in the connection's own memory, of whose contents the verifier assumes
 * nothing: it then goes through a loop once per step and not once per history.
 */
#ifndef SAGE_BPF_PROTOCOL_OPERATION_H
#define SAGE_BPF_PROTOCOL_OPERATION_H

#include "bpf/event.h"
#include "bpf/protocol/glance.h"
#include "bpf/protocol/kafka.h"
#include "bpf/protocol/mongodb.h"
#include "bpf/protocol/mysql.h"
#include "bpf/protocol/redis.h"

_Static_assert(RPC_OPERATION == RPC_GLANCE, "hashed alike, and no text is longer than its source");

struct rpc_operation {
	struct rpc_operation_text text;
	__u32 tag; /* of the text, for comparing; 0 = no operation */
	/* While it is put together: */
	__u8 used;  /* bytes of the text */
	__u8 start; /* of them before the part under way; or to be passed before a name */
	__u8 step;  /* where the reader is, a number of each protocol's own */
	__u8 count; /* of a path's parts, a word's letters, a name's bytes to come */
	__u8 plain; /* the part holds what no (hexadecimal) number does */
	__u8 dirty; /* bytes were taken back */
	__u8 pad0[2];
	__u32 word; /* the last four letters, in capitals */
};

/* A function of its own is verified once, and not for each byte it is called with. */
#ifdef __bpf__
#define VERIFIED_ONCE __noinline
#define UNROLLED _Pragma("unroll") /* before Linux 6.4 some loops are taken for endless ones */
#else
#define VERIFIED_ONCE static inline
#define UNROLLED
#endif

/* Mixed so that a difference anywhere shows in the upper half. */
static __always_inline __u64 operation_hash(const __u8 *bytes)
{
	__u64 word, hash = 0x9e3779b97f4a7c15ULL;

	for (int i = 0; i < RPC_GLANCE / 8; i++) {
		__builtin_memcpy(&word, bytes + 8 * i, 8);
		hash = (hash ^ word) * 0xff51afd7ed558ccdULL;
		hash ^= hash >> 32;
	}
	return hash * 0xc4ceb9fe1a85ec53ULL;
}

static __always_inline void operation_put(struct rpc_operation *o, __u8 byte)
{
	__u32 at = o->used;

	barrier_var(at); /* the verifier must see the check that follows on the index itself */
	if (at >= RPC_OPERATION)
		return;
	o->text.byte[at] = byte;
	o->used = (__u8)(at + 1);
}

/* The part under way becomes `*`. */
static __always_inline void operation_collapse(struct rpc_operation *o)
{
	o->used = o->start;
	o->dirty = 1;
	operation_put(o, '*');
}

static __always_inline bool letter(__u8 b)
{
	return upper(b & 0xdf);
}

static __always_inline __u8 capital(__u8 b)
{
	return letter(b) ? b & 0xdf : b;
}

static __always_inline bool named_so(__u8 b) /* what a method or a command is called */
{
	return letter(b) || digit(b) || b == '_' || b == '.' || b == '-' || b == ':';
}

/* ---- HTTP/1: "POST /cart/items", at most three parts of the path and not its query */

#define PATH_PARTS 3
#define PATH_PART_LONGEST 24
#define HEX_SHORTEST 8

enum http1_step { HTTP1_METHOD, HTTP1_TARGET, HTTP1_PART, HTTP1_HIDDEN, HTTP1_END };

static __always_inline bool path_ends(__u8 b)
{
	return b == ' ' || b == '?' || b == '#' || b == ';' || b == '\r';
}

/* A part has ended: letters alone may still be a hexadecimal number. */
static __always_inline void path_close(struct rpc_operation *o)
{
	__u32 size = (__u32)o->used - o->start;

	if (o->step == HTTP1_PART &&
		((!o->plain && size >= HEX_SHORTEST) || size > PATH_PART_LONGEST))
		operation_collapse(o);
}

static __always_inline void path_open(struct rpc_operation *o)
{
	o->step = HTTP1_END;
	if (o->count++ >= PATH_PARTS)
		return;
	operation_put(o, '/');
	o->start = o->used;
	o->plain = 0;
	o->step = HTTP1_PART;
}

/* Letters, and one number of one digit at their end: "v1", "oauth2". */
static __always_inline void path_byte(struct rpc_operation *o, __u8 b, __u8 next)
{
	bool number = digit(b) && o->used > o->start && (next == '/' || path_ends(next));

	if (letter(b) || b == '-' || b == '_' || b == '.' || number) {
		if (!(letter(b) && (b & 0xdf) <= 'F') && b != '-' && !digit(b))
			o->plain = 1;
		operation_put(o, b);
		return;
	}
	operation_collapse(o);
	o->step = HTTP1_HIDDEN;
}

static __always_inline void http1_read(struct rpc_operation *o, __u8 b, __u8 next)
{
	switch (o->step) {
	case HTTP1_METHOD:
		operation_put(o, b);
		if (b == ' ')
			o->step = HTTP1_TARGET;
		return;
	case HTTP1_TARGET:
		if (b == '/') {
			path_open(o);
			return;
		}
		operation_put(o, '*'); /* a proxy's target, or OPTIONS * */
		o->step = HTTP1_END;
		return;
	case HTTP1_PART:
	case HTTP1_HIDDEN:
		if (b == '/' || path_ends(b)) {
			path_close(o);
			if (b == '/')
				path_open(o);
			else
				o->step = HTTP1_END;
		} else if (o->step == HTTP1_PART) {
			path_byte(o, b, next);
		}
		return;
	}
}

/* Gives where the reader is now. */
VERIFIED_ONCE int http1_byte(struct rpc_operation *o, __u32 b, __u32 next)
{
	if (!o)
		return HTTP1_END;
	http1_read(o, (__u8)b, (__u8)next);
	return o->step;
}

static __always_inline void operation_http1(struct rpc_operation *o, const struct rpc_glance *g)
{
	UNROLLED
	for (__u32 i = 0; i < RPC_GLANCE - 1; i++)
		if (http1_byte(o, g->byte[i], g->byte[i + 1]) == HTTP1_END)
			return;
	if (o->step == HTTP1_PART && o->used > o->start)
		operation_collapse(o); /* cut */
}

/* ---- Redis: the first word, "GET" */

#define REDIS_LONGEST 20

/* "*2\r\n$3\r\nGET\r\n": how many words, how long the first one is, and it. */
static __always_inline void operation_redis(struct rpc_operation *o, const struct rpc_glance *g)
{
	const __u8 *b = g->byte;
	__u32 at = 8;

	if (b[0] != '*' || !redis_number(b))
		return;
	at += digit(b[2]) ? 1U : 0; /* up to 999 words, */
	at += digit(b[3]) ? 1U : 0;
	at += b[at - 2] != '\r' ? 1U : 0; /* the first of up to 99 letters */
	UNROLLED
	for (__u32 i = 0; i < REDIS_LONGEST; i++, at++) {
		if (!named_so(b[at]))
			break;
		operation_put(o, capital(b[at]));
	}
	if (b[at] == '\r')
		return;
	o->used = 0; /* too long, or no command */
	o->dirty = 1;
}

/* ---- memcached: "get", or 0x80 and an opcode */

static __always_inline void operation_memcached(struct rpc_operation *o, const struct rpc_glance *g)
{
	const __u8 *b = g->byte;

	if (b[0] == 0x80) {
		operation_put(o, b[0]);
		operation_put(o, b[1]);
		return;
	}
	UNROLLED
	for (__u32 i = 0; i < 12 && letter(b[i]); i++)
		operation_put(o, b[i]);
}

/* ---- SQL: the verb, and the table if it is in view: "SELECT orders" */

enum sql_step { SQL_START, SQL_VERB, SQL_WORDS, SQL_BEFORE_TABLE, SQL_TABLE, SQL_END };

/* Behind what may begin a value or a comment, words are not the statement's own. */
static __always_inline bool sql_hides(__u8 b)
{
	return b == '\'' || b == '"' || b == '`' || b == '$' || b == '/' || b == '-' || b == '#';
}

static __always_inline void sql_word(struct rpc_operation *o, __u8 b)
{
	bool names = o->word == WORD('F', 'R', 'O', 'M') || o->word == WORD('I', 'N', 'T', 'O');

	if (letter(b) || digit(b) || b == '_') {
		o->word = o->count < 4 ? o->word << 8 | capital(b) : 0;
		if (o->count < 5)
			o->count++;
		return;
	}
	o->step = sql_hides(b) ? SQL_END : names && o->count == 4 ? SQL_BEFORE_TABLE : SQL_WORDS;
	o->count = 0;
	o->word = 0;
}

static __always_inline void sql_table(struct rpc_operation *o, __u8 b)
{
	if (letter(b) || b == '_' || b == '.') {
		operation_put(o, b);
		o->plain = 1;
	} else if (digit(b)) { /* of a partition, a tenant */
		if (o->plain)
			operation_put(o, '*');
		o->plain = 0;
	} else if (b != '"' && b != '`') {
		o->step = SQL_END;
	}
}

static __always_inline void sql_verb(struct rpc_operation *o, __u8 b)
{
	bool named_next; /* UPDATE, COPY */

	if (letter(b)) {
		operation_put(o, capital(b));
		o->word = o->word << 8 | capital(b);
		return;
	}
	named_next = o->word == WORD('D', 'A', 'T', 'E') || o->word == WORD('C', 'O', 'P', 'Y');
	o->step = b == 0 || sql_hides(b) ? SQL_END : named_next ? SQL_BEFORE_TABLE : SQL_WORDS;
	o->word = 0;
}

static __always_inline void sql_read(struct rpc_operation *o, __u8 b)
{
	bool space = b == ' ' || b == '\n' || b == '\t' || b == '\r';

	switch (o->step) {
	case SQL_START:
		if (letter(b)) {
			o->step = SQL_VERB;
			sql_verb(o, b);
		} else if (!space && b != '(') {
			o->step = SQL_END;
		}
		return;
	case SQL_VERB:
		sql_verb(o, b);
		return;
	case SQL_WORDS:
		sql_word(o, b);
		return;
	case SQL_BEFORE_TABLE:
		if (space)
			return;
		o->step = SQL_END;
		if (!letter(b) && b != '_' && b != '"' && b != '`')
			return;
		operation_put(o, ' ');
		o->step = SQL_TABLE;
		sql_table(o, b);
		return;
	case SQL_TABLE:
		sql_table(o, b);
		return;
	}
}

VERIFIED_ONCE int sql_byte(struct rpc_operation *o, __u32 b)
{
	if (!o)
		return SQL_END;
	sql_read(o, (__u8)b);
	return o->step;
}

/* The statement begins `from` bytes into the message. */
VERIFIED_ONCE int operation_sql(struct rpc_operation *o, const struct rpc_glance *g, __u32 from)
{
	if (!o || !g)
		return 0;
	UNROLLED
	for (__u32 i = 5; i < RPC_GLANCE; i++)
		if (i >= from && (i >= g->size || sql_byte(o, g->byte[i]) == SQL_END))
			break;
	if (o->step == SQL_TABLE && o->plain && g->size == RPC_GLANCE)
		operation_put(o, '*'); /* cut */
	return o->used;
}

/* Other messages than those with a statement in them: their type alone. */
static __always_inline void operation_postgresql(
	struct rpc_operation *o, const struct rpc_glance *g)
{
	const __u8 *b = g->byte;

	if (b[0] == 'Q')
		operation_sql(o, g, 5);
	else if (b[0] == 'P' && b[5] == 0)
		operation_sql(o, g, 6);
	if (!o->used)
		operation_put(o, b[0]);
}

/* A prepared statement keeps the command before its verb; so does what has no statement. */
static __always_inline void operation_mysql(struct rpc_operation *o, const struct rpc_glance *g)
{
	const __u8 *b = g->byte;

	if (b[4] == MYSQL_PREPARE)
		operation_put(o, b[4]);
	if (b[4] == MYSQL_PREPARE ||
		b[4] == MYSQL_QUERY) /* 0, 1: attributes, of which there are none */
		operation_sql(o, g, b[5] == 0 && b[6] == 1 ? 7 : 5);
	if (!o->used)
		operation_put(o, b[4]);
}

/* ---- names that stand in the message as they are */

enum name_step { NAME_GOES_ON, NAME_ENDS };

/* `start` bytes are to be passed, then come `count` of the name, or less with a zero at its end. */
VERIFIED_ONCE int name_byte(struct rpc_operation *o, __u32 b)
{
	if (!o)
		return NAME_ENDS;
	if (o->start) {
		o->start--;
		return NAME_GOES_ON;
	}
	if (!o->count || !b) {
		o->count = 0;
		return NAME_ENDS;
	}
	o->count--;
	if (named_so((__u8)b)) {
		operation_put(o, (__u8)b);
		return o->count ? NAME_GOES_ON : NAME_ENDS;
	}
	o->used = 0; /* no name at all */
	o->dirty = 1;
	return NAME_ENDS;
}

VERIFIED_ONCE int operation_spell(
	struct rpc_operation *o, const struct rpc_glance *g, __u32 from, __u32 size)
{
	if (!o || !g)
		return 0;
	o->start = (__u8)from;
	o->count = (__u8)size;
	UNROLLED
	for (__u32 i = 0; i < RPC_GLANCE; i++)
		if (i >= g->size || name_byte(o, g->byte[i]) == NAME_ENDS)
			break;
	if (o->count && o->used)
		operation_put(o, '*'); /* cut */
	return o->used;
}

/* The method's name; 0x80 tells the binary protocol, 0x82 the compact one. */
static __always_inline void operation_thrift(struct rpc_operation *o, const struct rpc_glance *g)
{
	const __u8 *b = g->byte;
	bool framed = b[0] == 0;
	const __u8 *head = framed ? b + 4 : b;
	__u32 at = framed ? 4 : 0, i = 2;

	if (head[0] == 0x80) {
		if (be32(head + 4) < 256)
			operation_spell(o, g, at + 8, head[7]);
		return;
	}
	while (i < 6 && head[i] & 0x80)
		i++;
	operation_spell(o, g, at + i + 2, head[i + 1]);
}

/* A command is the name of its document's first element. */
static __always_inline void operation_mongodb(struct rpc_operation *o, const struct rpc_glance *g)
{
	const __u8 *b = g->byte;

	if (le32(b + 12) == MONGODB_MSG && b[20] == 0)
		operation_spell(o, g, 26, RPC_GLANCE);
}

/* ---- numbers */

static __always_inline void operation_kafka(struct rpc_operation *o, const struct rpc_glance *g)
{
	operation_put(o, 1); /* API 0 is one too */
	operation_put(o, g->byte[5]);
}

static __always_inline void operation_amqp(struct rpc_operation *o, const struct rpc_glance *g)
{
	if (g->byte[0] != 1)
		return;
	operation_put(o, g->byte[8]);
	operation_put(o, g->byte[10]);
}

static __always_inline void operation_read(
	struct rpc_operation *o, const struct rpc_glance *g, __u32 protocol)
{
	switch (protocol) {
	case RPC_HTTP1:
		operation_http1(o, g);
		return;
	case RPC_THRIFT:
		operation_thrift(o, g);
		return;
	case RPC_REDIS:
		operation_redis(o, g);
		return;
	case RPC_MEMCACHED:
		operation_memcached(o, g);
		return;
	case RPC_POSTGRESQL:
		operation_postgresql(o, g);
		return;
	case RPC_MYSQL:
		operation_mysql(o, g);
		return;
	case RPC_MONGODB:
		operation_mongodb(o, g);
		return;
	case RPC_KAFKA:
		operation_kafka(o, g);
		return;
	case RPC_AMQP:
		operation_amqp(o, g);
		return;
	}
}

/* The operation that the request at `g` asks for, or none. */
static __always_inline void operation_of(
	struct rpc_operation *o, const struct rpc_glance *g, __u32 protocol)
{
	__builtin_memset(o, 0, sizeof(*o));
	operation_read(o, g, protocol);
	UNROLLED
	for (__u32 i = 0; i < RPC_OPERATION; i++)
		if (o->dirty && i >= o->used)
			o->text.byte[i] = 0;
	o->tag = o->used ? (__u32)(operation_hash(o->text.byte) >> 32) | 1 : 0;
}

#endif
