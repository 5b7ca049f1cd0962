/* Knobs: the kernel's text, real cgroup files of v1 or v2, files like v2's, and a real link. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "agent/knob.h"
#include "agent/knob_text.h"
#include "cgroup_tree.h"

/* ---- text ---- */

static const struct {
	enum wire_knob kind;
	bool v2;
	const char *content;
	int64_t value; /* WIRE_ANY_VALUE: not understood */
	const char *text;
} reading[] = {
	{KNOB_CPU_QUOTA, true, "max 100000\n", -1, "max 100000"},
	{KNOB_CPU_QUOTA, true, "25000 100000\n", 250, "25000 100000"},
	{KNOB_CPU_QUOTA, true, "33333 50000\n", 666, "33333 50000"},
	{KNOB_CPU_QUOTA, true, "25000\n", WIRE_ANY_VALUE, ""},
	{KNOB_CPU_QUOTA, true, "25000 0\n", WIRE_ANY_VALUE, ""},
	{KNOB_CPU_QUOTA, true, "", WIRE_ANY_VALUE, ""},
	{KNOB_CPU_QUOTA, false, "-1\n", -1, "-1"},
	{KNOB_CPU_QUOTA, false, "25000\n", 250, "25000"},
	{KNOB_CPU_QUOTA, false, "9223372036854775807\n", WIRE_ANY_VALUE, ""},
	{KNOB_CPU_QUOTA, false, "99999999999999999999\n", WIRE_ANY_VALUE, ""},
	{KNOB_CPU_WEIGHT, true, "100\n", 100, "100"},
	{KNOB_CPU_WEIGHT, false, "1024\n", 100, "1024"},
	{KNOB_CPU_WEIGHT, false, "2\n", 1, "2"},
	{KNOB_CPU_WEIGHT, false, "0\n", WIRE_ANY_VALUE, ""},
	{KNOB_MEMORY_HIGH, true, "max\n", -1, "max"},
	{KNOB_MEMORY_HIGH, true, "1073741824\n", 1 << 30, "1073741824"},
	{KNOB_MEMORY_HIGH, false, "9223372036854771712\n", -1, "9223372036854771712"},
	{KNOB_MEMORY_HIGH, false, "x\n", WIRE_ANY_VALUE, ""},
	{KNOB_IO_READ_BPS, true, "", -1, "254:0 rbps=max"},
	{KNOB_IO_READ_BPS, true, "7:0 rbps=5 wbps=6 riops=7 wiops=8\n254:0 rbps=1000 wbps=max\n",
		1000, "254:0 rbps=1000"},
	{KNOB_IO_WRITE_BPS, true, "254:0 rbps=1000 wbps=max riops=max\n", -1, "254:0 wbps=max"},
	{KNOB_IO_READ_IOPS, true, "254:0 rbps=max wbps=max riops=12 wiops=max\n", 12,
		"254:0 riops=12"},
	{KNOB_IO_READ_BPS, true, "254:0 rbps=?\n", WIRE_ANY_VALUE, ""},
	{KNOB_IO_READ_BPS, false, "254:0 4096\n", 4096, "254:0 4096"},
	{KNOB_IO_READ_BPS, false, "25:0 4096\n", -1, "254:0 0"},
};

static void kernel_text_is_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(reading) / sizeof(*reading); i++) {
		struct knob_value v = {.value = WIRE_ANY_VALUE};
		int error = knob_text_parse(
			reading[i].kind, reading[i].v2, reading[i].content, "254:0", 100000, &v);

		if (v.value != reading[i].value || strcmp(v.text, reading[i].text))
			fail_msg("\"%s\" reads as %lld, \"%s\"", reading[i].content,
				(long long)v.value, v.text);
		assert_int_equal(error, reading[i].value == WIRE_ANY_VALUE ? -EBADMSG : 0);
	}
}

