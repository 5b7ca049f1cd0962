/*
 * Connections under TLS: a call is told by its records, what it says by the TLS library.
 *
 * The record layer is in the clear: only application data opens a call, and neither
 * handshake nor alerts do (RFC 8446, 5; TLS 1.2 alike). Since TLS 1.3 the last message of
 * a handshake and the farewell look like application data: the first is the record after
 * the client's change of cipher, the second has the length of an alert.
 *
 * Where the programs of tls.bpf.c are attached, the message's first plaintext bytes are
 * judged as on any connection; without, it is a call of unknown content.
 */
#ifndef SAGE_BPF_RPC_TLS_H
#define SAGE_BPF_RPC_TLS_H

#include "bpf/rpc_maps.h"
#include "bpf/tls.h"

#define TLS_HEADER 5
#define TLS_LONGEST (16384 + 2048) /* TLS 1.2; later less */
#define TLS_ALERT 19               /* encrypted by TLS 1.3: level, code, type, tag */
#define TLS_FINISHED_LONGEST 128   /* of TLS 1.2, encrypted; a ClientHello is longer */

enum tls_content { TLS_CHANGE_CIPHER = 20, TLS_ALERTS, TLS_HANDSHAKE, TLS_DATA };

static __always_inline __u32 tls_length(const __u8 *b)
{
	return (__u32)b[3] << 8 | b[4];
}

/* Whether a record starts at `b`. */
static __always_inline bool tls_starts(const __u8 *b)
{
	return b[0] >= TLS_CHANGE_CIPHER && b[0] <= TLS_DATA && b[1] == 3 && b[2] <= 4 &&
	       tls_length(b) && tls_length(b) <= TLS_LONGEST;
}

static __always_inline bool tls_is_record(const struct rpc_glance *g)
{
	return g->size >= TLS_HEADER && tls_starts(g->byte);
}

/* A known protocol may turn to TLS on the way (PostgreSQL does). */
static __always_inline bool tls_begins(const struct rpc_connection *c, const struct rpc_glance *g)
{
	return tls_is_record(g) && (c->key.protocol == RPC_TCP || g->byte[0] == TLS_HANDSHAKE);
}

/*
 * Note what of the client's stream belongs to the record at its start, and is no call.
 * True when a message follows it among the bytes at hand.
 */
static __always_inline bool tls_skip(struct rpc_connection *c, const struct rpc_glance *g)
{
	const __u8 *b = g->byte;
	__u32 end = g->at + TLS_HEADER + tls_length(b);
	bool finished = false;

	if (b[0] == TLS_CHANGE_CIPHER) {
		c->tls_changed = 1;
		if (g->size >= 11 && tls_starts(b + 6)) {
			finished = b[6] == TLS_DATA;
			end += TLS_HEADER + tls_length(b + 6);
			c->tls_changed = 0;
		}
	} else if (b[0] == TLS_DATA || tls_length(b) < TLS_FINISHED_LONGEST) {
		finished = b[0] == TLS_DATA;
		c->tls_changed = 0;
	}
	c->passed = end;
	c->passing = 1;
	return finished && (__s32)(g->at + g->total - end) > 0;
}

/* What the record at the start of a client's message says. */
static __always_inline enum rpc_verdict tls_request(
	struct rpc_connection *c, const struct rpc_glance *g)
{
	if (c->passing && (__s32)(g->at - c->passed) < 0)
		return RPC_NO_CALL; /* amid one that is none */
	c->passing = 0;
	if (!tls_is_record(g))
		return RPC_MESSAGE;
	if (g->byte[0] == TLS_DATA && tls_length(g->byte) == TLS_ALERT)
		return RPC_NO_CALL;
	if (g->byte[0] == TLS_DATA && !c->tls_changed)
		return RPC_MESSAGE;
	return tls_skip(c, g) ? RPC_MESSAGE : RPC_NO_CALL;
}

static __always_inline enum rpc_verdict tls_response(const struct rpc_glance *g)
{
	if (!tls_is_record(g))
		return RPC_MESSAGE;
	if (g->byte[0] == TLS_HANDSHAKE)
		return RPC_HANDSHAKE;
	return g->byte[0] == TLS_DATA && tls_length(g->byte) != TLS_ALERT ? RPC_MESSAGE
									  : RPC_INTERIM;
}

/* What this thread gave its library to send, once. */
static __always_inline bool tls_take_said(struct rpc_glance *g)
{
	struct tls_thread *t = tls_thread();

	if (!t || !t->said.size)
		return false;
	*g = t->said;
	t->said.size = 0;
	return true;
}

/* This thread's library gets the plaintext of a message on `c` next. */
static __always_inline void tls_await(struct rpc_connection *c, struct sock *sk)
{
	struct tls_thread *t = tls_thread_make();

	if (!t)
		return;
	t->sock = (__u64)sk;
	t->awaited = 1;
	c->tls_awaited = 1;
}

#endif
