/* What is proposed for which cause, and in which order. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "analyzer/plan.h"

struct scene {
	struct graph graph;
	struct diagnosis diagnosis;
	struct candidate candidate[2];
	struct plan_target target[4];
	size_t targets;
	struct plan plan;
};

static int setup(void **state)
{
	struct scene *s = calloc(1, sizeof(*s));

	graph_init(&s->graph);
	s->candidate[0].service = graph_service(&s->graph, "cart");
	s->candidate[1].service = graph_service(&s->graph, "user");
	s->candidate[0].culprit = true;
	s->diagnosis.verdict = VERDICT_DIAGNOSED;
	s->diagnosis.candidate = s->candidate;
	s->diagnosis.candidates = 2;
	s->diagnosis.counterfactual.restored = 41000;
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct scene *s = *state;

	graph_clear(&s->graph);
	free(s);
	return 0;
}

static struct plan_target *add(struct scene *s, const char *container, bool serves)
{
	struct plan_target *t = &s->target[s->targets++];

	snprintf(t->agent, sizeof(t->agent), "node1");
	snprintf(t->service, sizeof(t->service), "cart");
	snprintf(t->container, sizeof(t->container), "%s", container);
	snprintf(t->group, sizeof(t->group), "/shop/cart");
	snprintf(t->path, sizeof(t->path), "/shop/cart/%s", container);
	t->cgroup_id = 100 + s->targets;
	t->serves = serves;
	for (int m = 0; m < CONTAINER_METRICS; m++)
		t->now[m] = t->normal[m] = NAN;
	return t;
}

static void set(struct plan_target *t, enum container_metric m, double normal, double now)
{
	t->normal[m] = (float)normal;
	t->now[m] = (float)now;
}

static void make(struct scene *s, enum resource resource)
{
	s->candidate[0].resource = resource;
	plan_make(&s->plan, &s->diagnosis, &s->graph, s->target, s->targets);
}

static const struct plan_lease *only(const struct scene *s, unsigned step, const char *path)
{
	const struct plan_lease *found = NULL;

	for (unsigned i = 0; i < s->plan.leases; i++)
		if (s->plan.lease[i].step == step && !strcmp(s->plan.lease[i].lease.path, path)) {
			assert_null(found);
			found = &s->plan.lease[i];
		}
	assert_non_null(found);
	return found;
}

static void antagonist_is_capped_before_anything_is_raised(void **state)
{
	struct scene *s = *state;
	struct plan_target *app = add(s, "app", true), *noisy = add(s, "sidecar", false);
	const struct plan_lease *l;

	set(app, METRIC_CPU_LIMIT_CORES, 0.4, 0.4);
	set(app, METRIC_CPU_THROTTLED, 0, 0.6);
	set(noisy, METRIC_CPU_CORES, 0.01, 0.3);
	make(s, RESOURCE_CPU);
	l = only(s, 0, "/shop/cart/sidecar");
	assert_int_equal(l->lease.knob, KNOB_CPU_QUOTA);
	assert_int_equal(l->lease.value, 40);
	assert_true(l->lease.expected == WIRE_ANY_LOWER);
	assert_string_equal(l->container, "sidecar");
	assert_non_null(strstr(l->lease.reason, "0.30 cores"));
	assert_int_equal(only(s, 1, "/shop/cart/app")->lease.knob, KNOB_CPU_QUOTA);
	assert_true(s->plan.predicted == 41000);
}

static void weight_comes_before_the_cap_where_threads_queue(void **state)
{
	struct scene *s = *state;
	struct plan_target *app = add(s, "app", true), *noisy = add(s, "sidecar", false);

	set(app, METRIC_CPU_LIMIT_CORES, 2, 2);
	set(app, METRIC_CPU_RUNQ, 0, 0.5);
	set(noisy, METRIC_CPU_CORES, NAN, 1.9);
	make(s, RESOURCE_CPU);
	assert_int_equal(only(s, 0, "/shop/cart/sidecar")->lease.knob, KNOB_CPU_WEIGHT);
	assert_int_equal(only(s, 1, "/shop/cart/sidecar")->lease.knob, KNOB_CPU_QUOTA);
}

static void neighbour_that_always_burnt_is_left_alone(void **state)
{
	struct scene *s = *state;
	struct plan_target *app = add(s, "app", true), *calm = add(s, "sidecar", false);

	set(app, METRIC_CPU_LIMIT_CORES, 0.4, 0.1);
	set(calm, METRIC_CPU_CORES, 0.3, 0.3);
	make(s, RESOURCE_CPU);
	for (unsigned i = 0; i < s->plan.leases; i++)
		assert_null(strstr(s->plan.lease[i].lease.path, "sidecar"));
}

static void cut_quota_goes_back_to_normal_parent_first(void **state)
{
	struct scene *s = *state;
	struct plan_target *app = add(s, "app", true);

	set(app, METRIC_CPU_LIMIT_CORES, 0.4, 0.1);
	set(app, METRIC_CPU_THROTTLED, 0, 0.7);
	make(s, RESOURCE_CPU);
	assert_string_equal(s->plan.lease[0].lease.path, "/shop/cart");
	assert_string_equal(s->plan.lease[0].container, "");
	assert_int_equal(only(s, 0, "/shop/cart")->lease.value, 400);
	assert_int_equal(only(s, 0, "/shop/cart/app")->lease.value, 400);
	assert_true(only(s, 0, "/shop/cart/app")->lease.expected == WIRE_ANY_RAISE);
	assert_int_equal(only(s, 1, "/shop/cart")->lease.value, 800);
	assert_int_equal(s->plan.steps, 2);
}

static void outgrown_quota_is_raised_by_half(void **state)
{
	struct scene *s = *state;
	struct plan_target *app = add(s, "app", true);

	set(app, METRIC_CPU_LIMIT_CORES, 0.4, 0.4);
	set(app, METRIC_CPU_THROTTLED, 0, 0.3);
	make(s, RESOURCE_CPU);
	assert_int_equal(only(s, 0, "/shop/cart/app")->lease.value, 600);
	assert_int_equal(only(s, 1, "/shop/cart/app")->lease.value, 1200);
}

static void squeezed_memory_gets_its_limit_back(void **state)
{
	struct scene *s = *state;
	struct plan_target *app = add(s, "app", true);

	set(app, METRIC_MEM_BYTES, 100 << 20, 39 << 20);
	set(app, METRIC_MEM_UTIL, 0.5, 0.975);
	make(s, RESOURCE_MEMORY);
	assert_int_equal(only(s, 0, "/shop/cart/app")->lease.knob, KNOB_MEMORY_HIGH);
	assert_in_range(only(s, 0, "/shop/cart/app")->lease.value, 200 << 20, 201 << 20);
	assert_int_equal(only(s, 0, "/shop/cart/app")->lease.value % 4096, 0);
}

static void disk_hog_is_throttled_then_own_limit_raised(void **state)
{
	struct scene *s = *state;
	struct plan_target *app = add(s, "app", true), *hog = add(s, "sidecar", false);

	set(app, METRIC_BLK_READ_BYTES, 4 << 20, 1 << 20);
	set(hog, METRIC_BLK_READ_BYTES, 0, 100 << 20);
	make(s, RESOURCE_DISK);
	assert_int_equal(only(s, 0, "/shop/cart/sidecar")->lease.knob, KNOB_IO_READ_BPS);
	assert_int_equal(only(s, 0, "/shop/cart/sidecar")->lease.value, 10 << 20);
	assert_int_equal(only(s, 1, "/shop/cart/app")->lease.value, 12 << 20);
}

static void slow_link_is_widened(void **state)
{
	struct scene *s = *state;
	struct plan_target *app = add(s, "app", true);

	set(app, METRIC_NET_TX_BYTES, 100000, 50000);
	make(s, RESOURCE_NETWORK);
	assert_int_equal(only(s, 0, "/shop/cart/app")->lease.knob, KNOB_NET_RATE);
	assert_int_equal(only(s, 0, "/shop/cart/app")->lease.value, 450000);
	assert_true(s->plan.advice[0] != '\0');
}

/* Nothing that a cgroup could set gives back what a hypervisor takes. */
static void a_host_has_advice_and_no_lease(void **state)
{
	struct scene *s = *state;

	add(s, "app", true);
	s->candidate[0].service = graph_host(&s->graph, "host:node1");
	make(s, RESOURCE_CPU);
	assert_int_equal(s->plan.leases, 0);
	assert_non_null(strstr(s->plan.advice, "host:node1: its hypervisor"));
}

