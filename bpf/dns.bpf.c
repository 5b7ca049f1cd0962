/*
 * DNS over UDP: queries and their answers, paired by addresses, ports and id.
 *
 * Packets are seen as they leave for a device and as they come from one, the only places
 * where all kernels show UDP's bytes; what is not DNS is left after a few loads.
 */
#include "bpf/kernel.h"

#include "bpf/dns_query.h"

extern void *bpf_rdonly_cast(const void *pointer, __u32 type) __ksym __weak;

#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86dd
#define IPPROTO_UDP 17

#define DNS_PORTS 4

const volatile __u16 dns_ports[DNS_PORTS] = {53}; /* of servers; 0 = none */
const volatile __u8 has_cast;                     /* the kernel has bpf_rdonly_cast */

/* ---- packets */

static __always_inline bool is_dns_port(__u16 port)
{
#pragma unroll
	for (int i = 0; i < DNS_PORTS; i++)
		if (port && dns_ports[i] == port)
			return true;
	return false;
}

/* Whether a packet may be DNS, by loads that cost next to nothing where the kernel has them. */
static __always_inline bool may_be_dns(const unsigned char *at, bool v6)
{
	const struct udphdr *udp;

	if (!has_cast)
		return true;
	if (v6) {
		const struct ipv6hdr *ip =
			bpf_rdonly_cast(at, bpf_core_type_id_kernel(struct ipv6hdr));

		if (ip->nexthdr != IPPROTO_UDP)
			return false;
	} else {
		const struct iphdr *ip = bpf_rdonly_cast(at, bpf_core_type_id_kernel(struct iphdr));

		if (ip->protocol != IPPROTO_UDP)
			return false;
	}
	udp = bpf_rdonly_cast(at + (v6 ? 40 : 20), bpf_core_type_id_kernel(struct udphdr));
	return is_dns_port(bpf_ntohs(udp->source)) || is_dns_port(bpf_ntohs(udp->dest));
}

/* The DNS message in `skb`, whose IP header is `offset` from its data. */
static __always_inline enum rpc_verdict packet_of(
	const struct sk_buff *skb, __u32 offset, struct dns_packet *p)
{
	const unsigned char *at = skb->data + offset;
	__u32 whole = skb->len - skb->data_len;
	bool v6 = skb->protocol == bpf_htons(ETH_P_IPV6);
	__u8 head[DNS_PACKET_V6] = {};
	enum rpc_verdict v;

	if ((!v6 && skb->protocol != bpf_htons(ETH_P_IP)) || !may_be_dns(at, v6))
		return RPC_NOTHING;
	if (v6) {
		if (whole < offset + DNS_PACKET_V6 ||
			bpf_probe_read_kernel(head, DNS_PACKET_V6, at))
			return RPC_NOTHING;
	} else if (whole < offset + DNS_PACKET_V4 ||
		   bpf_probe_read_kernel(head, DNS_PACKET_V4, at)) {
		return RPC_NOTHING;
	}
	if (!dns_packet(head, v6, p))
		return RPC_NOTHING;
	v = dns_message(p->message);
	return is_dns_port(v == RPC_REQUEST ? p->dest_port : p->source_port) ? v : RPC_NOTHING;
}

static __always_inline void key_of(
	const struct dns_packet *p, enum rpc_verdict v, __u32 netns, struct dns_key *k)
{
	bool asks = v == RPC_REQUEST;

	__builtin_memcpy(k->client_addr, asks ? p->source : p->dest, 16);
	__builtin_memcpy(k->server_addr, asks ? p->dest : p->source, 16);
	k->client_port = asks ? p->source_port : p->dest_port;
	k->server_port = asks ? p->dest_port : p->source_port;
	k->id = p->id;
	k->pad0 = 0;
	k->netns = is_loopback(k->server_addr) ? netns : 0;
}

static __always_inline __u32 netns_of(const struct sk_buff *skb)
{
	return BPF_CORE_READ(skb, dev, nd_net.net, ns.inum);
}

/* ---- programs */

SEC("tp_btf/net_dev_queue")
int BPF_PROG(dns_leaves, struct sk_buff *skb)
{
	struct sock *sk = skb->sk;
	struct dns_packet p = {};
	enum rpc_verdict v;
	struct dns_key k;
	__u32 offset;

	if (!sk || sk->sk_protocol != IPPROTO_UDP) /* without a socket it is only passing through */
		return 0;
	offset = (__u32)(skb->head + skb->network_header - skb->data);
	v = packet_of(skb, offset, &p);
	if (v == RPC_NOTHING)
		return 0;
	key_of(&p, v, netns_of(skb), &k);
	if (v == RPC_REQUEST)
		asked(sk, &k, netns_of(skb), p.size);
	else
		answered(sk, &k, netns_of(skb), &p, v);
	return 0;
}

SEC("tp_btf/netif_receive_skb")
int BPF_PROG(dns_comes, struct sk_buff *skb)
{
	struct dns_packet p = {};
	enum rpc_verdict v;
	struct dns_key k;

	v = packet_of(skb, 0, &p);
	if (v == RPC_NOTHING)
		return 0;
	key_of(&p, v, netns_of(skb), &k);
	if (v == RPC_REQUEST)
		came(&k, netns_of(skb), p.size);
	else
		received(&k, netns_of(skb), &p, v);
	return 0;
}

/* At a window's end. */
SEC("iter/bpf_map_elem")
int dns_flush(struct bpf_iter__bpf_map_elem *ctx)
{
	const struct dns_key *at = ctx->key;
	__u64 now = bpf_ktime_get_ns();
	struct dns_query *q;
	struct dns_key k;

	if (!at)
		return 0;
	k = *at;
	q = bpf_map_lookup_elem(&dns_queries, &k);
	if (!q)
		return 0;
	if (gives_up(q, RPC_CLIENT, now) && k.server_port) {
		thread_answered(q, now);
		count_unanswered(&k, q, RPC_CLIENT);
	}
	if (gives_up(q, RPC_SERVER, now))
		count_server_unanswered(&k, q);
	if (!q->open_ns[RPC_CLIENT] && !q->open_ns[RPC_SERVER])
		bpf_map_delete_elem(&dns_queries, &k);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
