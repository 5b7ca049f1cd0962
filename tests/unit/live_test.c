#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "analyzer/live.h"
#include "made_window.h"

#define NOW_S 1000.0
#define NS 1000000000ULL

static const struct live_options two_seconds = {.window_s = 2, .patience_s = 3, .keep = 100};

static void add(struct live *l, const char *agent, struct wire_window *w, uint64_t now_ns)
{
	struct intake_batch b = made_arrival(agent, 1, w);

	assert_int_equal(live_add(l, &b.agent, b.batch.window, now_ns, NOW_S + 100), 0);
	made_arrival_close(&b);
}

static double value(const struct live *l, const char *entity, const char *metric, size_t row)
{
	uint32_t number = graph_find(&l->recording.graph, entity);
	const float *v =
		number == GRAPH_NONE ? NULL : series_values(&l->recording.series, number, metric);

	return v ? (double)v[row] : NAN;
}

/* Within a bucket of the histogram. */
static void assert_near(double got, double want)
{
	if (!(fabs(got - want) <= fabs(want) * 0.032 + 1e-6))
		fail_msg("got %g, want %g", got, want);
}

/* front (10.0.0.1) on node a calls cart (10.0.0.2:9000) on node b. */
static void add_caller(struct live *l, uint64_t start_s, uint64_t now_ns)
{
	struct wire_window w;
	uint32_t front;

	made_window(&w, start_s);
	front = made_container(&w, 11, "front", "app");
	w.container[front].metric[METRIC_CPU_CORES] = 0.5F;
	w.host[HOST_CPU_UTIL] = 0.25F;
	made_edge(&w, front, WIRE_SERVER, 1, 200, 80, 10, 9000);
	made_edge(&w, front, WIRE_CLIENT, 1, 2, 9000, 20, 3000);
	add(l, "a", &w, now_ns);
}

static void add_callee(struct live *l, uint64_t start_s, uint64_t now_ns)
{
	struct wire_window w;
	struct wire_edge *e;
	uint32_t cart, sidecar;

	made_window(&w, start_s);
	cart = made_container(&w, 21, "cart", "app");
	sidecar = made_container(&w, 22, "cart", "sidecar");
	w.container[cart].metric[METRIC_CPU_CORES] = 0.1F;
	w.container[sidecar].metric[METRIC_CPU_CORES] = 0.9F;
	e = made_edge(&w, cart, WIRE_SERVER, 2, 1, 9000, 20, 2000);
	e->errors = 5;
	for (unsigned i = 0; i < 20; i++)
		hist_add(&e->self, 1500000);
	add(l, "b", &w, now_ns);
}

static void close_all(struct live *l, uint64_t now_ns)
{
	struct live_closed closed;

	while (live_close(l, now_ns, NOW_S + 100, true, &closed) == 1)
		;
}

static void two_agents_windows_give_known_series(void **state)
{
	struct live l;

	(void)state;
	live_init(&l, &two_seconds);
	for (uint64_t s = 1000; s < 1002; s++) {
		add_caller(&l, s, NS);
		add_callee(&l, s, NS);
	}
	close_all(&l, NS);
	assert_int_equal(l.recording.series.windows, 1);
	assert_near(value(&l, "user->front", "server_p99_us", 0), 9000);
	assert_near(value(&l, "user->front", "requests_per_s", 0), 10);
	assert_near(value(&l, "front->cart", "client_p50_us", 0), 3000);
	assert_near(value(&l, "front->cart", "server_p50_us", 0), 2000);
	assert_near(value(&l, "front->cart", "client_mean_us", 0), 3000);
	assert_near(value(&l, "front->cart", "network_mean_us", 0), 1000);
	assert_near(value(&l, "front->cart", "requests_per_s", 0), 20);
	assert_near(value(&l, "cart", "error_ratio", 0), 0.25);
	assert_near(value(&l, "cart", "self_p99_us", 0), 1500);
	assert_near(value(&l, "cart", "server_mean_us", 0), 2000);
	assert_near(value(&l, "front", "self_mean_us", 0), 9000 - 2 * 3000);
	assert_near(value(&l, "host:a", "cpu_util_ratio", 0), 0.25);
	live_clear(&l);
}

