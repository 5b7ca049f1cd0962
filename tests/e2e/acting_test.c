/*
 * The whole loop on a real, throttled process: diagnosis, plan, lease over the wire, cgroup
 * write, and the verdict from what the process' own work then takes.
 */
#include <math.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "agent/actuator.h"
#include "analyzer/act.h"
#include "common/clock.h"
#include "common/log.h"
#include "unit/cgroup_tree.h"

#define JOB_NS 5000000ULL /* of CPU time */
#define JOBS_PER_WINDOW 8
#define TARGET_US 60000.0 /* a job takes 5 ms, 100 ms and more when throttled to a twentieth */
#define WINDOWS_MAX 40
#define DEADLINE_MS 20000

struct scene {
	struct cgroup_tree tree;
	char state[64];
	const char *allow[2];
	struct actuator *agent;
	struct act *act;
	struct graph graph;
	pid_t worker;
	int jobs; /* one double per job: how long it took, us */
	double slo_us, now_s;
};

/* ---- the service: works for a fixed CPU time, over and over ---- */

/* A job begins where the one before ended: its quota may well end in between. */
static void work(int out)
{
	uint64_t begin = clock_monotonic_ns(), end;

	for (;; begin = end) {
		uint64_t cpu = clock_read_ns(CLOCK_THREAD_CPUTIME_ID);
		double us;

		while (clock_read_ns(CLOCK_THREAD_CPUTIME_ID) - cpu < JOB_NS)
			;
		end = clock_monotonic_ns();
		us = (double)(end - begin) / 1000;
		if (write(out, &us, sizeof(us)) != sizeof(us))
			_exit(0);
	}
}

static void start_worker(struct scene *s)
{
	char pid[16];
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	s->worker = fork();
	if (s->worker == 0)
		work(ends[1]);
	close(ends[1]);
	s->jobs = ends[0];
	snprintf(pid, sizeof(pid), "%d", (int)s->worker);
	cgroup_tree_put(&s->tree, KNOB_CPU, s->tree.app, "cgroup.procs", pid);
}

/*
 * One window: the mean of its jobs, as the quota bounds only that. A period's share is spent in
 * one go, a tick too much at times, so single jobs are short even where the whole is throttled.
 */
static double measure(struct scene *s)
{
	double us, sum = 0;

	for (size_t i = 0; i < JOBS_PER_WINDOW; i++) {
		struct pollfd p = {.fd = s->jobs, .events = POLLIN};

		assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
		assert_int_equal(read(s->jobs, &us, sizeof(us)), sizeof(us));
		sum += us;
	}
	return sum / JOBS_PER_WINDOW;
}

/* ---- analyzer and agent ---- */

static double read_slo(void *ctx, const char *entity, const char *metric, double *target)
{
	const struct scene *s = ctx;

	(void)entity;
	(void)metric;
	*target = TARGET_US;
	return s->slo_us;
}

static void tick(struct scene *s)
{
	s->slo_us = measure(s);
	s->now_s += 5;
	act_tick(s->act, read_slo, s, s->now_s);
}

/* What a poll does: leases to the agent as bytes, reports back. */
static void exchange(struct scene *s)
{
	struct wire_leases out, in;
	struct wire_lease_report r;
	void *message;
	size_t size;

	assert_int_equal(act_leases(s->act, "node1", &out), 0);
	assert_int_equal(wire_encode_leases(&out, &message, &size), 0);
	wire_leases_close(&out);
	assert_int_equal(wire_decode_leases(message, size, &in), 0);
	free(message);
	assert_int_equal(actuator_set(s->agent, &in, clock_monotonic_ns()), 0);
	wire_leases_close(&in);
	actuator_tick(s->agent, clock_monotonic_ns());
	while (actuator_reports(s->agent, &r, 1))
		act_report(s->act, "node1", &r, s->now_s);
}

