/* Every way bytes move and a conversation ends, or how it is told. Once per strategy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/capture.h"
#include "agent/support.h"
#include "common/clock.h"
#include "tests/bpf/exchange.h"
#include "tests/bpf/ring.h"

#define ASK "no protocol starts like this"
#define FILE_BYTES 65536

/* ---- answers that user space never holds */

static int run_client_of_file(void *ctx)
{
	static char answer[FILE_BYTES];
	struct exchange *x = ctx;
	int fd = exchange_dial(x);

	for (unsigned i = 0; i < x->calls; i++) {
		uint64_t start_ns = clock_monotonic_ns();

		traffic_write(fd, ASK, sizeof(ASK));
		traffic_read(fd, answer, sizeof(answer));
		hist_add(&x->record, clock_monotonic_ns() - start_ns);
	}
	close(fd);
	return 0;
}

static int run_sendfile_server(void *ctx)
{
	const struct exchange *x = ctx;
	int file = memfd_create("answer", MFD_CLOEXEC), fd = accept(x->listener, NULL, NULL);
	char request[sizeof(ASK)];

	if (file < 0 || ftruncate(file, FILE_BYTES))
		return 1;
	for (unsigned i = 0; i < x->calls; i++) {
		off_t at = 0;

		traffic_read(fd, request, sizeof(request));
		while (at < FILE_BYTES)
			if (sendfile(fd, file, &at, (size_t)(FILE_BYTES - at)) <= 0)
				return 1;
	}
	close(fd);
	return 0;
}

static void answers_by_sendfile_are_counted(void **state)
{
	struct exchange *x = exchange_new(&(struct exchange){.connections = 1, .calls = 100});
	struct both b;

	(void)state;
	exchange_listen(x, AF_INET);
	b = exchange_run(x, run_client_of_file, run_sendfile_server);
	exchange_check(&b, x, 100);
	/* The end of the stream has a sequence number too. */
	assert_in_range(b.client.sum.bytes_received, 100 * FILE_BYTES, 100 * FILE_BYTES + 1);
	exchange_free(x);
}

static int run_client_of_echo(void *ctx)
{
	struct exchange *x = ctx;
	char text[] = ASK;
	int fd = exchange_dial(x);

	for (unsigned i = 0; i < x->calls; i++) {
		uint64_t start_ns = clock_monotonic_ns();

		traffic_write(fd, text, sizeof(text));
		traffic_read(fd, text, sizeof(text));
		hist_add(&x->record, clock_monotonic_ns() - start_ns);
	}
	close(fd);
	return 0;
}

static int run_splicing_server(void *ctx)
{
	const struct exchange *x = ctx;
	int fd = accept(x->listener, NULL, NULL), tube[2];
	ssize_t n;

	if (pipe(tube))
		return 1;
	while ((n = splice(fd, NULL, tube[1], NULL, sizeof(ASK), 0)) > 0)
		if (splice(tube[0], NULL, fd, NULL, (size_t)n, 0) != n)
			return 1;
	close(fd);
	return n != 0;
}

/* What no strategy sees at that end, it must not make up either. */
static void a_server_that_splices_is_blind_and_its_client_exact(void **state)
{
	struct exchange *x = exchange_new(&(struct exchange){.connections = 1, .calls = 100});
	struct both b;

	(void)state;
	exchange_listen(x, AF_INET);
	b = exchange_run(x, run_client_of_echo, run_splicing_server);
	assert_int_equal(b.client.sum.calls, 100);
	assert_int_equal(b.server.sum.calls + b.server.sum.unanswered, 0);
	exchange_free(x);
}

/* ---- io_uring */

static int run_ring_client(void *ctx)
{
	struct exchange *x = ctx;
	char text[] = ASK;
	struct ring ring;
	int fd = exchange_dial(x);

	if (ring_open(&ring))
		return 77;
	for (unsigned i = 0; i < x->calls; i++) {
		uint64_t start_ns = clock_monotonic_ns();

		if (ring_do(&ring, IORING_OP_SEND, fd, text, sizeof(text)) != sizeof(text) ||
			ring_do(&ring, IORING_OP_RECV, fd, text, sizeof(text)) != sizeof(text))
			return 1;
		hist_add(&x->record, clock_monotonic_ns() - start_ns);
	}
	close(fd);
	return 0;
}

static int run_echo(void *ctx)
{
	const struct exchange *x = ctx;
	int fd = accept(x->listener, NULL, NULL);
	char text[sizeof(ASK)];

	for (unsigned i = 0; i < x->calls; i++) {
		traffic_read(fd, text, sizeof(text));
		traffic_write(fd, text, sizeof(text));
	}
	return read(fd, text, 1) != 0;
}

