/*
 * DNS: a message's header (RFC 1035, 4.1.1), the UDP packet around it, and the same behind a
 * length over TCP. NXDOMAIN is an answer; what says that the server could not or would not
 * answer (SERVFAIL, REFUSED, FORMERR ...) is an error.
 */
#ifndef SAGE_BPF_PROTOCOL_DNS_H
#define SAGE_BPF_PROTOCOL_DNS_H

#include "bpf/protocol/glance.h"

#define DNS_HEADER 12
#define DNS_SHORTEST 17 /* a question: root, type and class */

/* Up to the end of the DNS header, without options or extension headers. */
#define DNS_PACKET_V4 (20 + 8 + DNS_HEADER)
#define DNS_PACKET_V6 (40 + 8 + DNS_HEADER)

enum dns_opcode { DNS_QUERY = 0, DNS_NOTIFY = 4, DNS_UPDATE = 5 };
enum dns_rcode { DNS_NOERROR = 0, DNS_NXDOMAIN = 3 };

/* What the DNS_HEADER bytes at `b` begin; RPC_NOTHING where they are no DNS. */
static __always_inline enum rpc_verdict dns_message(const __u8 *b)
{
	__u32 opcode = b[2] >> 3 & 15, rcode = b[3] & 15;

	if (opcode != DNS_QUERY && opcode != DNS_NOTIFY && opcode != DNS_UPDATE)
		return RPC_NOTHING;
	if (b[2] & 0x80) {
		if (be16(b + 4) > 1) /* an error may come without the question */
			return RPC_NOTHING;
		return rcode == DNS_NOERROR || rcode == DNS_NXDOMAIN ? RPC_RESPONSE : RPC_ERROR;
	}
	if (rcode || be16(b + 4) != 1 || (opcode == DNS_QUERY && be32(b + 6)))
		return RPC_NOTHING;
	return RPC_REQUEST;
}

/* A UDP packet that may hold a DNS message. Ports in host byte order, IPv4 as ::ffff:a.b.c.d. */
struct dns_packet {
	__u8 source[16], dest[16];
	__u16 source_port, dest_port;
	__u16 size; /* of the message */
	__u16 id;
	__u8 message[DNS_HEADER];
};

/* Take apart DNS_PACKET_V4 or DNS_PACKET_V6 bytes. False for anything but whole UDP headers. */
static __always_inline bool dns_packet(const __u8 *b, bool v6, struct dns_packet *p)
{
	const __u8 *udp = b + (v6 ? 40 : 20);

	if (v6) {
		if (b[0] >> 4 != 6 || b[6] != 17)
			return false;
		__builtin_memcpy(p->source, b + 8, 16);
		__builtin_memcpy(p->dest, b + 24, 16);
	} else {
		if (b[0] != 0x45 || b[9] != 17 || be16(b + 6) & 0x1fff) /* a later fragment */
			return false;
		__builtin_memset(p->source, 0, 32);
		p->source[10] = p->source[11] = p->dest[10] = p->dest[11] = 0xff;
		__builtin_memcpy(p->source + 12, b + 12, 4);
		__builtin_memcpy(p->dest + 12, b + 16, 4);
	}
	if (be16(udp + 4) < 8 + DNS_HEADER)
		return false;
	p->source_port = (__u16)be16(udp);
	p->dest_port = (__u16)be16(udp + 2);
	p->size = (__u16)(be16(udp + 4) - 8);
	__builtin_memcpy(p->message, udp + 8, DNS_HEADER);
	p->id = (__u16)be16(p->message);
	return true;
}

/*
 * Over TCP. At sight: a plain query or its answer, with one question and the start of its name.
 * Some servers read the length a byte at a time, so how much goes by says nothing.
 */
static __always_inline enum rpc_verdict glance_dns(const struct rpc_glance *g, bool known)
{
	const __u8 *b = g->byte + 2;
	enum rpc_verdict v;

	if (g->size < 2 + DNS_HEADER || be16(g->byte) < DNS_HEADER)
		return RPC_NOTHING;
	v = dns_message(b);
	if (known || v == RPC_NOTHING)
		return v;
	if (g->size < 2 + DNS_SHORTEST || be16(g->byte) < DNS_SHORTEST)
		return RPC_NOTHING;
	if (b[2] & 0x7a || b[3] & 0x40 || be16(b + 4) != 1 || be16(b + 10) > 2)
		return RPC_NOTHING; /* opcode, cut short, or a bit that must be zero */
	if (b[DNS_HEADER] ? b[DNS_HEADER] > 63 || !printable(b[DNS_HEADER + 1])
			  : b[DNS_HEADER + 1] != 0) /* root, and its type is below 256 */
		return RPC_NOTHING;
	return v;
}

#endif
