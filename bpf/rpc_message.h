/*
 * What a message that goes by on a connection is: recognised, put together where it came in
 * pieces, found behind others, or read under TLS.
 */
#ifndef SAGE_BPF_RPC_MESSAGE_H
#define SAGE_BPF_RPC_MESSAGE_H

#include "bpf/rpc_connection.h"
#include "bpf/rpc_glance.h"
#include "bpf/rpc_tls.h"

/* Glances in vain after which a connection is left to be `tcp`. */
#define MAX_LOOKS 6

static __always_inline bool is_first(const struct rpc_connection *c, bool request)
{
	return request ? !c->start_ns || c->end_ns : c->start_ns && !c->end_ns;
}

/* Whether there is something to learn from the bytes that go by now. */
static __always_inline bool connection_wants_glance(const struct rpc_connection *c, bool sending)
{
	bool request = (c->role == ROLE_CLIENT) == sending;
	bool greeting = c->key.protocol == RPC_TCP && !c->looks; /* some servers speak first */

	if (!is_first(c, request) && !c->partial && !c->guessed && !greeting)
		return false;
	if (c->tls)
		return true;
	if (c->key.protocol == RPC_TCP)
		return c->looks < MAX_LOOKS;
	if (edge_operations && RPC_PLAIN_REQUESTS >> c->key.protocol & 1)
		return true;
	return !request || RPC_MIXED_REQUESTS >> c->key.protocol & 1;
}

/* Hold a guessed role against what a message says of it. */
static __always_inline void connection_check_role(
	struct rpc_connection *c, enum rpc_verdict v, bool sending)
{
	bool asks = v == RPC_REQUEST || v == RPC_NO_CALL;
	enum rpc_role role = asks == sending ? ROLE_CLIENT : ROLE_SERVER;

	if (v == RPC_NOTHING || v == RPC_MESSAGE || v == RPC_STREAM)
		return;
	c->guessed = 0;
	if (role == c->role)
		return;
	c->start_ns = 0;
	c->end_ns = 0;
	connection_set_role(c, role);
	rpc_refresh(c);
}

/*
 * glance_at() for all programs: the verdict in the lowest byte, the protocol in the next, in the
 * upper half the message's length if it is told. Not static, so that it is verified once.
 */
__noinline __u64 rpc_look(const struct rpc_glance *g, __u32 protocol, bool from_server)
{
	enum rpc_verdict v;
	__u64 length = 0;

	if (!g)
		return 0;
	v = glance_at(g, from_server, &protocol);
	if (v == RPC_NO_CALL)
		length = glance_length(g, protocol);
	return v | protocol << 8 | length << 32;
}

/* operation_of() for all programs; likewise. */
__noinline int rpc_ask(struct rpc_operation *o, const struct rpc_glance *g, __u32 protocol)
{
	if (o && g)
		operation_of(o, g, protocol);
	return 0;
}

/* Note which operation the request at `g` asks for, unless it begins as the last one did. */
static __always_inline void connection_ask(struct rpc_connection *c, const struct rpc_glance *g)
{
	__u64 seen;

	if (!edge_operations)
		return;
	seen = operation_hash(g->byte);
	if (seen == c->seen)
		return;
	c->seen = seen;
	rpc_ask(&c->asked, g, c->key.protocol);
}

/* What is asked for is not to be seen. */
static __always_inline void connection_ask_nothing(struct rpc_connection *c)
{
	if (!edge_operations)
		return;
	c->seen = 0;
	c->asked.tag = 0;
}

/* Length of the message at `g` if it is no call and another begins behind it; else 0. */
__noinline __u32 rpc_pass(const struct rpc_glance *g, __u32 protocol)
{
	__u32 length;

	if (!g)
		return 0;
	length = glance_length(g, protocol);
	if (length >= g->total)
		return 0;
	return glance_known(g, false, protocol) == RPC_NO_CALL ? length : 0;
}

/* Messages that are no calls, before one that is, in what is sent or read at once. */
#define MAX_PASSED 32

/*
 * Whether what goes by begins with (the rest of) a message that is no call and goes on with
 * another; that one is to be looked at, *skip bytes from the start.
 */
static __always_inline bool connection_passes(
	struct rpc_connection *c, struct rpc_glance *g, bool sending, __u32 *skip)
{
	__u32 length;

	if ((c->role == ROLE_CLIENT) != sending || c->partial || g->size < 8 || c->tls ||
		!(RPC_MIXED_REQUESTS >> c->key.protocol & 1))
		return false;
	length = c->passing ? c->passed - g->at : rpc_pass(g, c->key.protocol);
	if (c->passing && (__s32)length <= 0)
		length = rpc_pass(g, c->key.protocol);
	barrier_var(length);
	if (!length || length >= g->total)
		return false;
	c->passing = 0;
	*skip += length;
	__builtin_memset(g->byte, 0, sizeof(g->byte));
	g->size = 0;
	g->at += length;
	g->total -= length;
	return true;
}

