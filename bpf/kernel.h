/*
 * The kernel's structs as far as our programs read them.
 *
 * Only the fields we read are named; preserve_access_index makes the loader move
 * each access to where the running kernel has the field (CO-RE), so this header
 * stands for all kernels with BTF. Field types must match the kernel's in size.
 */
#ifndef SAGE_BPF_KERNEL_H
#define SAGE_BPF_KERNEL_H

#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/* ---- tasks and their cgroups */

struct kernfs_node {
	__u64 id; /* equals the inode of the cgroup's directory */
};

struct cgroup {
	struct kernfs_node *kn;
	int level; /* 0 = root of its hierarchy */
};

struct cgroup_subsys_state {
	struct cgroup *cgroup;
};

struct css_set {
	struct cgroup_subsys_state *subsys[16]; /* by enum cgroup_subsys_id */
	struct cgroup *dfl_cgrp;                /* in the v2 hierarchy */
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

struct nsproxy {
	struct net *net_ns;
};

struct task_struct {
	int pid;
	int tgid;
	unsigned int __state;       /* 0 = runnable */
	unsigned int in_iowait : 1; /* asleep for a block device */
	struct files_struct *files;
	struct css_set *cgroups;
	struct nsproxy *nsproxy;
};

/* ---- files */

struct inode {
	unsigned short i_mode;
};

struct file {
	struct inode *f_inode;
	void *private_data;
};

struct socket {
	struct file *file;
	struct sock *sk;
};

/* ---- sockets */

struct in6_addr {
	__u8 bytes[16];
};

struct ns_common {
	unsigned int inum;
};

struct net {
	struct ns_common ns;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct sock_common {
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	possible_net_t skc_net;
	struct {
		__s64 counter;
	} skc_cookie; /* 0 until somebody asks for it */
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
};

struct sk_buff_head {
	__u32 qlen;
};

struct sock_cgroup_data {
	struct cgroup *cgroup; /* in the v2 hierarchy, where the socket was made; 5.15+ */
};

struct sock {
	struct sock_common __sk_common;
	struct socket *sk_socket; /* NULL once no process has it */
	__u16 sk_type;
	int sk_err;        /* not told to a process yet */
	__u16 sk_protocol; /* 16 bits of its own since 5.6 */
	struct sk_buff_head sk_receive_queue;
	struct sock_cgroup_data sk_cgrp_data;
};

struct inet_connection_sock {
	struct {
		__u32 lrcvtime; /* jiffies, when the last data came */
	} icsk_ack;
};

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	__u64 tcp_wstamp_ns; /* CLOCK_MONOTONIC of the last segment sent (4.20+) */
	__u64 tcp_mstamp;    /* the same clock in us, of the last segment received or sent */
	__u32 srtt_us;       /* eighths of a microsecond */
	__u32 rcv_nxt;
	__u32 copied_seq;
	__u32 write_seq;
	__u32 snd_nxt;
	__u32 total_retrans;
	__u32 segs_out;
};

struct unix_sock {
	struct sock sk;
	void *addr;        /* that it is bound to; an accepted one has its listener's */
	struct sock *peer; /* NULL once it is closed */
};

struct unix_skb_parms {
	__u32 consumed; /* by reads so far */
};

struct net_device {
	possible_net_t nd_net;
};

struct sk_buff {
	struct sock *sk;
	struct net_device *dev;
	unsigned int len, data_len;
	char cb[48];                /* while in a TCP queue a struct tcp_skb_cb */
	__be16 protocol;            /* ETH_P_* */
	__u16 network_header;       /* offset from `head` */
	unsigned char *head, *data; /* of the part that is in one piece: len - data_len bytes */
};

/* ---- what is in a packet */

struct iphdr {
	__u8 protocol;
};

struct ipv6hdr {
	__u8 nexthdr;
};

struct udphdr {
	__be16 source, dest;
};

struct tcp_skb_cb {
	__u32 seq;
};

/* ---- what a send was given */

struct iovec {
	void *iov_base;
	__kernel_size_t iov_len;
};

struct iov_iter {
	__u8 iter_type;
	size_t iov_offset;
	size_t count; /* bytes left */
	const struct iovec *__iov;
	struct iovec __ubuf_iovec; /* Linux 6.4+ */
	void *ubuf;
};

/* Before Linux 6.4 (de4f5fed3f23 "iov_iter: add iter_iovec() helper"). */
struct iov_iter___old {
	const struct iovec *iov;
};

struct msghdr {
	struct iov_iter msg_iter;
};

enum iter_type { ITER_UBUF, ITER_IOVEC };

/* ---- iterators */

struct bpf_iter__bpf_sk_storage_map {
	struct sock *sk;
	void *value;
};

struct bpf_iter__bpf_map_elem {
	void *key;
	void *value;
};

#pragma clang attribute pop

/* ---- what user space handed to a system call; stable ABI */

struct user_msghdr {
	void *msg_name;
	int msg_namelen;
	int pad0;
	struct iovec *msg_iov;
};

/* The cgroup a task is in: in the hierarchy of one v1 controller, or (-1) in v2. */
static __always_inline struct cgroup *task_cgroup(struct task_struct *task, int subsystem)
{
	struct css_set *set = BPF_CORE_READ(task, cgroups);
	struct cgroup_subsys_state *state = NULL;

	if (subsystem < 0)
		return BPF_CORE_READ(set, dfl_cgrp);
	bpf_core_read(&state, sizeof(state), &set->subsys[subsystem & 15]);
	return BPF_CORE_READ(state, cgroup);
}

#endif
