#include <errno.h>
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/wire.h"
#include "wire_sample.h"
#include "wire_unfold.h"

static const struct wire_agent agent = {.name = "node-1", .boot_id = "0123456789abcdef"};

/* One of each message, so that what holds for all is said once. */
struct message {
	void *data;
	size_t size;
};

static struct message encoded_batch(struct wire_window *w, uint32_t windows)
{
	struct wire_batch b = {.agent = agent, .sequence = 42, .windows = windows, .window = w};
	struct message m;

	assert_int_equal(wire_encode_batch(&b, &m.data, &m.size), 0);
	return m;
}

static struct wire_lease sample_lease(void)
{
	struct wire_lease l = {.id = UINT64_MAX,
		.epoch = 7,
		.cgroup_id = 1ULL << 63,
		.knob = KNOB_NET_RATE,
		.expected = WIRE_ANY_VALUE,
		.value = INT64_MAX,
		.ttl_ms = UINT32_MAX};

	memset(l.path, 'p', sizeof(l.path) - 1);
	strcpy(l.reason, "cart: cpu throttled");
	return l;
}

static struct wire_lease_report sample_report(void)
{
	struct wire_lease_report r = {.id = 3,
		.state = LEASE_YIELDED,
		.old_value = -1,
		.value = INT64_MIN,
		.at_ns = UINT64_MAX};

	memset(r.detail, 'd', sizeof(r.detail) - 1);
	return r;
}

static struct message encoded(enum wire_kind kind)
{
	struct wire_lease lease = sample_lease();
	struct wire_lease_report report = sample_report();
	struct wire_ack ack = {.sequence = UINT64_MAX, .credit = 1};
	struct wire_poll poll = {.agent = agent, .mode = 2, .reports = 1, .report = &report};
	struct wire_leases leases = {.epoch = 9, .leases = 1, .lease = &lease};
	struct wire_window w;
	struct message m = {0};

	switch (kind) {
	case WIRE_BATCH:
		sample_window(&w, 3, 4, 20, 1);
		m = encoded_batch(&w, 1);
		wire_window_close(&w);
		break;
	case WIRE_ACK:
		assert_int_equal(wire_encode_ack(&ack, &m.data, &m.size), 0);
		break;
	case WIRE_POLL:
		assert_int_equal(wire_encode_poll(&poll, &m.data, &m.size), 0);
		break;
	case WIRE_LEASES:
		assert_int_equal(wire_encode_leases(&leases, &m.data, &m.size), 0);
		break;
	case WIRE_REFUSAL:
		assert_int_equal(wire_encode_refusal("a stranger", &m.data, &m.size), 0);
		break;
	case WIRE_SEALED: /* identity_test.c */
		break;
	}
	return m;
}

/* Decode as its kind says and release; 0 or the decoder's error. */
static int decode(const void *data, size_t size, int kind)
{
	struct wire_batch b = {0};
	struct wire_ack a;
	struct wire_poll p = {0};
	struct wire_leases l = {0};
	char why[WIRE_NAME];
	int error = -EBADMSG;

	if (kind == WIRE_BATCH)
		error = wire_decode_batch(data, size, &b);
	if (kind == WIRE_ACK)
		error = wire_decode_ack(data, size, &a);
	if (kind == WIRE_POLL)
		error = wire_decode_poll(data, size, &p);
	if (kind == WIRE_LEASES)
		error = wire_decode_leases(data, size, &l);
	if (kind == WIRE_REFUSAL)
		error = wire_decode_refusal(data, size, why);
	wire_batch_close(&b);
	wire_poll_close(&p);
	wire_leases_close(&l);
	return error;
}

