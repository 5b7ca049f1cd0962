/*
 * The first bytes of a message, whatever they are. The first byte of the input says who sent
 * them and what is known of the connection. What is recognised at sight must stay
 * recognisable once the protocol is known, and a known protocol is never exchanged.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/rpc_glance.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_sight(const struct rpc_glance *g, bool from_server)
{
	__u32 protocol = RPC_TCP, known;
	enum rpc_verdict v = glance_at(g, from_server, &protocol);

	if ((v == RPC_NOTHING) != (protocol == RPC_TCP) || protocol >= RPC_PROTOCOLS)
		abort();
	if (v == RPC_NOTHING)
		return;
	known = protocol;
	if (glance_at(g, v >= RPC_RESPONSE && v <= RPC_INTERIM, &known) == RPC_NOTHING)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rpc_glance g = {0};
	__u32 protocol, was;

	if (!size)
		return 0;
	g.size = (__u32)(size - 1 < RPC_GLANCE ? size - 1 : RPC_GLANCE);
	memcpy(g.byte, data + 1, g.size);
	check_sight(&g, data[0] & 1);
	was = protocol = (data[0] >> 1) % RPC_PROTOCOLS;
	if (glance_at(&g, data[0] & 1, &protocol) > RPC_STREAM || (was && protocol != was))
		abort();
	return 0;
}
