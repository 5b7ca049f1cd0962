/* What netem does to a link shows in the edges over it. Once per strategy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/capture.h"
#include "tests/bpf/exchange.h"

#define DELAY_MS 10 /* one way */
#define CALLS 100

static int home; /* the namespace the test began in */

static int leave(void **state)
{
	(void)state;
	return setns(home, CLONE_NEWNET);
}

/* A network namespace of the test's own, whose loopback is the link. */
static int enter(void **state)
{
	(void)state;
	if (unshare(CLONE_NEWNET))
		return -1;
	return system("ip link set lo up") ? -1 : 0;
}

static bool impose(const char *what)
{
	char command[128];

	snprintf(command, sizeof(command), "tc qdisc replace dev lo root netem %s 2>/dev/null",
		what);
	return system(command) == 0;
}

/* A round trip crosses the link twice; a server that answers at once adds nothing of its own. */
static void a_delay_is_in_the_round_trip_and_between_the_ends(void **state)
{
	struct exchange *x = exchange_new(&(struct exchange){.connections = 1, .calls = CALLS});
	double trip_us = 2 * DELAY_MS * 1000, between_us;
	struct both b;

	(void)state;
	assert_true(impose("delay 10ms limit 10000"));
	exchange_listen(x, AF_INET);
	b = exchange_run(x, exchange_client, exchange_server);
	exchange_check(&b, x, CALLS);
	between_us = ((double)hist_quantile_ns(&b.client.sum.latency, 0.5) -
			     (double)hist_quantile_ns(&b.server.sum.latency, 0.5)) /
		     1000;
	if (fabs(b.client.sum.rtt_us - trip_us) > 0.1 * trip_us ||
		fabs(between_us - trip_us) > 0.1 * trip_us)
		fail_msg("%.0f us imposed: a round trip of %.0f us, %.0f us between the ends",
			trip_us, (double)b.client.sum.rtt_us, between_us);
	exchange_free(x);
}

/* Segments sent again in this namespace, by the kernel's account. */
static uint64_t kernel_retransmits(void)
{
	FILE *f = popen("awk '/^Tcp:/ && ++n == 2 { print $13 }' /proc/net/snmp", "re");
	unsigned long value = 0;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%lu", &value), 1);
	pclose(f);
	return value;
}

/* The handshake and the end are on a good link: what a socket has no part in is not asked of it. */
static int run_client_over_losses(void *ctx)
{
	const struct traffic_request request = {.chunks = 1};
	struct exchange *x = ctx;
	uint64_t waited = 0;
	int fd = exchange_dial(x);

	hist_add(&x->record, traffic_call(fd, &request, &waited));
	if (!impose("loss 10% limit 10000"))
		return 1;
	for (unsigned k = 1; k < x->calls; k++)
		hist_add(&x->record, traffic_call(fd, &request, &waited));
	if (!impose("delay 0ms limit 10000"))
		return 1;
	hist_add(&x->record, traffic_call(fd, &request, &waited));
	close(fd);
	return 0;
}

static void each_segment_sent_again_is_counted(void **state)
{
	struct exchange *x = exchange_new(&(struct exchange){.connections = 1, .calls = CALLS});
	uint64_t before = kernel_retransmits();
	struct both b;

	(void)state;
	exchange_listen(x, AF_INET);
	b = exchange_run(x, run_client_over_losses, exchange_server);
	exchange_check(&b, x, CALLS + 1);
	assert_true(kernel_retransmits() > before);
	assert_int_equal(
		b.client.sum.retransmits + b.server.sum.retransmits, kernel_retransmits() - before);
	exchange_free(x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_delay_is_in_the_round_trip_and_between_the_ends, enter, leave),
		cmocka_unit_test_setup_teardown(each_segment_sent_again_is_counted, enter, leave),
	};
	void *none = NULL;
	bool there;

	home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	there = home >= 0 && enter(&none) == 0 && impose("delay 1ms");
	if (home < 0 || leave(&none) || !there) {
		printf("skipped: no netem here\n");
		return 77;
	}
	return exchange_main("capture_link_test", tests, sizeof(tests) / sizeof(*tests));
}
