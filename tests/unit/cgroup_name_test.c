#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "agent/cgroup_name.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define UID "4d1a8c9e-1b2c-4d5e-8f90-a1b2c3d4e5f6"
#define UID_SLICE "4d1a8c9e_1b2c_4d5e_8f90_a1b2c3d4e5f6"
#define POD_SYSTEMD                                                                                \
	"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" UID_SLICE ".slice"
#define POD_CGROUPFS "/kubepods/burstable/pod" UID
#define KIND "/docker/" ID "/kubelet/kubepods/pod" UID

struct layout {
	const char *path, *service, *container, *group; /* service NULL: not a container */
};

static const struct layout layouts[] = {
	{POD_SYSTEMD "/cri-containerd-" ID ".scope", "pod-4d1a8c9e", "0123456789ab", POD_SYSTEMD},
	{POD_SYSTEMD "/crio-" ID ".scope", "pod-4d1a8c9e", "0123456789ab", POD_SYSTEMD},
	{POD_SYSTEMD "/docker-" ID ".scope", "pod-4d1a8c9e", "0123456789ab", POD_SYSTEMD},
	{"/kubepods.slice/kubepods-pod" UID_SLICE ".slice/cri-containerd-" ID ".scope",
		"pod-4d1a8c9e", "0123456789ab", "/kubepods.slice/kubepods-pod" UID_SLICE ".slice"},
	{POD_CGROUPFS "/" ID, "pod-4d1a8c9e", "0123456789ab", POD_CGROUPFS},
	{KIND "/" ID, "pod-4d1a8c9e", "0123456789ab", KIND},
	{"/docker/" ID, "0123456789ab", "0123456789ab", "/docker/" ID},
	{"/system.slice/docker-" ID ".scope", "0123456789ab", "0123456789ab",
		"/system.slice/docker-" ID ".scope"},
	{"/machine.slice/libpod-" ID ".scope", "0123456789ab", "0123456789ab",
		"/machine.slice/libpod-" ID ".scope"},
	{"/libpod_parent/libpod-" ID, "0123456789ab", "0123456789ab", "/libpod_parent/libpod-" ID},
	{"/machine.slice/machine-libpod_pod_" ID ".slice/libpod-" ID ".scope", "0123456789ab",
		"0123456789ab", "/machine.slice/machine-libpod_pod_" ID ".slice"},
	{"/system.slice/containerd.service/kubepods-burstable-pod" UID_SLICE
	 ".slice:cri-containerd:" ID,
		"0123456789ab", "0123456789ab",
		"/system.slice/containerd.service/kubepods-burstable-pod" UID_SLICE
		".slice:cri-containerd:" ID},
	{"/default/" ID, "0123456789ab", "0123456789ab", "/default/" ID},
	{"/system.slice/nginx.service", "nginx", "nginx", "/system.slice/nginx.service"},
	{"/system.slice/system-postgresql.slice/postgresql@15-main.service", "postgresql@15-main",
		"postgresql@15-main",
		"/system.slice/system-postgresql.slice/postgresql@15-main.service"},
	{"/machine.slice/libpod-conmon-" ID ".scope", NULL, NULL, NULL},
	{POD_SYSTEMD "/crio-conmon-" ID ".scope", NULL, NULL, NULL},
	{POD_SYSTEMD, NULL, NULL, NULL},
	{POD_CGROUPFS, NULL, NULL, NULL},
	{"/docker/0123456789ab", NULL, NULL, NULL},
	{"/user.slice/user-0.slice/session-1.scope", NULL, NULL, NULL},
	{"/system.slice", NULL, NULL, NULL},
	{"/init.scope", NULL, NULL, NULL},
	{"/", NULL, NULL, NULL},
	{"", NULL, NULL, NULL},
};