static void a_batch_comes_back_as_it_went(void **state)
{
	struct wire_window w[3];
	struct wire_batch got;
	struct message m;

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		sample_window(&w[i], 10 * i, i ? 30 : 0, 100, i);
	m = encoded_batch(w, 3);
	assert_int_equal(wire_kind(m.data, m.size), WIRE_BATCH);
	assert_int_equal(wire_decode_batch(m.data, m.size, &got), 0);
	wire_unfold(&got);
	assert_memory_equal(&got.agent, &agent, sizeof(agent));
	assert_int_equal(got.sequence, 42);
	assert_int_equal(got.windows, 3);
	for (unsigned i = 0; i < 3; i++) {
		assert_windows_equal(&w[i], &got.window[i]);
		wire_window_close(&w[i]);
	}
	wire_batch_close(&got);
	wire_batch_close(&got);
	free(m.data);
}

static void operations_come_back_as_they_went(void **state)
{
	struct wire_window w[2];
	struct wire_batch got;
	struct message m;

	(void)state;
	for (unsigned i = 0; i < 2; i++)
		sample_window(&w[i], 10, 30, 100, i);
	sample_operations(&w[1]);
	assert_int_equal(w[1].operations, 45);
	m = encoded_batch(w, 2);
	assert_int_equal(*(uint8_t *)m.data, WIRE_VERSION_OPERATIONS);
	assert_int_equal(wire_kind(m.data, m.size), WIRE_BATCH);
	assert_int_equal(wire_decode_batch(m.data, m.size, &got), 0);
	wire_unfold(&got);
	for (unsigned i = 0; i < 2; i++)
		assert_windows_equal(&w[i], &got.window[i]);
	wire_batch_close(&got);
	for (size_t size = 0; size < m.size; size++)
		assert_int_equal(wire_decode_batch(m.data, size, &got), -EBADMSG);
	*(uint8_t *)m.data = WIRE_VERSION; /* the same bytes, read as they were before */
	assert_int_equal(wire_decode_batch(m.data, m.size, &got), -EBADMSG);
	for (unsigned i = 0; i < 2; i++)
		wire_window_close(&w[i]);
	free(m.data);
}

/* With operations in another window of the batch, and without. */
static void what_connections_tell_comes_back_as_it_went(void **state)
{
	(void)state;
	for (unsigned operations = 0; operations < 2; operations++) {
		struct wire_window w[2];
		struct wire_batch got;
		struct message m;

		for (unsigned i = 0; i < 2; i++)
			sample_window(&w[i], 10, 30, 100, i);
		if (operations)
			sample_operations(&w[0]);
		w[1].edge[0].client_port = UINT16_MAX;
		w[1].edge[7].resets_sent = 1;
		w[1].edge[7].client_port = 1024;
		w[1].edge[29].resets_received = UINT32_MAX;
		m = encoded_batch(w, 2);
		assert_int_equal(*(uint8_t *)m.data, WIRE_VERSION_CONNECTIONS);
		assert_int_equal(wire_kind(m.data, m.size), WIRE_BATCH);
		assert_int_equal(wire_decode_batch(m.data, m.size, &got), 0);
		wire_unfold(&got);
		for (unsigned i = 0; i < 2; i++)
			assert_windows_equal(&w[i], &got.window[i]);
		wire_batch_close(&got);
		for (size_t size = 0; size < m.size; size++)
			assert_int_equal(wire_decode_batch(m.data, size, &got), -EBADMSG);
		*(uint8_t *)m.data = WIRE_VERSION_OPERATIONS; /* read as they were before */
		assert_int_equal(wire_decode_batch(m.data, m.size, &got), -EBADMSG);
		for (unsigned i = 0; i < 2; i++)
			wire_window_close(&w[i]);
		free(m.data);
	}
}

static void what_has_no_operations_is_as_old_analyzers_know_it(void **state)
{
	struct wire_window w;
	struct message m;

	(void)state;
	sample_window(&w, 4, 4, 10, 1);
	m = encoded_batch(&w, 1);
	assert_int_equal(*(uint8_t *)m.data, WIRE_VERSION);
	wire_window_close(&w);
	free(m.data);
}

