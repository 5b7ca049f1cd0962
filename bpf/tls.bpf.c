/*
 * The plaintext of TLS: programs on the functions by which a process reads and writes.
 *
 * Attached by the agent to the functions of OpenSSL, in whichever file has them, and of Go's
 * crypto/tls. They only look at the first bytes; times come from the sockets.
 */
#include <linux/ptrace.h>

#include "bpf/kernel.h"

#include "bpf/tls.h"

static __always_inline void glance_text(struct rpc_glance *g, const void *text, __u64 size)
{
	g->size = 0;
	if (size > RPC_GLANCE)
		size = RPC_GLANCE;
	__builtin_memset(g->byte, 0, sizeof(g->byte));
	if (size && bpf_probe_read_user(g->byte, (__u32)size, text) == 0)
		g->size = (__u32)size;
}

/* Pieces that are sent together are one message: its start is kept. */
static __always_inline void say(const void *ssl, const void *text, __u64 size)
{
	struct tls_thread *t = tls_thread_make();

	if (!t || (t->said.size && t->said_to == (__u64)ssl))
		return;
	t->said_to = (__u64)ssl;
	glance_text(&t->said, text, size);
}

SEC("uprobe")
int BPF_KPROBE(tls_write, void *ssl, const void *text, int size)
{
	if (size > 0)
		say(ssl, text, (__u64)size);
	return 0;
}

SEC("uprobe")
int BPF_KPROBE(tls_write_ex, void *ssl, const void *text, size_t size)
{
	say(ssl, text, size);
	return 0;
}

/* crypto/tls.(*Conn).Write(c, text): Go passes arguments in registers of its own. */
SEC("uprobe")
int tls_write_go(struct pt_regs *regs)
{
#if defined(__TARGET_ARCH_x86)
	say((void *)regs->rax, (void *)regs->rbx, regs->rcx);
#elif defined(__TARGET_ARCH_arm64)
	const struct user_pt_regs *r = (const struct user_pt_regs *)regs;

	say((void *)r->regs[0], (void *)r->regs[1], r->regs[2]);
#endif
	return 0;
}

static __always_inline void expect(__u64 buffer, __u64 size_at)
{
	struct tls_thread *t = tls_thread_make();

	if (!t)
		return;
	t->buffer = buffer;
	t->size_at = size_at;
}

SEC("uprobe")
int BPF_KPROBE(tls_read, void *ssl, void *buffer)
{
	expect((__u64)buffer, 0);
	return 0;
}

SEC("uprobe")
int BPF_KPROBE(tls_read_ex, void *ssl, void *buffer, size_t size, size_t *size_at)
{
	expect((__u64)buffer, (__u64)size_at);
	return 0;
}

/* Of a message only its first bytes are passed on: the socket's program says when one begins. */
SEC("uretprobe")
int BPF_KRETPROBE(tls_read_done, int result)
{
	struct tls_thread *t = tls_thread();
	struct rpc_glance g = {};
	__u64 size = (__u64)result;

	if (!t || !t->buffer)
		return 0;
	if (result > 0 && t->awaited) {
		if (t->size_at && bpf_probe_read_user(&size, sizeof(size), (void *)t->size_at))
			size = 0;
		glance_text(&g, (void *)t->buffer, size);
		if (g.size) {
			bpf_map_update_elem(&tls_heard, &t->sock, &g, BPF_ANY);
			t->awaited = 0;
		}
	}
	t->buffer = 0;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
