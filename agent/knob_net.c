#include "agent/knob_net.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libmnl/libmnl.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#define MESSAGE_BYTES 32768
#define TICK_NS 64 /* PSCHED_SHIFT: the kernel counts a bucket's depth in ticks of 64 ns */

struct bucket {
	int link; /* interface; 0 = none found */
	uint32_t handle;
	uint64_t rate;         /* bytes/s */
	uint32_t burst, limit; /* bytes */
};

/* ---- the container's namespace ---- */

struct opening {
	int namespace;
	int socket; /* or -errno */
};

/* Its own thread, so that no other is ever in a foreign namespace. */
static void *open_socket_inside(void *arg)
{
	struct opening *o = arg;

	o->socket = setns(o->namespace, CLONE_NEWNET)
			    ? -1
			    : socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (o->socket < 0)
		o->socket = -errno;
	return NULL;
}

static int first_pid(int cgroup)
{
	int fd = openat(cgroup, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	char text[16] = "";
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	return n > 0 ? atoi(text) : 0;
}

/* The namespace of the cgroup's first process, if it is not ours. */
static int open_namespace(int cgroup)
{
	int pid = first_pid(cgroup), fd;
	struct stat theirs, ours;
	char path[48];

	if (pid <= 0)
		return -EOPNOTSUPP;
	snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -EOPNOTSUPP : -errno;
	/* The number could have passed to another process while we looked. */
	if (fstat(fd, &theirs) || stat("/proc/self/ns/net", &ours) ||
		theirs.st_ino == ours.st_ino || first_pid(cgroup) != pid) {
		close(fd);
		return -EOPNOTSUPP;
	}
	return fd;
}

static int open_socket(int cgroup)
{
	struct opening o = {.namespace = open_namespace(cgroup)};
	struct timeval patience = {.tv_sec = 1};
	pthread_t thread;
	int error;

	if (o.namespace < 0)
		return o.namespace;
	error = -pthread_create(&thread, NULL, open_socket_inside, &o);
	if (!error)
		pthread_join(thread, NULL);
	close(o.namespace);
	if (error || o.socket < 0)
		return error ? error : o.socket;
	setsockopt(o.socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	return o.socket;
}

/* ---- rtnetlink ---- */

/* Send one request and hand each answer to `each` until done. */
static int ask(int fd, struct nlmsghdr *request, mnl_cb_t each, void *ctx)
{
	char *buffer = malloc(MESSAGE_BYTES);
	int more = MNL_CB_OK, error = 0;

	if (!buffer)
		return -ENOMEM;
	if (send(fd, request, request->nlmsg_len, 0) < 0)
		error = -errno;
	while (!error && more > MNL_CB_STOP) {
		ssize_t n = recv(fd, buffer, MESSAGE_BYTES, 0);

		if (n < 0) {
			error = -errno;
			break;
		}
		more = mnl_cb_run(buffer, (size_t)n, request->nlmsg_seq, 0, each, ctx);
		if (more < 0)
			error = -errno;
	}
	free(buffer);
	return error;
}

static int take_attribute(const struct nlattr *attr, void *data)
{
	const struct nlattr **table = data;

	if (mnl_attr_get_type(attr) <= TCA_MAX)
		table[mnl_attr_get_type(attr)] = attr;
	return MNL_CB_OK;
}

static bool parse_bucket(const struct nlattr *options, struct bucket *b)
{
	const struct nlattr *table[TCA_MAX + 1] = {0}, *parms;
	struct tc_tbf_qopt q;

	if (mnl_attr_parse_nested(options, take_attribute, table) < 0)
		return false;
	parms = table[TCA_TBF_PARMS];
	if (!parms || mnl_attr_get_payload_len(parms) < sizeof(q))
		return false;
	memcpy(&q, mnl_attr_get_payload(parms), sizeof(q));
	b->rate = table[TCA_TBF_RATE64] ? mnl_attr_get_u64(table[TCA_TBF_RATE64]) : q.rate.rate;
	b->burst = (uint32_t)((double)b->rate * q.buffer * TICK_NS / 1e9 + 0.5);
	b->limit = q.limit;
	return b->rate > 0;
}

/* Keep the first root tbf on the wanted link, or on any when none is named. */
static int take_qdisc(const struct nlmsghdr *h, void *data)
{
	struct bucket *b = data, found = {0};
	const struct nlattr *table[TCA_MAX + 1] = {0};
	const struct tcmsg *t = mnl_nlmsg_get_payload(h);

	if (b->rate || (b->link && b->link != t->tcm_ifindex) || t->tcm_parent != TC_H_ROOT)
		return MNL_CB_OK;
	if (mnl_attr_parse(h, sizeof(*t), take_attribute, table) < 0 || !table[TCA_KIND] ||
		!table[TCA_OPTIONS] || strcmp(mnl_attr_get_str(table[TCA_KIND]), "tbf"))
		return MNL_CB_OK;
	if (!parse_bucket(table[TCA_OPTIONS], &found))
		return MNL_CB_OK;
	found.link = t->tcm_ifindex;
	found.handle = t->tcm_handle;
	*b = found;
	return MNL_CB_OK;
}

static struct tcmsg *start(char *buffer, uint16_t type, uint16_t flags)
{
	static uint32_t sequence;
	struct nlmsghdr *h = mnl_nlmsg_put_header(buffer);
	struct tcmsg *t;

	h->nlmsg_type = type;
	h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	h->nlmsg_seq = ++sequence;
	t = mnl_nlmsg_put_extra_header(h, sizeof(*t));
	t->tcm_family = AF_UNSPEC;
	return t;
}

/* `device` "" = any link. Found none: rate 0. */
static int find_bucket(int fd, const char *device, struct bucket *out)
{
	char buffer[256];
	struct bucket b = {.link = atoi(device)};
	int error;

	start(buffer, RTM_GETQDISC, NLM_F_DUMP);
	error = ask(fd, (struct nlmsghdr *)(void *)buffer, take_qdisc, &b);
	if (!error)
		*out = b;
	return error;
}

static int change_bucket(int fd, const struct bucket *b)
{
	char buffer[512];
	struct tc_tbf_qopt q = {.rate.rate = (uint32_t)b->rate, .limit = b->limit};
	struct tcmsg *t = start(buffer, RTM_NEWQDISC, NLM_F_ACK | NLM_F_REPLACE);
	struct nlmsghdr *h = (struct nlmsghdr *)(void *)buffer;
	struct nlattr *options;

	t->tcm_ifindex = b->link;
	t->tcm_parent = TC_H_ROOT;
	t->tcm_handle = b->handle;
	q.rate.linklayer = 1; /* Ethernet: no table of transmission times needed */
	mnl_attr_put_strz(h, TCA_KIND, "tbf");
	options = mnl_attr_nest_start(h, TCA_OPTIONS);
	mnl_attr_put(h, TCA_TBF_PARMS, sizeof(q), &q);
	mnl_attr_put_u32(h, TCA_TBF_BURST, b->burst);
	mnl_attr_nest_end(h, options);
	return ask(fd, h, NULL, NULL);
}

/* ---- the knob ---- */

int knob_net_open(struct knob *k, const char *device)
{
	struct bucket b;
	int error;

	k->netlink = open_socket(k->dir);
	if (k->netlink < 0)
		return k->netlink;
	error = find_bucket(k->netlink, device, &b);
	if (!error && b.rate)
		snprintf(k->device, sizeof(k->device), "%d", b.link);
	return error;
}

int knob_net_read(const struct knob *k, struct knob_value *out)
{
	struct knob_value v = {.value = -1, .text = "none"};
	struct bucket b;
	int error = find_bucket(k->netlink, k->device, &b);

	if (error)
		return error;
	if (b.rate) {
		v.value = (int64_t)b.rate;
		snprintf(v.text, sizeof(v.text), "%" PRIu64 " %u %u", b.rate, b.burst, b.limit);
	}
	*out = v;
	return 0;
}

static int set_bucket(const struct knob *k, uint64_t rate, uint32_t burst, uint32_t limit)
{
	struct bucket b;
	int error = find_bucket(k->netlink, k->device, &b);

	if (error)
		return error;
	if (!b.rate)
		return -ENOENT;
	b.rate = rate;
	b.burst = burst ? burst : b.burst;
	b.limit = limit ? limit : b.limit;
	return change_bucket(k->netlink, &b);
}

int knob_net_write(const struct knob *k, int64_t bytes_per_s)
{
	if (bytes_per_s <= 0 || bytes_per_s > UINT32_MAX)
		return -EINVAL;
	return set_bucket(k, (uint64_t)bytes_per_s, 0, 0);
}

int knob_net_restore(const struct knob *k, const char *text)
{
	uint64_t rate;
	unsigned burst, limit;

	if (sscanf(text, "%" SCNu64 " %u %u", &rate, &burst, &limit) != 3 || rate > UINT32_MAX)
		return -EINVAL;
	return set_bucket(k, rate, burst, limit);
}