/* Put the head that was read alone before what goes on from it. */
static __always_inline void connection_prepend_head(
	const struct rpc_connection *c, struct rpc_glance *whole, const struct rpc_glance *g)
{
	whole->size = g->size + 4 < RPC_GLANCE ? g->size + 4 : RPC_GLANCE;
	whole->at = g->at - 4;
	__builtin_memcpy(whole->byte, &c->head, 4);
	__builtin_memcpy(whole->byte + 4, g->byte, RPC_GLANCE - 4);
}

static __always_inline __u8 connection_partial(
	struct rpc_connection *c, const struct rpc_glance *g, bool sending)
{
	if (g->size != 4)
		return g->size < 8 ? RPC_PARTIAL : RPC_WHOLE;
	__builtin_memcpy(&c->head, g->byte, 4);
	return sending ? RPC_HEAD_SENT : RPC_HEAD_RECEIVED;
}

/* What a message under TLS is by its plaintext. */
static __always_inline enum rpc_verdict connection_look_inside(
	struct rpc_connection *c, const struct rpc_glance *plain, bool sending)
{
	__u32 known = c->key.protocol == RPC_TLS ? RPC_TCP : c->key.protocol;
	__u64 seen = rpc_look(plain, known, (c->role == ROLE_CLIENT) != sending);
	enum rpc_verdict v = seen & 0xff;

	if ((__u8)(seen >> 8) != RPC_TCP)
		connection_set_protocol(c, (__u8)(seen >> 8));
	if (c->guessed)
		connection_check_role(c, v, sending);
	if ((c->role == ROLE_CLIENT) == sending && (v == RPC_REQUEST || v == RPC_MESSAGE))
		connection_ask(c, plain);
	return v;
}

/* tls_request() for all programs; likewise. */
__noinline int rpc_tls_request(struct rpc_connection *c, const struct rpc_glance *g)
{
	return c && g ? tls_request(c, g) : RPC_NOTHING;
}

/* By its plaintext where that is to be had, else by its records. */
static __always_inline enum rpc_verdict connection_glance_tls(
	struct rpc_connection *c, struct sock *sk, const struct rpc_glance *g, bool sending)
{
	bool wanted = connection_wants_glance(c, sending);
	struct rpc_glance said = {};
	enum rpc_verdict v;

	c->tls = 1;
	if (c->key.protocol == RPC_TCP)
		connection_set_protocol(c, RPC_TLS);
	if (tls_sent && sending && tls_take_said(&said) && wanted) {
		v = connection_look_inside(c, &said, sending);
		return v ? v : RPC_MESSAGE;
	}
	if (!g->size)
		return RPC_NOTHING;
	v = (c->role == ROLE_CLIENT) == sending ? rpc_tls_request(c, g) : tls_response(g);
	connection_ask_nothing(c);
	if (tls_received && !sending && v == RPC_MESSAGE)
		tls_await(c, sk);
	return v;
}

static __always_inline enum rpc_verdict connection_glance(
	struct rpc_connection *c, struct sock *sk, const struct rpc_glance *g, bool sending)
{
	bool request = (c->role == ROLE_CLIENT) == sending;
	struct rpc_glance whole;
	enum rpc_verdict v;
	__u64 seen;

	if (c->tls || tls_begins(c, g))
		return connection_glance_tls(c, sk, g, sending);
	if (!g->size)
		return RPC_NOTHING;
	if (c->passing && request) {
		if ((__s32)(g->at - c->passed) < 0)
			return RPC_NO_CALL; /* more of it */
		c->passing = 0;
	}
	if (c->partial == (sending ? RPC_HEAD_SENT : RPC_HEAD_RECEIVED)) {
		connection_prepend_head(c, &whole, g);
		g = &whole;
	}
	seen = rpc_look(g, c->key.protocol, !request);
	v = seen & 0xff;
	connection_set_protocol(c, (__u8)(seen >> 8));
	c->partial = v ? RPC_WHOLE : connection_partial(c, g, sending);
	if (v == RPC_NO_CALL && request && seen >> 32) {
		c->passed = g->at + (__u32)(seen >> 32);
		c->passing = 1;
	}
	if (!v && !c->partial && c->looks < MAX_LOOKS)
		c->looks++;
	if (c->guessed) {
		connection_check_role(c, v, sending);
		c->guessed = c->guessed && c->looks < MAX_LOOKS;
	}
	if (request && (v == RPC_REQUEST || v == RPC_MESSAGE))
		connection_ask(c, g);
	return v;
}

#endif
