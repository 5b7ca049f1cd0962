#include "actuator_scene.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"

bool scene_real;

const char *scene_quota(const struct scene *s, const char *path)
{
	return cgroup_tree_get(
		&s->tree, KNOB_CPU, path, scene_real ? "cpu.cfs_quota_us" : "cpu.max");
}

void scene_put_quota(const struct scene *s, const char *path, int us)
{
	char text[32];

	snprintf(text, sizeof(text), scene_real ? "%d" : "%d 100000", us);
	cgroup_tree_put(
		&s->tree, KNOB_CPU, path, scene_real ? "cpu.cfs_quota_us" : "cpu.max", text);
}

void scene_assert_quota(const struct scene *s, const char *path, int us)
{
	char text[32];

	snprintf(text, sizeof(text), scene_real ? "%d" : us < 0 ? "max 100000" : "%d 100000", us);
	assert_string_equal(scene_quota(s, path), text);
}

void scene_start(struct scene *s)
{
	assert_int_equal(actuator_open(&s->a, &s->options), 0);
}

int scene_open(void **state)
{
	struct scene *s = calloc(1, sizeof(*s));

	if (scene_real)
		cgroup_tree_real(&s->tree);
	else
		cgroup_tree_plain(&s->tree);
	snprintf(s->state, sizeof(s->state), "/tmp/sage-actuator-XXXXXX");
	if (!mkdtemp(s->state))
		return -1;
	s->allow[0] = "/sage-acting-*";
	s->options = (struct actuator_options){.state_dir = s->state,
		.mode = ACTUATOR_ENFORCE,
		.allow = s->allow,
		.layout = &s->tree.layout,
		.own_path = "/"};
	actuator_limits_default(&s->options.limits);
	s->options.limits.ceiling[KNOB_CPU_QUOTA] = 64000;
	s->options.limits.cooldown_ms = 0;
	s->now = START;
	s->set = (struct wire_leases){.epoch = 7, .lease = s->lease};
	*state = s;
	return 0;
}

int scene_close(void **state)
{
	static const char *const files[] = {"journal", "lock", "actions.log", "hold"};
	struct scene *s = *state;
	char path[128];

	actuator_close(s->a);
	cgroup_tree_remove(&s->tree);
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		snprintf(path, sizeof(path), "%s/%s", s->state, files[i]);
		unlink(path);
	}
	rmdir(s->state);
	free(s);
	return 0;
}

struct wire_lease *scene_add(struct scene *s, uint64_t id, const char *path, int64_t value)
{
	struct wire_lease *l = &s->lease[s->set.leases++];

	*l = (struct wire_lease){.id = id,
		.epoch = 7,
		.cgroup_id = s->tree.app_id,
		.knob = KNOB_CPU_QUOTA,
		.expected = WIRE_ANY_VALUE,
		.value = value,
		.ttl_ms = 10000};
	snprintf(l->path, sizeof(l->path), "%s", path);
	snprintf(l->reason, sizeof(l->reason), "test");
	return l;
}

void scene_send(struct scene *s)
{
	assert_int_equal(actuator_set(s->a, &s->set, s->now), 0);
}

struct wire_lease_report scene_take(struct scene *s)
{
	struct wire_lease_report r;

	assert_int_equal(actuator_reports(s->a, &r, 1), 1);
	return r;
}

void scene_assert_report(
	struct scene *s, uint64_t id, enum wire_lease_state state, const char *detail)
{
	struct wire_lease_report r = scene_take(s);

	assert_int_equal(r.id, id);
	assert_string_equal(wire_lease_state_name(r.state), wire_lease_state_name(state));
	if (!strstr(r.detail, detail))
		fail_msg("\"%s\" does not say \"%s\"", r.detail, detail);
}

void scene_assert_silent(struct scene *s)
{
	struct wire_lease_report r;

	assert_int_equal(actuator_reports(s->a, &r, 1), 0);
}

int scene_run(const struct CMUnitTest *tests, size_t count)
{
	struct cgroup_tree probe;
	int failed;

	log_init("test", LOG_ERROR);
	failed = _cmocka_run_group_tests("files like cgroup v2", tests, count, NULL, NULL);
	scene_real = cgroup_tree_real(&probe);
	cgroup_tree_remove(&probe);
	if (scene_real)
		failed += _cmocka_run_group_tests("real cgroup v1", tests, count, NULL, NULL);
	else
		print_message("real cgroup v1: skipped, no v1 controllers that may be written\n");
	return failed;
}