static void code_has_advice_and_no_lease(void **state)
{
	struct scene *s = *state;

	add(s, "app", true);
	make(s, RESOURCE_CODE);
	assert_int_equal(s->plan.leases, 0);
	assert_non_null(strstr(s->plan.advice, "cart"));
}

static void surge_raises_a_spent_quota_and_says_scale_out(void **state)
{
	struct scene *s = *state;
	struct plan_target *app = add(s, "app", true);

	set(app, METRIC_CPU_LIMIT_CORES, 0.4, 0.4);
	set(app, METRIC_CPU_THROTTLED, 0, 0.5);
	make(s, RESOURCE_WORKLOAD);
	assert_int_equal(only(s, 0, "/shop/cart/app")->lease.value, 600);
	assert_non_null(strstr(s->plan.advice, "scale it out"));
}

static void no_verdict_means_no_plan(void **state)
{
	struct scene *s = *state;
	struct plan_target *app = add(s, "app", true);

	set(app, METRIC_CPU_LIMIT_CORES, 0.4, 0.1);
	s->diagnosis.verdict = VERDICT_UNKNOWN;
	make(s, RESOURCE_CPU);
	assert_int_equal(s->plan.leases, 0);
	assert_int_equal(s->plan.steps, 0);
}

static void unknown_metrics_propose_nothing(void **state)
{
	struct scene *s = *state;
	static const enum resource all[] = {
		RESOURCE_CPU, RESOURCE_MEMORY, RESOURCE_DISK, RESOURCE_NETWORK};

	add(s, "app", true);
	add(s, "sidecar", false);
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		make(s, all[i]);
		assert_int_equal(s->plan.leases, 0);
		assert_true(s->plan.advice[0] != '\0');
	}
}