static void io_uring_is_seen_or_counted_as_blind(void **state)
{
	struct exchange *x = exchange_new(&(struct exchange){.connections = 1, .calls = 100});
	uint64_t before[WIRE_LOSSES] = {0}, after[WIRE_LOSSES] = {0};
	struct both b;
	struct ring ring;

	(void)state;
	if (ring_open(&ring)) {
		print_message("skipped: io_uring is switched off here\n");
		skip();
	}
	close(ring.fd);
	exchange_listen(x, AF_INET);
	capture_losses(exchange_capture, before);
	b = exchange_run(x, run_ring_client, run_echo);
	capture_losses(exchange_capture, after);
	assert_int_equal(b.server.sum.calls, 100);
	if (exchange_sees(SEES_RING)) {
		exchange_check(&b, x, 100);
		assert_int_equal(after[LOSS_BLIND_IO_URING], 0);
	} else {
		assert_int_equal(b.client.sum.calls + b.client.sum.unanswered, 0);
		assert_true(after[LOSS_BLIND_IO_URING] - before[LOSS_BLIND_IO_URING] >= 200);
	}
	exchange_free(x);
}

/* ---- how conversations end */

static int run_half_closing_client(void *ctx)
{
	const struct exchange *x = ctx;

	for (unsigned i = 0; i < x->connections; i++) {
		char text[] = ASK;
		int fd = exchange_dial(x);

		traffic_write(fd, text, sizeof(text));
		shutdown(fd, SHUT_WR);
		traffic_read(fd, text, sizeof(text));
		close(fd);
	}
	return 0;
}

static int run_server_that_waits_for_the_end(void *ctx)
{
	const struct exchange *x = ctx;

	for (unsigned i = 0; i < x->connections; i++) {
		int fd = accept(x->listener, NULL, NULL);
		char text[sizeof(ASK)], rest;

		traffic_read(fd, text, sizeof(text));
		if (read(fd, &rest, 1) != 0)
			return 1;
		traffic_write(fd, text, sizeof(text));
		close(fd);
	}
	return 0;
}

/* Of 20 clients, those that are said to have had no answer. */
static uint64_t unanswered_after_half_closing(void)
{
	struct exchange *x = exchange_new(&(struct exchange){.connections = 20});
	struct both b;

	exchange_listen(x, AF_INET);
	b = exchange_run(x, run_half_closing_client, run_server_that_waits_for_the_end);
	assert_int_equal(seen_wait_end(exchange_capture, &b, 20), 0);
	assert_int_equal(b.server.sum.calls, 20);
	assert_int_equal(b.server.sum.unanswered, 0);
	assert_int_equal(b.client.sum.calls + b.client.sum.unanswered, 20);
	exchange_free(x);
	return b.client.sum.unanswered;
}

/*
 * Without SEES_LAST a read that is between its bytes and its return as the connection ends has not
 * been yet: a few where both ends have a CPU, more where one waits for it.
 */
static void an_answer_after_the_client_has_half_closed_is_counted(void **state)
{
	uint64_t most = exchange_sees(SEES_LAST) ? 0 : 5, unanswered = UINT64_MAX;

	(void)state;
	for (int tries = 0; tries < 12 && unanswered > most; tries++) {
		unanswered = unanswered_after_half_closing();
		assert_true(unanswered == 0 || most > 0);
	}
	assert_true(unanswered <= most);
}

static int run_refused_client(void *ctx)
{
	const struct exchange *x = ctx;

	for (unsigned i = 0; i < x->connections; i++) {
		char text[] = ASK;
		int fd = exchange_dial(x);

		traffic_write(fd, text, sizeof(text));
		if (read(fd, text, sizeof(text)) >= 0)
			return 1; /* the answer is a reset */
		close(fd);
	}
	return 0;
}

static int run_resetting_server(void *ctx)
{
	const struct linger hard = {.l_onoff = 1};
	const struct exchange *x = ctx;

	for (unsigned i = 0; i < x->connections; i++) {
		int fd = accept(x->listener, NULL, NULL);
		char text[sizeof(ASK)];

		traffic_read(fd, text, sizeof(text));
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
		close(fd);
	}
	return 0;
}

static void a_reset_leaves_a_call_unanswered_at_both_ends(void **state)
{
	struct exchange *x = exchange_new(&(struct exchange){.connections = 20});
	struct both b;

	(void)state;
	exchange_listen(x, AF_INET);
	b = exchange_run(x, run_refused_client, run_resetting_server);
	assert_int_equal(seen_wait_end(exchange_capture, &b, 20), 0);
	assert_int_equal(b.client.sum.calls + b.server.sum.calls, 0);
	assert_int_equal(b.client.sum.unanswered, 20);
	assert_int_equal(b.server.sum.unanswered, 20);
	exchange_free(x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_by_sendfile_are_counted),
		cmocka_unit_test(a_server_that_splices_is_blind_and_its_client_exact),
		cmocka_unit_test(io_uring_is_seen_or_counted_as_blind),
		cmocka_unit_test(an_answer_after_the_client_has_half_closed_is_counted),
		cmocka_unit_test(a_reset_leaves_a_call_unanswered_at_both_ends),
	};

	return exchange_main("capture_transfer_test", tests, sizeof(tests) / sizeof(tests[0]));
}