static const struct {
	enum wire_knob kind;
	bool v2;
	int64_t value;
	const char *text; /* NULL: refused */
} writing[] = {
	{KNOB_CPU_QUOTA, true, 600, "60000 100000"},
	{KNOB_CPU_QUOTA, true, -1, "max 100000"},
	{KNOB_CPU_QUOTA, false, 600, "60000"},
	{KNOB_CPU_QUOTA, false, -1, "-1"},
	{KNOB_CPU_QUOTA, false, -2, NULL},
	{KNOB_CPU_QUOTA, false, INT64_MAX, NULL},
	{KNOB_CPU_WEIGHT, true, 10, "10"},
	{KNOB_CPU_WEIGHT, false, 10, "102"},
	{KNOB_CPU_WEIGHT, true, 0, NULL},
	{KNOB_CPU_WEIGHT, true, 10001, NULL},
	{KNOB_MEMORY_HIGH, true, -1, "max"},
	{KNOB_MEMORY_HIGH, false, -1, "-1"},
	{KNOB_MEMORY_HIGH, true, 4096, "4096"},
	{KNOB_IO_READ_BPS, true, 4096, "254:0 rbps=4096"},
	{KNOB_IO_WRITE_BPS, true, -1, "254:0 wbps=max"},
	{KNOB_IO_READ_IOPS, false, -1, "254:0 0"},
};

static void value_becomes_kernel_text(void **state)
{
	char text[KNOB_TEXT];

	(void)state;
	for (size_t i = 0; i < sizeof(writing) / sizeof(*writing); i++) {
		int error = knob_text_format(
			writing[i].kind, writing[i].v2, writing[i].value, "254:0", 100000, text);

		assert_int_equal(error, writing[i].text ? 0 : -EINVAL);
		if (writing[i].text)
			assert_string_equal(text, writing[i].text);
	}
}

static void busiest_device_is_found(void **state)
{
	char device[KNOB_DEVICE];

	(void)state;
	assert_true(knob_text_busiest(
		true, "7:0 rbytes=10 wbytes=20\n254:0 rbytes=40 wbytes=0\n", device));
	assert_string_equal(device, "254:0");
	assert_true(knob_text_busiest(
		false, "8:0 Read 5\n8:0 Write 6\n8:0 Total 11\n7:1 Total 40\nTotal 51\n", device));
	assert_string_equal(device, "7:1");
	assert_false(knob_text_busiest(false, "Total 0\n", device));
	assert_false(knob_text_busiest(true, "nonsense\n:\n1:\n:1 rbytes=4\n", device));
}

static void none_is_more_than_any_number(void **state)
{
	(void)state;
	assert_true(knob_compare(KNOB_CPU_QUOTA, -1, 100) > 0);
	assert_true(knob_compare(KNOB_CPU_QUOTA, 100, -1) < 0);
	assert_true(knob_compare(KNOB_CPU_QUOTA, -1, -1) == 0);
	assert_true(knob_compare(KNOB_MEMORY_HIGH, 10000000, 9998336) == 0);
	assert_true(knob_compare(KNOB_CPU_QUOTA, 300, 250) > 0);
}

static void layout_is_read_from_a_mount_table(void **state)
{
	char path[] = "/tmp/sage-mounts-XXXXXX";
	const char *text = "30 24 0:26 / /c/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
			   "31 24 0:27 / /c/cpuset rw - cgroup cgroup rw,cpuset\n"
			   "32 24 0:28 / /c/memory rw shared:9 - cgroup cgroup rw,memory\n"
			   "33 24 0:29 / /c/unified rw - cgroup2 cgroup2 rw\n"
			   "34 24 0:26 / /host/c/cpu rw - cgroup cgroup rw,cpu,cpuacct\n";
	struct knob_layout l;
	int fd = mkstemp(path);

	(void)state;
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(knob_layout_find(&l, path, NULL), 0);
	assert_string_equal(l.mount[KNOB_CPU].dir, "/c/cpu,cpuacct");
	assert_false(l.mount[KNOB_CPU].v2);
	assert_string_equal(l.mount[KNOB_MEMORY].dir, "/c/memory");
	assert_string_equal(l.mount[KNOB_IO].dir, "");
	assert_int_equal(knob_layout_find(&l, path, "/host"), 0);
	assert_string_equal(l.mount[KNOB_CPU].dir, "/host/c/cpu");
	assert_string_equal(l.mount[KNOB_MEMORY].dir, "");
	assert_int_equal(knob_layout_find(&l, path, "/c/unified"), 0);
	assert_string_equal(l.mount[KNOB_CPU].dir, "/c/unified");
	assert_true(l.mount[KNOB_CPU].v2);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(knob_layout_find(&l, path, NULL), -ENOENT);
	close(fd);
	unlink(path);
}

