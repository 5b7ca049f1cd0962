/*
 * The agents of the shop's two nodes, over the real wire: `shop-agents URL UNIX-TIME`.
 *
 * Commands are lines on stdin, each answered by one line on stdout:
 *
 *     play N           N seconds of the shop; `played` once the analyzer has stored them
 *     throttle         cut stock's CPU limit; `throttled`
 *
 * A lease on stock's CPU quota is taken, reported and said: `leased`, `released`.
 * Ends at the end of stdin.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/uplink.h"
#include "common/clock.h"
#include "common/log.h"
#include "shop.h"

#define STORED_MS 20000 /* longest wait for an acknowledgement */
#define SPOOL_BYTES (16U << 20)
#define IN_STEP 5 /* seconds the nodes may be apart */

struct node {
	struct uplink *uplink;
	struct wire_lease held[WIRE_MAX_LEASES]; /* [holds] */
	size_t holds;
};

struct agents {
	struct shop shop;
	struct node node[SHOP_NODES];
};

static void say(const char *text)
{
	puts(text);
	fflush(stdout);
}

/* ---- leases ---------------------------------------------------------------- */

static bool is_among(const struct wire_lease *l, const struct wire_lease *all, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (all[i].id == l->id)
			return true;
	return false;
}

/* Only the container has a limit; a quota on its pod finds nothing to raise. */
static bool is_stock_quota(const struct wire_lease *l)
{
	return l->knob == KNOB_CPU_QUOTA && !strcmp(l->path, "/pods/stock/app");
}

static void report(struct uplink *u, const struct wire_lease *l, enum wire_lease_state state,
	int64_t old_value, int64_t value)
{
	struct wire_lease_report r = {.id = l->id,
		.state = (uint8_t)state,
		.old_value = old_value,
		.value = value,
		.at_ns = clock_wall_ns()};

	uplink_report(u, &r, 1);
}

static void grant(struct agents *a, struct uplink *u, const struct wire_lease *l)
{
	if (!is_stock_quota(l)) {
		report(u, l, LEASE_APPLIED, -1, -1);
		return;
	}
	report(u, l, LEASE_APPLIED, a->shop.limit, l->value);
	a->shop.limit = l->value;
	say("leased");
}

static void release(struct agents *a, struct uplink *u, const struct wire_lease *l)
{
	bool quota = is_stock_quota(l);

	report(u, l, LEASE_REVERTED, quota ? a->shop.limit : -1, quota ? SHOP_THROTTLED : -1);
	if (!quota)
		return;
	a->shop.limit = SHOP_THROTTLED;
	say("released");
}

/* What is new is granted, what is no longer asked for goes back. */
static void take_leases(struct agents *a, struct node *n)
{
	struct wire_leases now;

	if (!uplink_take_leases(n->uplink, &now))
		return;
	for (size_t i = 0; i < now.leases; i++)
		if (!is_among(&now.lease[i], n->held, n->holds))
			grant(a, n->uplink, &now.lease[i]);
	for (size_t i = 0; i < n->holds; i++)
		if (!is_among(&n->held[i], now.lease, now.leases))
			release(a, n->uplink, &n->held[i]);
	memcpy(n->held, now.lease, now.leases * sizeof(*now.lease));
	n->holds = now.leases;
	wire_leases_close(&now);
}

/* ---- windows --------------------------------------------------------------- */

static int push(struct agents *a, unsigned node)
{
	struct wire_window w;
	int err = shop_window(&a->shop, node, &w);

	if (err)
		return err;
	err = uplink_push(a->node[node].uplink, &w);
	wire_window_close(&w);
	return err;
}

/* Until the analyzer has all that was pushed; leases are obeyed meanwhile. */
static int await_stored(struct agents *a, struct node *n)
{
	uint64_t until_ns = clock_monotonic_ns() + STORED_MS * 1000000ULL;
	struct pollfd p = {.fd = uplink_fd(n->uplink), .events = POLLIN};
	struct uplink_stats stats;

	for (;;) {
		take_leases(a, n);
		uplink_stats(n->uplink, &stats);
		if (!stats.pending)
			return 0;
		if (clock_monotonic_ns() > until_ns)
			return -ETIMEDOUT;
		if (poll(&p, 1, 100) < 0)
			return -errno;
	}
}

static int play_second(struct agents *a, bool in_step)
{
	int err = 0;

	shop_play(&a->shop);
	for (unsigned i = 0; i < SHOP_NODES && !err; i++)
		err = push(a, i);
	for (unsigned i = 0; i < SHOP_NODES && !err && in_step; i++)
		err = await_stored(a, &a->node[i]);
	return err;
}

static int play(struct agents *a, unsigned long seconds)
{
	int err = 0;

	for (unsigned long i = 0; i < seconds && !err; i++)
		err = play_second(a, a->shop.second % IN_STEP == 0 || i + 1 == seconds);
	if (!err)
		say("played");
	return err;
}

/* ---- commands -------------------------------------------------------------- */

static int obey(struct agents *a, const char *line)
{
	unsigned long seconds;

	if (sscanf(line, "play %lu", &seconds) == 1)
		return play(a, seconds);
	if (!strcmp(line, "throttle\n")) {
		a->shop.limit = SHOP_THROTTLED;
		say("throttled");
		return 0;
	}
	log_error("%s: want play N or throttle", line);
	return -EINVAL;
}

/* Lines come whole: the other end writes one at a time and waits for its answer. */
static int read_command(struct agents *a, bool *over)
{
	char line[64];
	ssize_t n = read(STDIN_FILENO, line, sizeof(line) - 1);

	*over = n <= 0;
	if (n <= 0)
		return n < 0 ? -errno : 0;
	line[n] = 0;
	return obey(a, line);
}

static int run(struct agents *a)
{
	struct pollfd p[1 + SHOP_NODES] = {{.fd = STDIN_FILENO, .events = POLLIN}};
	bool over = false;
	int err = 0;

	for (unsigned i = 0; i < SHOP_NODES; i++)
		p[1 + i] = (struct pollfd){.fd = uplink_fd(a->node[i].uplink), .events = POLLIN};
	while (!over && !err) {
		if (poll(p, 1 + SHOP_NODES, -1) < 0)
			return -errno;
		for (unsigned i = 0; i < SHOP_NODES; i++)
			if (p[1 + i].revents)
				take_leases(a, &a->node[i]);
		if (p[0].revents)
			err = read_command(a, &over);
	}
	return err;
}

int main(int argc, char **argv)
{
	static struct agents a;
	int err = 0;

	log_init("shop-agents", LOG_INFO);
	if (argc != 3) {
		log_error("want: shop-agents URL UNIX-TIME");
		return 2;
	}
	shop_init(&a.shop, strtoull(argv[2], NULL, 10));
	for (unsigned i = 0; i < SHOP_NODES && !err; i++) {
		struct uplink_options o = {.url = argv[1],
			.node = shop_node[i],
			.spool_bytes = SPOOL_BYTES,
			.mode = 2};

		err = uplink_open(&a.node[i].uplink, &o);
	}
	if (!err)
		err = run(&a);
	if (err)
		log_error("%s", strerror(-err));
	for (unsigned i = 0; i < SHOP_NODES; i++)
		uplink_close(a.node[i].uplink);
	_exit(err ? 1 : 0); /* as net.h asks */
}
