/*
 * How many instructions the verifier went through for each program, held against the record in
 * verified.txt: growth slows loading down and, at a million, ends it. The number depends on
 * the kernel; one that is not in the record is only printed. Growth that is meant is recorded:
 *
 *   verified_test | grep '^[0-9]'    the lines for tests/bpf/verified.txt
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <bpf/bpf.h>
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "agent/capture.h"
#include "agent/sched.h"
#include "common/log.h"
#include "tests/bpf/strategies.h"
#include "tests/bpf/traffic.h"

#define GROWTH_PERCENT 25

static const char *object; /* whose programs are loaded now */
static unsigned kernel_major, kernel_minor;

/* The recorded number; 0 = none for this kernel. */
static unsigned recorded(const char *program)
{
	char line[256], of[32], name[32];
	unsigned major, minor, count, found = 0;
	FILE *f = fopen(VERIFIED, "re");

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%u.%u %31s %31s %u", &major, &minor, of, name, &count) != 5)
			continue;
		if (major == kernel_major && minor == kernel_minor && !strcmp(of, object) &&
			!strcmp(name, program))
			found = count;
	}
	fclose(f);
	return found;
}

static bool is_program(const char *fd)
{
	char path[300], line[128];
	bool yes = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%s", fd);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		yes = yes || !strncmp(line, "prog_type:", 10);
	if (f)
		fclose(f);
	return yes;
}

/* Print one program's line as the record has it; whether it has grown too much. */
static bool has_grown(int fd)
{
	struct bpf_prog_info info = {0};
	unsigned size = sizeof(info), before;

	assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &size), 0);
	before = recorded(info.name);
	printf("%u.%u %-8s %-16s %u\n", kernel_major, kernel_minor, object, info.name,
		info.verified_insns);
	if (!before || info.verified_insns <= before + before * GROWTH_PERCENT / 100)
		return false;
	printf("%s %s: %u instructions verified, %u recorded in %s\n", object, info.name,
		info.verified_insns, before, VERIFIED);
	return true;
}

static void check_all(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned grown = 0, programs = 0;
	struct dirent *e;

	assert_non_null(d);
	while ((e = readdir(d))) {
		if (!is_program(e->d_name))
			continue;
		programs++;
		grown += has_grown(atoi(e->d_name));
	}
	closedir(d);
	assert_true(programs > 1);
	assert_int_equal(grown, 0);
}

static void capture_has_not_grown(void **state)
{
	struct capture_options o = {.cgroup_subsys = traffic_cgroup_subsys(),
		.strategy = object,
		.max_operations = 1024};
	struct capture *c;

	(void)state;
	assert_int_equal(capture_open(&c, &o), 0);
	check_all();
	capture_close(c);
}

static void sched_has_not_grown(void **state)
{
	struct sched *s;

	(void)state;
	object = "sched";
	assert_int_equal(sched_open(&s, traffic_cgroup_subsys(), 16), 0);
	check_all();
	sched_close(s);
}

static int run(const char *strategy)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(capture_has_not_grown)};

	object = strategy;
	return cmocka_run_group_tests_name(strategy, tests, NULL, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(sched_has_not_grown)};
	struct utsname u;

	log_init("verified_test", LOG_INFO);
	if (geteuid() != 0) {
		printf("skipped: loading BPF programs needs root\n");
		return 77;
	}
	uname(&u);
	sscanf(u.release, "%u.%u", &kernel_major, &kernel_minor);
	return strategies_run(run, NULL) + cmocka_run_group_tests_name("sched", tests, NULL, NULL);
}