static void a_sidecar_without_calls_is_not_the_service(void **state)
{
	struct live l;
	uint32_t cart;

	(void)state;
	live_init(&l, &two_seconds);
	for (uint64_t s = 1000; s < 1002; s++)
		add_callee(&l, s, NS);
	close_all(&l, NS);
	assert_near(value(&l, "cart", "cpu_cores", 0), 0.1);
	cart = graph_find(&l.recording.graph, "cart");
	assert_string_equal(
		l.recording.graph.entity[l.recording.graph.entity[cart].host].name, "host:b");
	assert_int_equal(l.fleet.containers, 2);
	assert_false(l.fleet.container[1]->serves);
	assert_near((double)l.fleet.container[1]->now[METRIC_CPU_CORES], 0.9);
	live_clear(&l);
}

static void a_container_named_user_is_the_outside_world(void **state)
{
	struct live l;
	struct wire_window w;
	uint32_t user, front;

	(void)state;
	live_init(&l, &two_seconds);
	made_window(&w, 1000);
	user = made_container(&w, 10, "user", "loadgen");
	front = made_container(&w, 11, "front", "app");
	made_edge(&w, user, WIRE_CLIENT, 9, 1, 80, 4, 5000)->peer_container = front;
	made_edge(&w, front, WIRE_SERVER, 1, 9, 80, 4, 4000)->peer_container = user;
	add(&l, "a", &w, NS);
	close_all(&l, 60 * NS);
	assert_near(value(&l, "user->front", "client_p99_us", 0), 5000);
	assert_near(value(&l, "user->front", "server_p99_us", 0), 4000);
	assert_near(value(&l, "user->front", "requests_per_s", 0), 4);
	assert_true(isnan(value(&l, "user", "cpu_cores", 0)));
	live_clear(&l);
}

static void an_unknown_server_is_named_by_its_address(void **state)
{
	struct live l;

	(void)state;
	live_init(&l, &two_seconds);
	add_caller(&l, 1000, NS);
	add_caller(&l, 1001, NS);
	close_all(&l, NS);
	assert_near(value(&l, "front->10.0.0.2:9000", "client_p99_us", 0), 3000);
	live_clear(&l);
}

/* front calls cart by the virtual address 10.0.0.99:8000, cart sees front's own address. */
static void a_virtual_address_is_learnt_from_its_other_end(void **state)
{
	struct live l;
	struct wire_window w;
	uint32_t front;

	(void)state;
	live_init(&l, &two_seconds);
	for (uint64_t s = 1000; s < 1002; s++) {
		made_window(&w, s);
		front = made_container(&w, 11, "front", "app");
		made_edge(&w, front, WIRE_CLIENT, 1, 99, 8000, 20, 3000);
		made_edge(&w, front, WIRE_CLIENT, 1, 98, 8000, 7, 3000);
		add(&l, "a", &w, NS);
		add_callee(&l, s, NS);
	}
	close_all(&l, NS);
	assert_near(value(&l, "front->cart", "client_p50_us", 0), 3000);
	assert_near(value(&l, "front->cart", "server_p50_us", 0), 2000);
	assert_int_equal(graph_find(&l.recording.graph, "front->10.0.0.99:8000"), GRAPH_NONE);
	assert_near(value(&l, "front->10.0.0.98:8000", "requests_per_s", 0), 7);
	live_clear(&l);
}

/*
 * front reaches cart and stock by two virtual addresses, with as many calls: only the connections
 * tell which is which. One of stock's has the port of one that front has to a known address.
 */