static void replicas_in_one_pod_ask_once(void **state)
{
	struct scene *s = *state;
	struct plan_target *one = add(s, "app", true), *two = add(s, "app2", true);

	set(one, METRIC_CPU_LIMIT_CORES, 0.4, 0.1);
	set(two, METRIC_CPU_LIMIT_CORES, 0.4, 0.1);
	make(s, RESOURCE_CPU);
	only(s, 0, "/shop/cart");
	only(s, 0, "/shop/cart/app");
	only(s, 0, "/shop/cart/app2");
}

#define SCENE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		SCENE(antagonist_is_capped_before_anything_is_raised),
		SCENE(weight_comes_before_the_cap_where_threads_queue),
		SCENE(neighbour_that_always_burnt_is_left_alone),
		SCENE(cut_quota_goes_back_to_normal_parent_first),
		SCENE(outgrown_quota_is_raised_by_half),
		SCENE(squeezed_memory_gets_its_limit_back),
		SCENE(disk_hog_is_throttled_then_own_limit_raised),
		SCENE(slow_link_is_widened),
		SCENE(a_host_has_advice_and_no_lease),
		SCENE(code_has_advice_and_no_lease),
		SCENE(surge_raises_a_spent_quota_and_says_scale_out),
		SCENE(no_verdict_means_no_plan),
		SCENE(unknown_metrics_propose_nothing),
		SCENE(replicas_in_one_pod_ask_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