/* ---- files like cgroup v2's ---- */

static int plain(void **state)
{
	struct cgroup_tree *t = calloc(1, sizeof(*t));

	cgroup_tree_plain(t);
	*state = t;
	return 0;
}

static int real(void **state)
{
	struct cgroup_tree *t = calloc(1, sizeof(*t));

	*state = t;
	cgroup_tree_any(t);
	return 0;
}

static int tear_down(void **state)
{
	cgroup_tree_remove(*state);
	free(*state);
	return 0;
}

static void open_knob(struct knob *k, const struct cgroup_tree *t, enum wire_knob kind)
{
	assert_int_equal(knob_open(k, &t->layout, t->app, t->app_id, kind, ""), 0);
}

static void assert_value(const struct knob *k, int64_t value)
{
	struct knob_value v;

	assert_int_equal(knob_read(k, &v), 0);
	assert_int_equal(v.value, value);
}

static void hard_memory_limit_is_raised_when_it_is_the_tight_one(void **state)
{
	struct cgroup_tree *t = *state;
	struct knob k;

	open_knob(&k, t, KNOB_MEMORY_HIGH);
	assert_string_equal(k.file, "memory.high");
	assert_false(k.raise_only);
	knob_close(&k);
	cgroup_tree_put(t, KNOB_MEMORY, t->app, "memory.max", "67108864\n");
	open_knob(&k, t, KNOB_MEMORY_HIGH);
	assert_string_equal(k.file, "memory.max");
	assert_true(k.raise_only);
	knob_close(&k);
	cgroup_tree_put(t, KNOB_MEMORY, t->app, "memory.high", "33554432\n");
	open_knob(&k, t, KNOB_MEMORY_HIGH);
	assert_string_equal(k.file, "memory.high");
	knob_close(&k);
}

static void io_goes_to_the_limited_device_else_the_busiest(void **state)
{
	struct cgroup_tree *t = *state;
	struct knob k;

	open_knob(&k, t, KNOB_IO_READ_BPS);
	assert_string_equal(k.device, "254:0");
	assert_value(&k, -1);
	knob_close(&k);
	cgroup_tree_put(t, KNOB_IO, t->app, "io.max", "7:0 rbps=1000 wbps=max\n");
	open_knob(&k, t, KNOB_IO_READ_BPS);
	assert_string_equal(k.device, "7:0");
	assert_value(&k, 1000);
	assert_int_equal(knob_write(&k, 4096), 0);
	assert_string_equal(cgroup_tree_get(t, KNOB_IO, t->app, "io.max"), "7:0 rbps=4096");
	knob_close(&k);
}

static void paths_out_of_the_tree_are_refused(void **state)
{
	static const struct {
		const char *path;
		int error;
	} bad[] = {{"", -EINVAL}, {"/", -EINVAL}, {"relative", -EINVAL}, {"/a\nb", -EINVAL},
		{"/../../etc", -EINVAL}, {"/a/", -EINVAL}, {"/a//b", -EINVAL}, {"/a/./b", -EINVAL},
		{"/a/../b", -EINVAL}, {"/.", -EINVAL}, {"/nowhere", -ENOENT}};
	struct cgroup_tree *t = *state;
	char target[512], link[600];
	struct knob k;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(
			knob_open(&k, &t->layout, bad[i].path, t->app_id, KNOB_CPU_QUOTA, ""),
			bad[i].error);
	snprintf(target, sizeof(target), "%s%s", t->plain, t->app);
	snprintf(link, sizeof(link), "%s/link", t->plain);
	assert_int_equal(symlink(target, link), 0);
	assert_int_equal(knob_open(&k, &t->layout, "/link", t->app_id, KNOB_CPU_QUOTA, ""), -ELOOP);
	unlink(link);
	assert_int_equal(knob_open(&k, &t->layout, t->app, t->pod_id, KNOB_CPU_QUOTA, ""), -ESTALE);
}

/* ---- real cgroups ---- */