static void virtual_addresses_are_told_apart_by_their_connections(void **state)
{
	struct wire_window w;
	struct live l;
	uint32_t k;

	(void)state;
	live_init(&l, &two_seconds);
	for (uint64_t s = 1000; s < 1002; s++) {
		made_window(&w, s);
		k = made_container(&w, 11, "front", "app");
		made_edge(&w, k, WIRE_CLIENT, 1, 98, 8000, 20, 3000)->client_port = 40001;
		made_edge(&w, k, WIRE_CLIENT, 1, 99, 8000, 20, 3000)->client_port = 40002;
		made_edge(&w, k, WIRE_CLIENT, 1, 97, 8000, 20, 3000)->client_port = 40003;
		made_edge(&w, k, WIRE_CLIENT, 1, 4, 9000, 20, 3000)->client_port = 40003;
		add(&l, "a", &w, NS);
		made_window(&w, s);
		k = made_container(&w, 21, "cart", "app");
		made_edge(&w, k, WIRE_SERVER, 2, 1, 9000, 20, 2000)->client_port = 40002;
		k = made_container(&w, 22, "stock", "app");
		made_edge(&w, k, WIRE_SERVER, 3, 1, 9000, 20, 1000)->client_port = 40001;
		k = made_container(&w, 23, "known", "app");
		made_edge(&w, k, WIRE_SERVER, 4, 1, 9000, 20, 1000)->client_port = 40003;
		add(&l, "b", &w, NS);
	}
	close_all(&l, NS);
	assert_near(value(&l, "front->cart", "requests_per_s", 0), 20);
	assert_near(value(&l, "front->cart", "client_p50_us", 0), 3000);
	assert_near(value(&l, "front->cart", "server_p50_us", 0), 2000);
	assert_near(value(&l, "front->stock", "client_p50_us", 0), 3000);
	assert_near(value(&l, "front->stock", "server_p50_us", 0), 1000);
	assert_near(value(&l, "front->known", "requests_per_s", 0), 20);
	assert_near(value(&l, "front->10.0.0.97:8000", "requests_per_s", 0), 20);
	live_clear(&l);
}

/* Once at each end; the first begins the column. */
static void resets_are_a_rate_from_the_first_on(void **state)
{
	struct wire_window w;
	struct live l;

	(void)state;
	live_init(&l, &two_seconds);
	for (uint64_t s = 1000; s < 1006; s++) {
		uint32_t front;

		made_window(&w, s);
		front = made_container(&w, 11, "front", "app");
		made_edge(&w, front, WIRE_CLIENT, 1, 2, 9000, 20, 3000)->resets_received =
			s == 1002 ? 6 : 0;
		add(&l, "a", &w, NS);
		made_window(&w, s);
		made_edge(&w, made_container(&w, 21, "cart", "app"), WIRE_SERVER, 2, 1, 9000, 20,
			2000)
			->resets_sent = s == 1002 ? 6 : 0;
		add(&l, "b", &w, NS);
	}
	close_all(&l, NS);
	assert_int_equal(l.recording.series.windows, 3);
	assert_true(isnan(value(&l, "front->cart", "resets_per_s", 0)));
	assert_near(value(&l, "front->cart", "resets_per_s", 1), 3);
	assert_near(value(&l, "front->cart", "resets_per_s", 2), 0);
	live_clear(&l);
}

static void a_window_waits_for_agents_lately_heard_from(void **state)
{
	struct live l;
	struct live_closed closed;

	(void)state;
	live_init(&l, &two_seconds);
	add_callee(&l, 1000, NS);
	add_caller(&l, 1000, NS);
	add_caller(&l, 1001, 2 * NS);
	assert_int_equal(live_close(&l, 2 * NS, NOW_S + 100, true, &closed), 0);
	add_callee(&l, 1001, 2 * NS);
	assert_int_equal(live_close(&l, 2 * NS, NOW_S + 100, true, &closed), 1);
	assert_true(closed.fresh);
	assert_true(closed.start_s == 1000);
	live_clear(&l);
}

static void a_late_window_fills_gaps_and_is_counted(void **state)
{
	struct live l;
	struct live_closed closed;

	(void)state;
	live_init(&l, &two_seconds);
	add_caller(&l, 1000, NS);
	add_caller(&l, 1001, NS);
	close_all(&l, NS);
	add_callee(&l, 1000, 2 * NS);
	assert_int_equal(l.late, 1);
	assert_int_equal(live_close(&l, 9 * NS, NOW_S + 100, true, &closed), 1);
	assert_false(closed.fresh);
	assert_int_equal(l.recording.series.windows, 1);
	assert_near(value(&l, "cart", "server_p99_us", 0), 2000);
	assert_near(value(&l, "user->front", "requests_per_s", 0), 10);
	live_clear(&l);
}

