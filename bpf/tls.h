/*
 * What the programs on sockets and those on TLS libraries leave for each other.
 *
 * A library's thread says what it is about to send (`said`), and the socket's program takes
 * it from there in place of the ciphertext. What comes is read from the socket first: its
 * program notes who waits for which connection, and the library's leaves the plaintext
 * there (`tls_heard`), to be found by that connection's next event.
 */
#ifndef SAGE_BPF_TLS_H
#define SAGE_BPF_TLS_H

#include "bpf/kernel.h"
#include "bpf/rpc_glance.h"

struct tls_thread {
	struct rpc_glance said; /* size 0 = nothing, or taken */
	__u64 said_to;          /* the library's connection */
	__u64 sock;             /* whose message this thread read last */
	__u64 buffer, size_at;  /* of the read that is under way; size_at 0 = it is returned */
	__u8 awaited;           /* the plaintext of that message has not come */
	__u8 pad0[7];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32); /* thread id */
	__type(value, struct tls_thread);
} tls_threads SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, __u64); /* address of the struct sock */
	__type(value, struct rpc_glance);
} tls_heard SEC(".maps");

static __always_inline struct tls_thread *tls_thread(void)
{
	__u32 id = (__u32)bpf_get_current_pid_tgid();

	return bpf_map_lookup_elem(&tls_threads, &id);
}

static __always_inline struct tls_thread *tls_thread_make(void)
{
	__u32 id = (__u32)bpf_get_current_pid_tgid();
	struct tls_thread *t = bpf_map_lookup_elem(&tls_threads, &id), fresh = {};

	if (t)
		return t;
	bpf_map_update_elem(&tls_threads, &id, &fresh, BPF_NOEXIST);
	return bpf_map_lookup_elem(&tls_threads, &id);
}

#endif