struct real_knob {
	enum wire_knob kind;
	enum knob_controller controller;
	const char *file, *before;
	int64_t value;
	const char *after;
};

/* The %s of an I/O knob is a device of this machine. */
static void is_set_and_restored(
	const struct cgroup_tree *t, const struct real_knob *real, const char *device)
{
	char before[80], after[80];
	struct knob_value old;
	struct knob k;

	snprintf(before, sizeof(before), real->before, device);
	snprintf(after, sizeof(after), real->after, device);
	cgroup_tree_put(t, real->controller, t->app, real->file, before);
	open_knob(&k, t, real->kind);
	assert_int_equal(knob_read(&k, &old), 0);
	assert_int_equal(knob_write(&k, real->value), 0);
	assert_value(&k, real->value);
	assert_string_equal(cgroup_tree_get(t, real->controller, t->app, real->file), after);
	assert_int_equal(knob_restore(&k, old.text), 0);
	assert_string_equal(cgroup_tree_get(t, real->controller, t->app, real->file), before);
	knob_close(&k);
}

/* "254:0", a block device of this machine; false without one. */
static bool find_disk(char device[24])
{
	static const char *const name[] = {"/dev/vda", "/dev/sda", "/dev/nvme0n1", "/dev/loop0"};
	struct stat st;

	for (size_t i = 0; i < sizeof(name) / sizeof(*name); i++) {
		if (stat(name[i], &st))
			continue;
		snprintf(device, 24, "%u:%u", major(st.st_rdev), minor(st.st_rdev));
		return true;
	}
	return false;
}

static void knobs_are_set_and_restored_to_the_letter(void **state)
{
	static const struct real_knob v1[] = {
		{KNOB_CPU_QUOTA, KNOB_CPU, "cpu.cfs_quota_us", "33333", 600, "60000"},
		{KNOB_CPU_WEIGHT, KNOB_CPU, "cpu.shares", "1000", 50, "512"},
		{KNOB_MEMORY_HIGH, KNOB_MEMORY, "memory.limit_in_bytes", "67108864", 128 << 20,
			"134217728"},
		{KNOB_IO_READ_BPS, KNOB_IO, "blkio.throttle.read_bps_device", "%s 1048576", 2 << 20,
			"%s 2097152"},
		{KNOB_IO_WRITE_BPS, KNOB_IO, "blkio.throttle.write_bps_device", "%s 1048576",
			2 << 20, "%s 2097152"},
		{KNOB_IO_READ_IOPS, KNOB_IO, "blkio.throttle.read_iops_device", "%s 100", 200,
			"%s 200"},
	};
	static const struct real_knob v2[] = {
		{KNOB_CPU_QUOTA, KNOB_CPU, "cpu.max", "33333 100000", 600, "60000 100000"},
		{KNOB_CPU_QUOTA, KNOB_CPU, "cpu.max", "20001 50000", 600, "30000 50000"},
		{KNOB_CPU_QUOTA, KNOB_CPU, "cpu.max", "max 100000", 600, "60000 100000"},
		{KNOB_CPU_WEIGHT, KNOB_CPU, "cpu.weight", "77", 50, "50"},
		{KNOB_MEMORY_HIGH, KNOB_MEMORY, "memory.high", "67108864", 128 << 20, "134217728"},
		{KNOB_MEMORY_HIGH, KNOB_MEMORY, "memory.high", "max", 128 << 20, "134217728"},
		{KNOB_IO_READ_BPS, KNOB_IO, "io.max",
			"%s rbps=1048576 wbps=max riops=max wiops=120", 2 << 20,
			"%s rbps=2097152 wbps=max riops=max wiops=120"},
		{KNOB_IO_WRITE_BPS, KNOB_IO, "io.max",
			"%s rbps=max wbps=1048576 riops=max wiops=120", 2 << 20,
			"%s rbps=max wbps=2097152 riops=max wiops=120"},
		{KNOB_IO_READ_IOPS, KNOB_IO, "io.max", "%s rbps=max wbps=max riops=100 wiops=120",
			200, "%s rbps=max wbps=max riops=200 wiops=120"},
	};
	struct cgroup_tree *t = *state;
	bool unified = t->layout.mount[KNOB_CPU].v2;
	const struct real_knob *knobs = unified ? v2 : v1;
	size_t n = unified ? sizeof(v2) / sizeof(*v2) : sizeof(v1) / sizeof(*v1);
	char device[24];

	if (!t->app_id || !find_disk(device))
		skip();
	for (size_t i = 0; i < n; i++)
		is_set_and_restored(t, &knobs[i], device);
}