static void adding_again_after_closing_changes_nothing(void **state)
{
	struct live l;

	(void)state;
	live_init(&l, &two_seconds);
	add_caller(&l, 1000, NS);
	add_caller(&l, 1001, NS);
	close_all(&l, NS);
	add_caller(&l, 1000, NS);
	close_all(&l, 60 * NS);
	assert_near(value(&l, "user->front", "requests_per_s", 0), 10);
	assert_int_equal(l.recording.series.windows, 1);
	live_clear(&l);
}

static void an_edge_without_calls_has_a_rate_and_no_latency(void **state)
{
	struct live l;
	struct wire_window w;

	(void)state;
	live_init(&l, &two_seconds);
	add_callee(&l, 1000, NS);
	add_callee(&l, 1001, NS);
	made_window(&w, 1002);
	made_container(&w, 21, "cart", "app");
	add(&l, "b", &w, NS);
	close_all(&l, 60 * NS);
	assert_int_equal(l.recording.series.windows, 2);
	assert_near(value(&l, "user->cart", "requests_per_s", 1), 0);
	assert_true(isnan(value(&l, "user->cart", "server_p99_us", 1)));
	live_clear(&l);
}

static void rows_are_bounded(void **state)
{
	struct live_options o = {.window_s = 1, .patience_s = 1, .keep = 5};
	struct live l;

	(void)state;
	live_init(&l, &o);
	for (uint64_t s = 0; s < 20; s++) {
		add_caller(&l, 1000 + s, NS);
		close_all(&l, NS);
	}
	assert_int_equal(l.recording.series.windows, 5);
	assert_true(l.recording.series.start_s[0] == 1015);
	live_clear(&l);
}

static void a_window_from_the_future_is_only_counted(void **state)
{
	struct live l;

	(void)state;
	live_init(&l, &two_seconds);
	add_caller(&l, 5000, NS);
	assert_int_equal(l.future, 1);
	assert_int_equal(l.pendings, 0);
	live_clear(&l);
}

static void a_node_whose_name_cannot_be_shown_is_counted(void **state)
{
	static const char *const name[] = {"node-\xff", "a\nb", "a->b", ""};
	struct live l;
	struct wire_window w;

	(void)state;
	live_init(&l, &two_seconds);
	for (size_t i = 0; i < sizeof(name) / sizeof(*name); i++) {
		made_front_window(&w, 1000, 10, 1000);
		add(&l, name[i], &w, 1);
	}
	assert_int_equal(l.refused, 4);
	assert_int_equal(l.fleet.agents, 0);
	live_clear(&l);
}

static void medians_of_normal_windows_are_kept(void **state)
{
	struct live l;
	float normal[CONTAINER_METRICS];

	(void)state;
	live_init(&l, &two_seconds);
	for (uint64_t s = 1000; s < 1020; s++)
		add_callee(&l, s, NS);
	close_all(&l, NS);
	fleet_normal(l.fleet.container[1], normal);
	assert_near((double)normal[METRIC_CPU_CORES], 0.9);
	assert_true(isnan(normal[METRIC_MEM_BYTES]));
	live_clear(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_agents_windows_give_known_series),
		cmocka_unit_test(a_sidecar_without_calls_is_not_the_service),
		cmocka_unit_test(a_container_named_user_is_the_outside_world),
		cmocka_unit_test(an_unknown_server_is_named_by_its_address),
		cmocka_unit_test(a_virtual_address_is_learnt_from_its_other_end),
		cmocka_unit_test(virtual_addresses_are_told_apart_by_their_connections),
		cmocka_unit_test(resets_are_a_rate_from_the_first_on),
		cmocka_unit_test(a_window_waits_for_agents_lately_heard_from),
		cmocka_unit_test(a_late_window_fills_gaps_and_is_counted),
		cmocka_unit_test(adding_again_after_closing_changes_nothing),
		cmocka_unit_test(an_edge_without_calls_has_a_rate_and_no_latency),
		cmocka_unit_test(rows_are_bounded),
		cmocka_unit_test(a_window_from_the_future_is_only_counted),
		cmocka_unit_test(a_node_whose_name_cannot_be_shown_is_counted),
		cmocka_unit_test(medians_of_normal_windows_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
