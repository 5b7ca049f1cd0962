#include "tests/bpf/seen.h"

#include <string.h>

#include "common/clock.h"

#define PATIENCE_NS 15000000000ULL

struct both seen_between(
	const struct traffic_cgroup *client, const struct traffic_cgroup *server, uint16_t port)
{
	return (struct both){
		.client = {.cgroup_id = client->id, .side = WIRE_CLIENT, .port = port},
		.server = {.cgroup_id = server->id, .side = WIRE_SERVER, .port = port},
	};
}

static void add_operation(struct seen *s, const struct capture_operation *o)
{
	uint64_t longest_ns = hist_quantile_ns(&o->latency, 1);
	struct seen_operation *to = s->operation;

	while (to < s->operation + s->operations && strcmp(to->name, o->name) != 0)
		to++;
	if (to == s->operation + SEEN_OPERATIONS)
		return;
	if (to == s->operation + s->operations) {
		s->operations++;
		strcpy(to->name, o->name);
	}
	to->calls += o->latency.total;
	to->errors += o->errors;
	if (longest_ns > to->longest_ns)
		to->longest_ns = longest_ns;
}

struct seen_operation seen_operation(const struct seen *s, const char *name)
{
	for (unsigned i = 0; i < s->operations; i++)
		if (!strcmp(s->operation[i].name, name))
			return s->operation[i];
	return (struct seen_operation){0};
}

static void add(struct seen *s, const struct capture_edge *e)
{
	if (e->cgroup_id != s->cgroup_id || e->side != s->side || e->port != s->port)
		return;
	s->sum.peer_cgroup_id = e->peer_cgroup_id;
	s->sum.protocol = e->protocol;
	memcpy(s->sum.local_addr, e->local_addr, sizeof(s->sum.local_addr));
	memcpy(s->sum.peer_addr, e->peer_addr, sizeof(s->sum.peer_addr));
	s->sum.calls += e->calls;
	s->sum.errors += e->errors;
	s->sum.unanswered += e->unanswered;
	s->sum.bytes_sent += e->bytes_sent;
	s->sum.bytes_received += e->bytes_received;
	s->sum.retransmits += e->retransmits;
	s->sum.segments_sent += e->segments_sent;
	s->sum.resets_sent += e->resets_sent;
	s->sum.resets_received += e->resets_received;
	s->sum.client_port = e->client_port;
	s->sum.rtt_us = e->rtt_us;
	s->sum.connect_us = e->connect_us;
	hist_merge(&s->sum.latency, &e->latency);
	hist_merge(&s->sum.self, &e->self);
	for (uint32_t i = 0; i < e->operations; i++)
		add_operation(s, &e->operation[i]);
}

void seen_add(void *ctx, const struct capture_edge *e)
{
	struct both *b = ctx;

	add(&b->client, e);
	add(&b->server, e);
}

static uint64_t answered(const struct seen *s)
{
	return s->sum.calls;
}

static uint64_t ended(const struct seen *s)
{
	return s->sum.calls + s->sum.unanswered;
}

static int wait_for(
	struct capture *c, struct both *b, uint64_t (*count)(const struct seen *), uint64_t calls)
{
	uint64_t deadline = clock_monotonic_ns() + PATIENCE_NS;
	int err;

	do {
		err = capture_read(c, seen_add, b);
		if (err || (count(&b->client) >= calls && count(&b->server) >= calls))
			return err;
		traffic_pause_us(20000); /* a window; nothing in the kernel tells of a call */
	} while (clock_monotonic_ns() < deadline);
	return 0;
}

int seen_wait(struct capture *c, struct both *b, uint64_t calls)
{
	return wait_for(c, b, answered, calls);
}

int seen_wait_end(struct capture *c, struct both *b, uint64_t calls)
{
	return wait_for(c, b, ended, calls);
}
