/*
 * The collector over a real container and a capture of the test's own, which fails when it
 * is told to. Needs root for the cgroup.
 */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "agent/capture.h"
#include "agent/collect.h"
#include "agent/sched.h"
#include "common/log.h"
#include "tests/unit/cgroup_fixture.h"

static int read_error;
static uint64_t seen_id;

int __wrap_capture_open(struct capture **c, const struct capture_options *o);
int __wrap_capture_read(
	struct capture *c, void (*each)(void *ctx, const struct capture_edge *e), void *ctx);
void __wrap_capture_losses(const struct capture *c, uint64_t loss[WIRE_LOSSES]);
void __wrap_capture_close(struct capture *c);
int __wrap_sched_open(struct sched **s, int subsys, uint32_t max_cgroups);

int __wrap_capture_open(struct capture **c, const struct capture_options *o)
{
	(void)o;
	*c = (struct capture *)&read_error; /* never looked into */
	return 0;
}

int __wrap_capture_read(
	struct capture *c, void (*each)(void *ctx, const struct capture_edge *e), void *ctx)
{
	static struct capture_edge edge;

	(void)c;
	if (read_error)
		return read_error;
	edge = (struct capture_edge){
		.cgroup_id = seen_id, .calls = 1, .bytes_sent = 300, .bytes_received = 100};
	each(ctx, &edge);
	return 0;
}

void __wrap_capture_losses(const struct capture *c, uint64_t loss[WIRE_LOSSES])
{
	(void)c;
	(void)loss;
}

void __wrap_capture_close(struct capture *c)
{
	(void)c;
}

int __wrap_sched_open(struct sched **s, int subsys, uint32_t max_cgroups)
{
	(void)s;
	(void)subsys;
	(void)max_cgroups;
	return -ENOTSUP;
}

/* The test's own: the machine may have others. */
static struct wire_container *own_container(const struct fixture *f, struct wire_window *w)
{
	for (uint32_t i = 0; i < w->containers; i++) {
		if (!strncmp(w->container[i].path, f->root, strlen(f->root)))
			return &w->container[i];
	}
	fail_msg("the container is not there");
	return NULL;
}

static void a_failing_read_leaves_the_bytes_of_calls_absent(void **state)
{
	struct collect_options o = {.max_containers = 64, .max_edges = 8, .max_connections = 8};
	struct fixture *f = *state;
	struct collector *c;
	struct wire_container *k;
	char rule[128];
	const char *why;

	snprintf(rule, sizeof(rule), "%s/{service}/{container}", f->root);
	assert_int_equal(cgroup_rules_add(&o.rules, rule, &why), 0);
	fixture_make(f, "/cart");
	fixture_spawn(f, fixture_make(f, "/cart/app"), fixture_idle, NULL);
	read_error = 0;
	assert_int_equal(collect_open(&c, &o), 0);
	seen_id = own_container(f, collect_window(c, 0, 1000000000))->cgroup_id;
	k = own_container(f, collect_window(c, 0, 1000000000));
	assert_float_equal(k->metric[METRIC_NET_TX_BYTES], 300, 1e-3);
	assert_float_equal(k->metric[METRIC_NET_RX_BYTES], 100, 1e-3);
	read_error = -EIO;
	k = own_container(f, collect_window(c, 0, 1000000000));
	assert_true(isnan(k->metric[METRIC_NET_TX_BYTES]));
	assert_true(isnan(k->metric[METRIC_NET_RX_BYTES]));
	collect_close(c);
}

static int open_fixture(void **state)
{
	static struct fixture f;

	*state = &f;
	return fixture_open(&f, "collect") ? 0 : -1;
}

static int close_fixture(void **state)
{
	fixture_close(*state);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_failing_read_leaves_the_bytes_of_calls_absent,
			open_fixture, close_fixture),
	};

	struct fixture probe;

	log_init("collect_test", LOG_ERROR);
	if (!fixture_open(&probe, "probe"))
		return 77;
	fixture_close(&probe);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
