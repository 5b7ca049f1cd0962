/*
 * RPC capture on the exit of system calls, for kernels without the socket tracepoints.
 *
 * The descriptor and the buffer are still in the registers when a call returns, so one
 * program on sys_exit is enough. A send is timed by TCP's own stamp; io_uring, splice and
 * the calls that take several messages at once are not seen (io_uring's are counted).
 * A connection's record lives in a hash by the socket's address until the socket closes.
 */
#include "bpf/kernel.h"

#include "bpf/rpc_maps.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64); /* address of the struct sock */
	__type(value, struct rpc_connection);
} connections SEC(".maps");

static __always_inline struct rpc_connection *connection_find(struct sock *sk)
{
	__u64 key = (__u64)sk;

	return bpf_map_lookup_elem(&connections, &key);
}

static const struct rpc_connection blank_connection; /* too large for the stack */

static __always_inline struct rpc_connection *connection_make(struct sock *sk)
{
	struct rpc_connection *c;
	__u64 key = (__u64)sk;

	bpf_map_update_elem(&connections, &key, &blank_connection, BPF_ANY);
	c = bpf_map_lookup_elem(&connections, &key);
	if (!c)
		count_loss(RPC_LOSS_CONNECTIONS, 1);
	return c;
}

static __always_inline void connection_drop(struct sock *sk)
{
	__u64 key = (__u64)sk;

	bpf_map_delete_elem(&connections, &key);
}

static __always_inline struct sock_now sock_now(struct sock *sk)
{
	struct tcp_sock *tcp = (struct tcp_sock *)sk;
	struct sock_now now = {};

	now.sent = BPF_CORE_READ(tcp, write_seq);
	now.received = BPF_CORE_READ(tcp, copied_seq);
	now.retransmits = BPF_CORE_READ(tcp, total_retrans);
	now.segments = BPF_CORE_READ(tcp, segs_out);
	now.rtt_us = BPF_CORE_READ(tcp, srtt_us) >> 3;
	now.unread = BPF_CORE_READ(tcp, rcv_nxt) - now.received;
	return now;
}

/* The read that ends now has overwritten TCP's stamp. */
static __always_inline __u64 sock_arrived(struct sock *sk)
{
	struct inet_connection_sock *icsk = (struct inet_connection_sock *)sk;

	return arrival_time(bpf_ktime_get_ns(), BPF_CORE_READ(icsk, icsk_ack.lrcvtime));
}

#include "bpf/rpc_call.h"

/* ---- the system calls that move a socket's bytes */

#if defined(__TARGET_ARCH_x86)
struct pt_regs {
	unsigned long si, di, orig_ax;
} __attribute__((preserve_access_index));

enum {
	NR_READ = 0,
	NR_WRITE = 1,
	NR_READV = 19,
	NR_WRITEV = 20,
	NR_SENDFILE = 40,
	NR_SENDTO = 44,
	NR_RECVFROM = 45,
	NR_SENDMSG = 46,
	NR_RECVMSG = 47,
	NR_IO_URING_ENTER = 426
};

#define CALL_NUMBER(regs) ((regs)->orig_ax)
#define CALL_DESCRIPTOR(regs) ((regs)->di)
#define CALL_BUFFER(regs) ((regs)->si)
#elif defined(__TARGET_ARCH_arm64)
struct pt_regs {
	__u64 regs[31];
	__u64 orig_x0;
	int syscallno;
} __attribute__((preserve_access_index));

enum {
	NR_READ = 63,
	NR_WRITE = 64,
	NR_READV = 65,
	NR_WRITEV = 66,
	NR_SENDFILE = 71,
	NR_SENDTO = 206,
	NR_RECVFROM = 207,
	NR_SENDMSG = 211,
	NR_RECVMSG = 212,
	NR_IO_URING_ENTER = 426
};

#define CALL_NUMBER(r) ((__u64)(r)->syscallno)
#define CALL_DESCRIPTOR(r) ((r)->orig_x0)
#define CALL_BUFFER(r) ((r)->regs[1])
#endif

enum memory { MEMORY_NONE, MEMORY_PLAIN, MEMORY_PIECES, MEMORY_MESSAGE };

struct call {
	__u8 wanted, sends;
	__u8 memory; /* what CALL_BUFFER points to */
};

static const struct call call_table[NR_RECVMSG + 1] = {
	[NR_READ] = {1, 0, MEMORY_PLAIN},
	[NR_WRITE] = {1, 1, MEMORY_PLAIN},
	[NR_READV] = {1, 0, MEMORY_PIECES},
	[NR_WRITEV] = {1, 1, MEMORY_PIECES},
	[NR_SENDFILE] = {1, 1, MEMORY_NONE},
	[NR_SENDTO] = {1, 1, MEMORY_PLAIN},
	[NR_RECVFROM] = {1, 0, MEMORY_PLAIN},
	[NR_SENDMSG] = {1, 1, MEMORY_MESSAGE},
	[NR_RECVMSG] = {1, 0, MEMORY_MESSAGE},
};