static void plan_for_cut_quota(struct scene *s)
{
	struct candidate culprit = {.service = graph_service(&s->graph, "cart"),
		.resource = RESOURCE_CPU,
		.culprit = true};
	struct diagnosis d = {.verdict = VERDICT_DIAGNOSED,
		.candidate = &culprit,
		.candidates = 1,
		.counterfactual.restored = 5000};
	struct plan_target t = {.agent = "node1",
		.service = "cart",
		.container = "app",
		.cgroup_id = s->tree.app_id,
		.serves = true};
	struct plan *p = malloc(sizeof(*p));

	for (int m = 0; m < CONTAINER_METRICS; m++)
		t.now[m] = t.normal[m] = NAN;
	t.now[METRIC_CPU_LIMIT_CORES] = 0.05F;
	t.normal[METRIC_CPU_LIMIT_CORES] = 0.4F;
	snprintf(t.path, sizeof(t.path), "%s", s->tree.app);
	snprintf(t.group, sizeof(t.group), "%s", s->tree.pod);
	plan_make(p, &d, &s->graph, &t, 1);
	s->slo_us = measure(s);
	assert_true(act_plan(s->act, 1, "user->cart", "client_p99_us", s->slo_us, p, s->now_s) > 0);
	free(p);
}

static const struct action *first_action(const struct scene *s)
{
	const struct action *x;

	assert_true(act_actions(s->act, &x) > 0);
	return x;
}

static void assert_quota(const struct scene *s, const char *path, int us)
{
	assert_int_equal(cgroup_tree_quota(&s->tree, path), us);
}

static void cut_quota_is_raised_verified_and_given_back(void **state)
{
	struct scene *s = *state;

	cgroup_tree_put_quota(&s->tree, s->tree.pod, 5000);
	start_worker(s);
	for (unsigned i = 0; i < WINDOWS_MAX && measure(s) < TARGET_US; i++)
		;
	plan_for_cut_quota(s);
	exchange(s);
	assert_quota(s, s->tree.pod, 40000);
	assert_quota(s, s->tree.app, -1);
	for (unsigned i = 0; i < WINDOWS_MAX && first_action(s)->verified < 0; i++) {
		tick(s);
		exchange(s);
	}
	assert_int_equal(first_action(s)->verified, 1);
	assert_true(first_action(s)->after <= TARGET_US);
	assert_true(first_action(s)->before > TARGET_US);

	assert_int_equal(act_undo(s->act, first_action(s)->id, s->now_s), 0);
	exchange(s);
	assert_quota(s, s->tree.pod, 5000);
	assert_int_equal(first_action(s)->state, ACTION_REVERTED);
	assert_false(act_busy(s->act, 1));
}

static int setup(void **state)
{
	struct scene *s = calloc(1, sizeof(*s));
	struct act_options ao;
	struct actuator_options o = {.mode = ACTUATOR_ENFORCE, .allow = s->allow, .own_path = "/"};

	if (!cgroup_tree_any(&s->tree))
		return -1;
	snprintf(s->state, sizeof(s->state), "/tmp/sage-acting-XXXXXX");
	if (!mkdtemp(s->state))
		return -1;
	s->allow[0] = "/sage-acting-*";
	o.state_dir = s->state;
	o.layout = &s->tree.layout;
	actuator_limits_default(&o.limits);
	act_options_default(&ao);
	ao.mode = ACT_ENFORCE;
	graph_init(&s->graph);
	s->now_s = 1000000;
	*state = s;
	return actuator_open(&s->agent, &o) || act_open(&s->act, &ao, s->now_s);
}

static int teardown(void **state)
{
	static const char *const files[] = {"journal", "lock", "actions.log"};
	struct scene *s = *state;
	char path[128];

	if (s->worker > 0) {
		kill(s->worker, SIGKILL);
		waitpid(s->worker, NULL, 0);
		close(s->jobs);
	}
	actuator_close(s->agent);
	act_close(s->act);
	graph_clear(&s->graph);
	cgroup_tree_remove(&s->tree);
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		snprintf(path, sizeof(path), "%s/%s", s->state, files[i]);
		unlink(path);
	}
	rmdir(s->state);
	free(s);
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			cut_quota_is_raised_verified_and_given_back, setup, teardown),
	};
	struct cgroup_tree probe;
	bool real = cgroup_tree_any(&probe);

	cgroup_tree_remove(&probe);
	if (!real) {
		printf("skipped: no cgroup controllers that may be written\n");
		return 77;
	}
	log_init("acting_test", LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