static void cgroup_made_anew_is_not_written(void **state)
{
	struct cgroup_tree *t = *state, again;
	struct knob_value v;
	struct knob k;

	if (!t->app_id)
		skip();
	open_knob(&k, t, KNOB_CPU_QUOTA);
	cgroup_tree_remove(t);
	assert_true(cgroup_tree_any(&again));
	assert_int_equal(knob_read(&k, &v), -ENODEV);
	assert_int_not_equal(knob_write(&k, 600), 0);
	assert_int_equal(cgroup_tree_quota(&again, again.app), -1);
	knob_close(&k);
}

/* ---- a real link ---- */

/* A process in a network namespace of its own with a tbf on a link; 0 = cannot be had. */
static pid_t start_container(const char *rate)
{
	char command[256], ready;
	int ends[2];
	pid_t pid;

	if (pipe(ends))
		return 0;
	pid = fork();
	if (pid == 0) {
		close(ends[0]);
		snprintf(command, sizeof(command),
			"ip link add eth0 type veth peer name peer0 2>/dev/null && "
			"tc qdisc add dev eth0 root tbf rate %s burst 3000 limit 30000 2>/dev/null",
			rate);
		ready = !unshare(CLONE_NEWNET) && !system(command);
		if (write(ends[1], &ready, 1) == 1)
			pause();
		_exit(0);
	}
	close(ends[1]);
	if (pid > 0 && (read(ends[0], &ready, 1) != 1 || !ready)) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		pid = 0;
	}
	close(ends[0]);
	return pid;
}

static void rate_of_a_containers_link_is_set_and_restored(void **state)
{
	struct cgroup_tree *t = *state;
	struct knob_value before, after;
	char text[16];
	struct knob k;
	pid_t pid = t->app_id ? start_container("1mbit") : 0;

	if (!pid)
		skip();
	snprintf(text, sizeof(text), "%d", (int)pid);
	cgroup_tree_put(t, KNOB_CPU, t->app, "cgroup.procs", text);
	open_knob(&k, t, KNOB_NET_RATE);
	assert_int_equal(knob_read(&k, &before), 0);
	assert_int_equal(before.value, 125000);
	assert_int_equal(knob_write(&k, 1250000), 0);
	assert_int_equal(knob_read(&k, &after), 0);
	assert_int_equal(after.value, 1250000);
	assert_int_equal(knob_restore(&k, before.text), 0);
	assert_int_equal(knob_read(&k, &after), 0);
	assert_string_equal(after.text, before.text);
	assert_int_equal(knob_write(&k, -1), -EINVAL);
	knob_close(&k);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void host_network_has_no_link_of_its_own(void **state)
{
	struct cgroup_tree *t = *state;
	struct knob k;

	if (!t->app_id)
		skip();
	assert_int_equal(
		knob_open(&k, &t->layout, t->app, t->app_id, KNOB_NET_RATE, ""), -EOPNOTSUPP);
}

#define PLAIN(f) cmocka_unit_test_setup_teardown(f, plain, tear_down)
#define REAL(f) cmocka_unit_test_setup_teardown(f, real, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(kernel_text_is_read),
		cmocka_unit_test(value_becomes_kernel_text),
		cmocka_unit_test(busiest_device_is_found),
		cmocka_unit_test(none_is_more_than_any_number),
		cmocka_unit_test(layout_is_read_from_a_mount_table),
		PLAIN(hard_memory_limit_is_raised_when_it_is_the_tight_one),
		PLAIN(io_goes_to_the_limited_device_else_the_busiest),
		PLAIN(paths_out_of_the_tree_are_refused),
		REAL(knobs_are_set_and_restored_to_the_letter),
		REAL(cgroup_made_anew_is_not_written),
		REAL(rate_of_a_containers_link_is_set_and_restored),
		REAL(host_network_has_no_link_of_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
