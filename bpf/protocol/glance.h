/*
 * What is looked at of a message, and what may be said of it.
 *
 * Each protocol has a header beside this one with one pure function of at most RPC_GLANCE
 * bytes: glance_NAME(g, ...). What is not known to be that protocol needs evidence no other
 * protocol gives (`known` is false then); on a connection that is known to speak it, the
 * type of a message is enough. Compiled for the kernel and, for tests, for user space.
 */
#ifndef SAGE_BPF_PROTOCOL_GLANCE_H
#define SAGE_BPF_PROTOCOL_GLANCE_H

#ifdef __bpf__
#include "bpf/kernel.h"
#else
#include <linux/types.h>
#include <stdbool.h>

#ifndef __always_inline /* libc has one too */
#define __always_inline inline __attribute__((always_inline))
#endif
#define barrier_var(v) __asm__ volatile("" : "+r"(v))
#endif

#define RPC_GLANCE 40

/* The first bytes of a message; `size` of them are good, the rest are zero. */
struct rpc_glance {
	__u8 byte[RPC_GLANCE] __attribute__((aligned(8)));
	__u32 size;
	__u32 at;    /* where in the stream: TCP's sequence number of the first byte */
	__u32 total; /* bytes that go by with them */
	__u32 pad0;
};

enum rpc_verdict {
	RPC_NOTHING, /* nothing recognised */
	RPC_MESSAGE, /* recognised, direction unsaid */
	RPC_REQUEST, /* a call */
	RPC_NO_CALL, /* from the client, and not a call: one-way, start-up, farewell */
	RPC_RESPONSE,
	RPC_ERROR,     /* a response that reports failure */
	RPC_INTERIM,   /* from the server, and the response is still to come */
	RPC_HANDSHAKE, /* from the server, and what it answers was no call either */
	RPC_STREAM,    /* from here on messages are not paired: either side speaks unasked */
};

#define WORD(a, b, c, d) ((__u32)(a) << 24 | (__u32)(b) << 16 | (__u32)(c) << 8 | (__u32)(d))

static __always_inline __u32 be32(const __u8 *b)
{
	return WORD(b[0], b[1], b[2], b[3]);
}

static __always_inline __u32 le32(const __u8 *b)
{
	return WORD(b[3], b[2], b[1], b[0]);
}

static __always_inline __u32 be16(const __u8 *b)
{
	return (__u32)b[0] << 8 | b[1];
}

static __always_inline bool digit(__u8 b)
{
	return b >= '0' && b <= '9';
}

static __always_inline bool upper(__u8 b)
{
	return b >= 'A' && b <= 'Z';
}

static __always_inline bool printable(__u8 b)
{
	return b >= ' ' && b < 0x7f;
}

#endif