static void odd_operations_are_not_encoded(void **state)
{
	struct wire_batch b = {.windows = 1};
	struct wire_window w;
	void *out = NULL;
	size_t size;

	(void)state;
	sample_window(&w, 4, 4, 10, 1);
	sample_operations(&w);
	b.window = &w;
	w.operation[5].edge = 4;
	assert_int_equal(wire_encode_batch(&b, &out, &size), -EINVAL);
	w.operation[5].edge = 0; /* out of order */
	assert_int_equal(wire_encode_batch(&b, &out, &size), -EINVAL);
	w.operation[5].edge = 2;
	w.operation[5].name[0] = '\n';
	assert_int_equal(wire_encode_batch(&b, &out, &size), -EINVAL);
	w.operation[5].name[0] = 0;
	assert_int_equal(wire_encode_batch(&b, &out, &size), -EINVAL);
	w.operation[5].name[0] = 'x';
	assert_int_equal(wire_encode_batch(&b, &out, &size), 0);
	wire_window_close(&w);
	free(out);
}

static void extremes_survive(void **state)
{
	struct wire_window w;
	struct wire_batch got;
	struct wire_edge *e;
	struct message m;

	(void)state;
	sample_window(&w, 2, 2, 0, 5);
	w.start_ns = w.duration_ns = UINT64_MAX;
	memset(w.loss, 0xff, sizeof(w.loss));
	for (unsigned i = 0; i < HOST_METRICS; i++)
		w.host[i] = NAN;
	memset(w.container[0].group, 'g', WIRE_PATH - 1);
	memset(w.container[0].path, 0, WIRE_PATH);
	w.container[1].cgroup_id = UINT64_MAX;
	w.container[1].metric[0] = FLT_MAX;
	w.container[1].metric[1] = -FLT_MAX;
	w.container[1].metric[2] = INFINITY;
	w.container[1].metric[3] = FLT_TRUE_MIN * 512;
	e = &w.edge[0];
	e->port = UINT16_MAX;
	e->errors = e->unanswered = e->retransmits = e->segments_sent = UINT32_MAX;
	e->bytes_sent = e->bytes_received = UINT64_MAX;
	memset(e->peer_addr, 0xff, 16);
	for (unsigned b = 0; b < HIST_BUCKETS; b++)
		e->latency.count[b] = UINT32_MAX;
	e->latency.total = UINT64_MAX;
	e->latency.sum_ns = UINT64_MAX;
	w.edge[1].self.count[HIST_BUCKETS - 1] =
		1; /* total lags behind: read while it was filled */

	m = encoded_batch(&w, 1);
	assert_int_equal(wire_decode_batch(m.data, m.size, &got), 0);
	wire_unfold(&got);
	assert_windows_equal(&w, &got.window[0]);
	wire_batch_close(&got);
	wire_window_close(&w);
	free(m.data);
}

static void a_full_window_fits_its_bounds(void **state)
{
	struct wire_batch got;
	struct wire_window w;
	struct message m;

	(void)state;
	sample_window(&w, WIRE_MAX_CONTAINERS, WIRE_MAX_EDGES, 1, 1);
	m = encoded_batch(&w, 1);
	assert_int_equal(wire_decode_batch(m.data, m.size, &got), 0);
	wire_unfold(&got);
	assert_int_equal(got.window[0].edges, WIRE_MAX_EDGES);
	wire_batch_close(&got);
	wire_window_close(&w);
	free(m.data);
}