static void assert_named(const struct cgroup_rules *rules, const struct layout *want)
{
	struct cgroup_name name;

	if (!want->service) {
		if (cgroup_name_parse(rules, want->path, &name))
			fail_msg("%s was taken for a container", want->path);
		return;
	}
	if (!cgroup_name_parse(rules, want->path, &name))
		fail_msg("%s was not taken for a container", want->path);
	assert_string_equal(name.service, want->service);
	assert_string_equal(name.container, want->container);
	assert_string_equal(name.group, want->group);
}

static void known_layouts_are_named(void **state)
{
	struct cgroup_rules none = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(layouts) / sizeof(*layouts); i++)
		assert_named(&none, &layouts[i]);
}

static void add_rule(struct cgroup_rules *rules, const char *pattern)
{
	const char *why = "";

	assert_int_equal(cgroup_rules_add(rules, pattern, &why), 0);
}

static void rules_name_whole_paths(void **state)
{
	static const struct layout wanted[] = {
		{"/sage-testbed/cart/app", "cart", "app", "/sage-testbed/cart"},
		{"/sage-testbed/cart", NULL, NULL, NULL},
		{"/sage-testbed/cart/app/worker", NULL, NULL, NULL},
		{"/apps/shop.d/web", "web", "web", "/apps/shop.d/web"},
		{"/apps/shop/web", NULL, NULL, NULL},
		{"/left/app/cart", "cart", "app", "/left/app/cart"},
	};
	struct cgroup_rules rules = {0};

	(void)state;
	add_rule(&rules, "/sage-testbed/{service}/{container}");
	add_rule(&rules, "/apps/*.d/{service}");
	add_rule(&rules, "/left/{container}/{service}");
	for (size_t i = 0; i < sizeof(wanted) / sizeof(*wanted); i++)
		assert_named(&rules, &wanted[i]);
}

static void a_rule_goes_before_a_layout(void **state)
{
	struct cgroup_rules rules = {0};

	(void)state;
	add_rule(&rules, "/system.slice/{service}");
	assert_named(&rules, &(struct layout){"/system.slice/nginx.service", "nginx.service",
				     "nginx.service", "/system.slice/nginx.service"});
}

static void broken_rules_are_refused_with_a_reason(void **state)
{
	static const char *const broken[] = {"", "a/{service}", "/a/b", "/a/{container}",
		"/{service}/{service}", "/{service}/{container}/{container}", "/x-{service}",
		"/{service}/{pod}", "/{service}/}"};
	struct cgroup_rules rules = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(broken) / sizeof(*broken); i++) {
		const char *why = NULL;

		assert_int_equal(cgroup_rules_add(&rules, broken[i], &why), -22);
		assert_non_null(why);
	}
	assert_int_equal(rules.count, 0);
}

static void too_many_rules_are_refused(void **state)
{
	struct cgroup_rules rules = {0};
	const char *why = NULL;

	(void)state;
	for (int i = 0; i < CGROUP_RULES; i++)
		add_rule(&rules, "/{service}");
	assert_int_equal(cgroup_rules_add(&rules, "/{service}", &why), -28);
}

static void names_too_long_are_no_match(void **state)
{
	struct cgroup_rules rules = {0};
	struct cgroup_name name;
	char path[WIRE_NAME + 2];

	(void)state;
	add_rule(&rules, "/{service}");
	memset(path, 'a', sizeof(path));
	path[0] = '/';
	path[sizeof(path) - 1] = 0;
	assert_false(cgroup_name_parse(&rules, path, &name));
	path[sizeof(path) - 2] = 0;
	assert_true(cgroup_name_parse(&rules, path, &name));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_layouts_are_named),
		cmocka_unit_test(rules_name_whole_paths),
		cmocka_unit_test(a_rule_goes_before_a_layout),
		cmocka_unit_test(broken_rules_are_refused_with_a_reason),
		cmocka_unit_test(too_many_rules_are_refused),
		cmocka_unit_test(names_too_long_are_no_match),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
