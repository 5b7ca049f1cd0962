/* Where rpc_receive, which every read of a socket passes, goes on to for those that are no TCP. */
#ifndef SAGE_BPF_UNIX_H
#define SAGE_BPF_UNIX_H

#include "bpf/kernel.h"

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} unix_reads SEC(".maps");

#endif