static void leases_polls_acks_and_refusals_come_back_as_they_went(void **state)
{
	struct wire_lease_report report = sample_report();
	struct wire_lease lease = sample_lease();
	struct message m = encoded(WIRE_LEASES);
	struct wire_leases l;
	struct wire_poll p;
	struct wire_ack a;
	char why[WIRE_NAME];

	(void)state;
	assert_int_equal(wire_decode_leases(m.data, m.size, &l), 0);
	assert_int_equal(l.epoch, 9);
	assert_int_equal(l.leases, 1);
	assert_string_equal(l.lease[0].path, lease.path);
	assert_string_equal(l.lease[0].reason, lease.reason);
	assert_true(l.lease[0].id == lease.id && l.lease[0].cgroup_id == lease.cgroup_id);
	assert_true(l.lease[0].expected == WIRE_ANY_VALUE && l.lease[0].value == INT64_MAX);
	assert_true(l.lease[0].knob == KNOB_NET_RATE && l.lease[0].ttl_ms == UINT32_MAX);
	wire_leases_close(&l);
	free(m.data);

	m = encoded(WIRE_POLL);
	assert_int_equal(wire_decode_poll(m.data, m.size, &p), 0);
	assert_memory_equal(&p.agent, &agent, sizeof(agent));
	assert_true(p.mode == 2 && p.reports == 1);
	assert_string_equal(p.report[0].detail, report.detail);
	assert_true(p.report[0].value == INT64_MIN && p.report[0].old_value == -1);
	assert_true(p.report[0].state == LEASE_YIELDED && p.report[0].at_ns == UINT64_MAX);
	wire_poll_close(&p);
	free(m.data);

	m = encoded(WIRE_ACK);
	assert_int_equal(wire_decode_ack(m.data, m.size, &a), 0);
	assert_true(a.sequence == UINT64_MAX && a.credit == 1);
	free(m.data);

	m = encoded(WIRE_REFUSAL);
	assert_int_equal(wire_decode_refusal(m.data, m.size, why), 0);
	assert_string_equal(why, "a stranger");
	free(m.data);
}

static void every_truncation_is_refused(void **state)
{
	(void)state;
	for (int kind = WIRE_BATCH; kind <= WIRE_REFUSAL; kind++) {
		struct message m = encoded((enum wire_kind)kind);

		assert_int_equal(decode(m.data, m.size, kind), 0);
		for (size_t size = 0; size < m.size; size++) {
			void *exact = malloc(size ? size : 1);

			memcpy(exact, m.data, size);
			assert_int_equal(decode(exact, size, kind), -EBADMSG);
			free(exact);
		}
		free(m.data);
	}
}

static void other_versions_kinds_and_tails_are_refused(void **state)
{
	(void)state;
	for (int kind = WIRE_BATCH; kind <= WIRE_REFUSAL; kind++) {
		struct message m = encoded((enum wire_kind)kind);
		uint8_t *bytes = m.data, version = bytes[0];

		bytes[0] = WIRE_VERSION_CONNECTIONS + 1;
		assert_int_equal(decode(m.data, m.size, kind), -EBADMSG);
		assert_int_equal(wire_kind(m.data, m.size), -EBADMSG);
		bytes[0] = version;
		assert_int_equal(decode(m.data, m.size, kind % WIRE_REFUSAL + 1), -EBADMSG);
		bytes = realloc(m.data, m.size + 1);
		bytes[m.size] = 0;
		assert_int_equal(decode(bytes, m.size + 1, kind), -EBADMSG);
		free(bytes);
	}
}

static void flipped_bits_never_crash(void **state)
{
	(void)state;
	for (int kind = WIRE_BATCH; kind <= WIRE_REFUSAL; kind++) {
		struct message m = encoded((enum wire_kind)kind);

		for (size_t bit = 0; bit < 8 * m.size; bit++) {
			uint8_t *at = (uint8_t *)m.data + bit / 8;

			*at = (uint8_t)(*at ^ 1U << bit % 8);
			decode(m.data, m.size, kind);
			*at = (uint8_t)(*at ^ 1U << bit % 8);
		}
		free(m.data);
	}
}

static void a_decoder_that_refuses_leaves_its_output_alone(void **state)
{
	struct wire_batch b, before;

	(void)state;
	memset(&b, 0x5a, sizeof(b));
	before = b;
	assert_int_equal(wire_decode_batch("\1\1", 2, &b), -EBADMSG);
	assert_memory_equal(&b, &before, sizeof(b));
}

