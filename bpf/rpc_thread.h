/*
 * Which share of a server's time it spent waiting for its own calls.
 *
 * A call made by the thread that read a request, before it answers, belongs to that
 * request. Calls in parallel overlap, so the union of their times is what counts: it
 * is summed up to `wait_from` each time an answer's bytes arrive. A thread that holds
 * more than one request cannot be told apart by this; those calls have no self time.
 * Threads are found by id, because the thread that answers need not be the one that read:
 * in a set of a few by the low bits of the id, cheaper than a hash. A set that is full
 * forgets the thread that has been without a request for longest.
 */
#ifndef SAGE_BPF_RPC_THREAD_H
#define SAGE_BPF_RPC_THREAD_H

#include "bpf/rpc_maps.h"

static __always_inline __u32 thread_id(void)
{
	return (__u32)bpf_get_current_pid_tgid();
}

static __always_inline struct rpc_thread_set *thread_set(__u32 id)
{
	__u32 at = id & (THREAD_SETS - 1);

	return bpf_map_lookup_elem(&threads, &at);
}

static __always_inline struct rpc_thread *thread_find(__u32 id)
{
	struct rpc_thread_set *set = thread_set(id);

	if (!set || !id)
		return NULL;
#pragma unroll
	for (int i = 0; i < THREAD_WAYS; i++)
		if (set->id[i] == id)
			return &set->thread[i];
	return NULL;
}

/* The same, in the place of the one longest without a request if it was not known. */
static __noinline struct rpc_thread *thread_make(__u32 id)
{
	struct rpc_thread_set *set = thread_set(id);
	struct rpc_thread *t = NULL;
	__u32 *place = NULL;

	if (!set)
		return NULL;
#pragma unroll
	for (int i = 0; i < THREAD_WAYS; i++) {
		if (t && set->thread[i].request_ns >= t->request_ns)
			continue;
		t = &set->thread[i];
		place = &set->id[i];
	}
	if (!t || !place)
		return NULL;
	*place = id;
	t->open = 0;
	return t;
}

/* This thread read the first bytes of a request on `c`. */
static __always_inline void thread_request(struct rpc_connection *c, __u64 now)
{
	__u32 id = thread_id();
	struct rpc_thread *t = thread_find(id);

	c->thread = 0;
	c->own = 0;
	c->waiting_ns = 0;
	if (!t)
		t = thread_make(id);
	if (!t)
		return;
	t->request_ns = now;
	if (t->open++ == 0) {
		t->mixed = 0;
		t->serial++;
		t->waiting_ns = 0;
		t->calls = 0;
	} else {
		t->mixed = 1;
	}
	c->thread = id;
	c->serial = t->serial;
}

/* The request on `c` is no longer this thread's: answered, or gone. */
static __always_inline struct rpc_thread *thread_release(struct rpc_connection *c)
{
	__u32 id = c->thread;
	struct rpc_thread *t = thread_find(id);

	if (!t || t->serial != c->serial)
		return NULL; /* forgotten meanwhile */
	if (t->open)
		t->open--;
	return t;
}

/* Bytes of the answer on `c` leave; `first` of them. */
static __always_inline void thread_answer(struct rpc_connection *c, bool first)
{
	__u32 id = c->thread;
	struct rpc_thread *t;

	if (first) {
		t = thread_release(c);
		c->own = t && !t->mixed && id == thread_id();
	} else {
		t = c->own ? thread_find(id) : NULL;
	}
	if (t && c->own && t->serial == c->serial)
		c->waiting_ns = t->waiting_ns;
}

/* This thread sends the first bytes of a call of its own on `c`. */
static __always_inline void thread_call(struct rpc_connection *c, __u64 now)
{
	__u32 id = thread_id();
	struct rpc_thread *t = thread_find(id);

	c->thread = 0;
	if (!t || !t->open)
		return;
	if (t->calls++ == 0)
		t->wait_from = now;
	c->thread = id;
	c->serial = t->serial;
}

/* Bytes of the answer to that call arrive, or the call is given up; `first` of them. */
static __always_inline void thread_returned(struct rpc_connection *c, __u64 now, bool first)
{
	__u32 id = c->thread;
	struct rpc_thread *t = thread_find(id);

	if (!t || t->serial != c->serial || now < t->wait_from)
		return;
	t->waiting_ns += now - t->wait_from;
	t->wait_from = now;
	if (first && t->calls)
		t->calls--;
}

#endif
