/*
 * A UDP packet, whatever it is. The first byte of the input says which family. What is taken
 * apart has the ports, the size and the message that stand in it, at the same places however
 * it got there; a verdict is one of those DNS has.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/protocol/dns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_packet(const uint8_t *b, bool v6, const struct dns_packet *p)
{
	const uint8_t *udp = b + (v6 ? 40 : 20);

	if (p->source_port != be16(udp) || p->dest_port != be16(udp + 2) ||
		p->size + 8 != (int)be16(udp + 4) || p->size < DNS_HEADER ||
		p->id != be16(udp + 8) || memcmp(p->message, udp + 8, DNS_HEADER) != 0)
		abort();
	if (memcmp(p->source + (v6 ? 0 : 12), b + (v6 ? 8 : 12), v6 ? 16 : 4) != 0 ||
		memcmp(p->dest + (v6 ? 0 : 12), b + (v6 ? 24 : 16), v6 ? 16 : 4) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dns_packet p;
	enum rpc_verdict v;
	uint8_t *b; /* of the exact size, so that a byte too far is noticed */
	size_t room;
	bool v6;

	if (!size)
		return 0;
	v6 = data[0] & 1;
	room = v6 ? DNS_PACKET_V6 : DNS_PACKET_V4;
	b = calloc(1, room);
	if (!b)
		return 0;
	memcpy(b, data + 1, size - 1 < room ? size - 1 : room);
	if (dns_packet(b, v6, &p)) {
		check_packet(b, v6, &p);
		v = dns_message(p.message);
		if (v != RPC_NOTHING && v != RPC_REQUEST && v != RPC_RESPONSE && v != RPC_ERROR)
			abort();
		if (v != RPC_NOTHING && (v == RPC_REQUEST) == !!(p.message[2] & 0x80))
			abort();
	}
	free(b);
	return 0;
}
