/*
 * The two protocols the tiers speak, from both ends: HTTP/1.1 with keep-alive,
 * and Thrift in the framed binary protocol (CALL, REPLY, EXCEPTION with method
 * name and sequence number). The payload is filler of a wanted size.
 */
#ifndef SAGE_TESTBED_RPC_H
#define SAGE_TESTBED_RPC_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/testbed/stream.h"

#define RPC_METHOD 64
#define RPC_PAYLOAD 65536 /* the longest */

struct rpc_call {
	char method[RPC_METHOD];
	int32_t sequence; /* Thrift only */
};

/* All return 0 or -errno; -EBADMSG for what is not the protocol. */
struct rpc_protocol {
	int (*send_call)(struct stream *s, const struct rpc_call *call);
	int (*receive_call)(struct stream *s, struct rpc_call *call);
	int (*send_reply)(struct stream *s, const struct rpc_call *call, size_t payload, bool ok);
	int (*receive_reply)(struct stream *s, const struct rpc_call *call, bool *ok);
};

extern const struct rpc_protocol rpc_http, rpc_thrift;

#endif