static __always_inline void glance_memory(
	struct rpc_glance *g, enum memory kind, unsigned long at, __u64 size)
{
	const struct user_msghdr *message = (const struct user_msghdr *)at;
	struct iovec piece = {};

	if (kind == MEMORY_NONE)
		return;
	if (kind == MEMORY_MESSAGE &&
		bpf_probe_read_user(&at, sizeof(at),
			(const char *)message + offsetof(struct user_msghdr, msg_iov)))
		return;
	if (kind != MEMORY_PLAIN) {
		if (bpf_probe_read_user(&piece, sizeof(piece), (const void *)at))
			return;
		at = (unsigned long)piece.iov_base;
		size = size < piece.iov_len ? size : piece.iov_len;
	}
	if (size > RPC_GLANCE)
		size = RPC_GLANCE;
	if (size && bpf_probe_read_user(g->byte, (__u32)size, (const void *)at) == 0)
		g->size = (__u32)size;
}

#define S_IFMT 0170000
#define S_IFSOCK 0140000

static __always_inline bool is_tcp(struct file *file, struct sock *sk)
{
	unsigned short family;

	if ((BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
		return false;
	family = BPF_CORE_READ(sk, __sk_common.skc_family);
	return (family == AF_INET || family == AF_INET6) &&
	       BPF_CORE_READ(sk, sk_protocol) == IPPROTO_TCP;
}

/* The TCP socket behind a descriptor of the current task; NULL for anything else. */
static __always_inline struct sock *sock_of(unsigned long descriptor)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct fdtable *table = task->files->fdt;
	struct file **slot = table->fd, *file = NULL;
	struct socket *socket = NULL;
	struct sock *sk = NULL;

	if (descriptor >= table->max_fds)
		return NULL;
	bpf_probe_read_kernel(&file, sizeof(file), slot + descriptor);
	bpf_core_read(&socket, sizeof(socket), &file->private_data);
	bpf_core_read(&sk, sizeof(sk), &socket->sk);
	if (!sk)
		return NULL;
	return connection_find(sk) || is_tcp(file, sk) ? sk : NULL;
}

static __always_inline __u64 sent_at(const struct rpc_connection *c, struct sock *sk)
{
	struct tcp_sock *tcp = (struct tcp_sock *)sk;
	__u32 held = BPF_CORE_READ(tcp, write_seq) - BPF_CORE_READ(tcp, snd_nxt);

	return send_time(c, BPF_CORE_READ(tcp, tcp_wstamp_ns), held, bpf_ktime_get_ns());
}

/* Up to where the stream has been sent, or read. */
static __always_inline __u32 position(struct sock *sk, bool sending)
{
	struct tcp_sock *tcp = (struct tcp_sock *)sk;

	return sending ? BPF_CORE_READ(tcp, write_seq) : BPF_CORE_READ(tcp, copied_seq);
}

SEC("tp_btf/sys_exit")
int BPF_PROG(rpc_exit, struct pt_regs *regs, long result)
{
	__u64 number = CALL_NUMBER(regs);
	struct rpc_glance g = {};
	struct rpc_connection *c;
	const struct call *call;
	struct sock *sk;
	__u64 now;

	if (number > NR_RECVMSG) {
		if (number == NR_IO_URING_ENTER && result > 0)
			count_loss(RPC_LOSS_IO_URING, (__u64)result);
		return 0;
	}
	call = &call_table[number];
	if (!call->wanted || result <= 0)
		return 0;
	sk = sock_of(CALL_DESCRIPTOR(regs));
	c = sk ? connection_of(sk) : NULL;
	if (!c)
		return 0;
	if (connection_wants_glance(c, call->sends)) {
		g.total = (__u32)result;
		g.at = position(sk, call->sends) - g.total;
		glance_memory(&g, call->memory, CALL_BUFFER(regs), (__u64)result);
	}
	now = call->sends ? sent_at(c, sk) : connection_read_time(c, sk);
	connection_data(c, sk, call->sends, now, &g);
	return 0;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(rpc_state, struct sock *sk, int from, int to)
{
	unsigned short family = sk->__sk_common.skc_family;

	if (sk->sk_protocol == IPPROTO_TCP && (family == AF_INET || family == AF_INET6))
		connection_state(sk, from, to);
	return 0;
}

SEC("iter/bpf_map_elem")
int rpc_flush(struct bpf_iter__bpf_map_elem *ctx)
{
	const __u64 *at = ctx->key;
	struct rpc_connection *c;
	__u64 key;

	if (!at)
		return 0;
	key = *at;
	c = bpf_map_lookup_elem(&connections, &key);
	if (c)
		connection_flush(c, (struct sock *)key, bpf_ktime_get_ns());
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
