/* memcached: the text, the meta and the binary protocol. */
#ifndef SAGE_BPF_PROTOCOL_MEMCACHED_H
#define SAGE_BPF_PROTOCOL_MEMCACHED_H

#include "bpf/protocol/glance.h"

/* Opcodes end at 0x25, the data type (byte 5) is always 0, errors start at 0x81. */
static __always_inline enum rpc_verdict memcached_binary(const __u8 *b)
{
	if (b[1] > 0x25 || b[5] != 0)
		return RPC_NOTHING;
	if (b[0] == 0x80)
		return RPC_REQUEST;
	return b[6] != 0 || b[7] >= 0x81 ? RPC_ERROR : RPC_RESPONSE;
}

/* "mg key", "mn\r\n": get, set, delete, arithmetic, debug; no operation. */
static __always_inline bool memcached_meta(const __u8 *b)
{
	if (b[0] != 'm')
		return false;
	if (b[1] == 'n')
		return b[2] == '\r' && b[3] == '\n';
	return (b[1] == 'g' || b[1] == 's' || b[1] == 'd' || b[1] == 'a' || b[1] == 'e') &&
	       b[2] == ' ' && printable(b[3]) && b[3] != ' ';
}

/* "HD", "EN", "NF", "NS", "EX", "MN" and flags or the end of the line; "VA " and a size. */
static __always_inline bool memcached_meta_answer(const __u8 *b)
{
	if (b[2] != ' ' && b[2] != '\r')
		return false;
	switch (be16(b)) {
	case 'V' << 8 | 'A':
		return b[2] == ' ' && digit(b[3]);
	case 'H' << 8 | 'D':
	case 'E' << 8 | 'N':
	case 'N' << 8 | 'F':
	case 'N' << 8 | 'S':
	case 'E' << 8 | 'X':
	case 'M' << 8 | 'N':
		return b[2] == ' ' || b[3] == '\n';
	default:
		return false;
	}
}

static __always_inline enum rpc_verdict memcached_text(const __u8 *b)
{
	switch (be32(b)) {
	case WORD('g', 'e', 't', ' '):
	case WORD('g', 'e', 't', 's'):
	case WORD('g', 'a', 't', ' '):
	case WORD('g', 'a', 't', 's'):
	case WORD('s', 'e', 't', ' '):
	case WORD('a', 'd', 'd', ' '):
	case WORD('c', 'a', 's', ' '):
	case WORD('r', 'e', 'p', 'l'):
	case WORD('a', 'p', 'p', 'e'):
	case WORD('p', 'r', 'e', 'p'):
	case WORD('i', 'n', 'c', 'r'):
	case WORD('d', 'e', 'c', 'r'):
	case WORD('d', 'e', 'l', 'e'):
	case WORD('t', 'o', 'u', 'c'):
	case WORD('v', 'e', 'r', 's'):
		return RPC_REQUEST;
	case WORD('V', 'A', 'L', 'U'):
	case WORD('E', 'N', 'D', '\r'):
	case WORD('S', 'T', 'O', 'R'):
	case WORD('N', 'O', 'T', '_'):
	case WORD('D', 'E', 'L', 'E'):
	case WORD('T', 'O', 'U', 'C'):
	case WORD('V', 'E', 'R', 'S'):
		return RPC_RESPONSE;
	case WORD('E', 'R', 'R', 'O'):
		return b[5] == '\r' ? RPC_ERROR : RPC_NOTHING;
	case WORD('S', 'E', 'R', 'V'):
	case WORD('C', 'L', 'I', 'E'):
		return b[6] == '_' ? RPC_ERROR : RPC_NOTHING;
	default:
		return RPC_NOTHING;
	}
}

static __always_inline enum rpc_verdict glance_memcached(const struct rpc_glance *g)
{
	const __u8 *b = g->byte;

	if ((b[0] == 0x80 || b[0] == 0x81) && g->size >= 8)
		return memcached_binary(b);
	if (memcached_meta(b))
		return RPC_REQUEST;
	if (memcached_meta_answer(b))
		return RPC_RESPONSE;
	return memcached_text(b);
}

#endif