static void broken_bounds_are_not_encoded(void **state)
{
	struct wire_lease_report report = {.state = WIRE_LEASE_STATES};
	struct wire_lease lease = {.knob = WIRE_KNOBS};
	struct wire_poll p = {.reports = 1, .report = &report};
	struct wire_leases l = {.leases = 1, .lease = &lease};
	struct wire_batch b = {.windows = 1};
	struct wire_window w;
	void *out = NULL;
	size_t size;

	(void)state;
	assert_int_equal(wire_encode_poll(&p, &out, &size), -EINVAL);
	assert_int_equal(wire_encode_leases(&l, &out, &size), -EINVAL);
	sample_window(&w, 1, 1, 1, 1);
	b.window = &w;
	w.edge[0].container = 1;
	assert_int_equal(wire_encode_batch(&b, &out, &size), -EINVAL);
	w.edge[0].container = 0;
	memset(w.container[0].name, 'x', WIRE_NAME);
	assert_int_equal(wire_encode_batch(&b, &out, &size), -EINVAL);
	b.windows = WIRE_MAX_WINDOWS + 1;
	assert_int_equal(wire_encode_batch(&b, &out, &size), -EINVAL);
	assert_null(out);
	wire_window_close(&w);
}

static void a_head_is_read_without_the_body(void **state)
{
	struct message m = encoded(WIRE_BATCH);
	struct wire_agent who;
	uint64_t sequence;

	(void)state;
	assert_int_equal(wire_decode_batch_head(m.data, m.size, &who, &sequence), 0);
	assert_memory_equal(&who, &agent, sizeof(agent));
	assert_int_equal(sequence, 42);
	assert_int_equal(wire_decode_batch_head(m.data, 20, &who, &sequence), -EBADMSG);
	free(m.data);
}

static void every_number_has_a_name(void **state)
{
	(void)state;
	for (unsigned i = 0; i < WIRE_PROTOCOLS; i++)
		assert_string_not_equal(wire_protocol_name(i), "unknown");
	for (unsigned i = 0; i < WIRE_LOSSES; i++)
		assert_string_not_equal(wire_loss_name(i), "unknown");
	for (unsigned i = 0; i < WIRE_KNOBS; i++)
		assert_string_not_equal(wire_knob_name(i), "unknown");
	for (unsigned i = 0; i < WIRE_LEASE_STATES; i++)
		assert_string_not_equal(wire_lease_state_name(i), "unknown");
	assert_string_equal(wire_knob_name(WIRE_KNOBS), "unknown");
}

/* What a container and an edge add to a batch, beside the budget of 64 and 90 bytes. */
static void a_record_costs_what_the_budget_says(void **state)
{
	struct wire_window w;
	struct message whole, bare;
	double container, edge;

	(void)state;
	sample_window(&w, 100, 200, 200, 3);
	whole = encoded_batch(&w, 1);
	w.edges = 0;
	bare = encoded_batch(&w, 1);
	w.edges = 200;
	container = (double)bare.size / 100;
	edge = (double)(whole.size - bare.size) / 200;
	print_message("bytes per container and window %.1f, per edge with 200 calls %.1f\n",
		container, edge);
	assert_true(container <= 64 && edge <= 90);
	wire_window_close(&w);
	free(whole.data);
	free(bare.data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_batch_comes_back_as_it_went),
		cmocka_unit_test(operations_come_back_as_they_went),
		cmocka_unit_test(what_connections_tell_comes_back_as_it_went),
		cmocka_unit_test(what_has_no_operations_is_as_old_analyzers_know_it),
		cmocka_unit_test(odd_operations_are_not_encoded),
		cmocka_unit_test(extremes_survive),
		cmocka_unit_test(a_full_window_fits_its_bounds),
		cmocka_unit_test(leases_polls_acks_and_refusals_come_back_as_they_went),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(other_versions_kinds_and_tails_are_refused),
		cmocka_unit_test(flipped_bits_never_crash),
		cmocka_unit_test(a_decoder_that_refuses_leaves_its_output_alone),
		cmocka_unit_test(broken_bounds_are_not_encoded),
		cmocka_unit_test(a_head_is_read_without_the_body),
		cmocka_unit_test(every_number_has_a_name),
		cmocka_unit_test(a_record_costs_what_the_budget_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
