#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "agent/spool.h"

#define RECORD 1000

static char dir[64];

static struct spool_options options(const char *where)
{
	return (struct spool_options){.dir = where, .bytes = SPOOL_LEAST_BYTES, .max_record = 4096};
}

static struct spool *opened(const char *where)
{
	struct spool_options o = options(where);
	struct spool *s = NULL;

	assert_int_equal(spool_open(&s, &o), 0);
	return s;
}

static int make_dir(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/sage-spool-test-XXXXXX");
	return !mkdtemp(dir);
}

static int remove_dir(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf -- %s", dir);
	return system(command);
}

/* Record `i` is RECORD bytes that all depend on i, and stands for two windows. */
static void push(struct spool *s, uint32_t i)
{
	uint8_t body[RECORD];

	memset(body, (int)(i * 7), sizeof(body));
	memcpy(body, &i, sizeof(i));
	assert_int_equal(spool_push(s, body, sizeof(body), 2), 0);
}

/* Takes the oldest and says which it was; -1 when there is none. */
static int64_t take(struct spool *s)
{
	uint32_t i, windows;
	size_t size;
	void *body;
	int error = spool_take(s, &body, &size, &windows);

	if (error == -ENOENT)
		return -1;
	assert_int_equal(error, 0);
	assert_int_equal(size, RECORD);
	assert_int_equal(windows, 2);
	memcpy(&i, body, sizeof(i));
	assert_int_equal(((uint8_t *)body)[RECORD - 1], (uint8_t)(i * 7));
	free(body);
	return i;
}

static struct spool_stats stats_of(const struct spool *s)
{
	struct spool_stats out;

	spool_stats(s, &out);
	return out;
}

/* The one segment file there is. */
static int open_only_file(int flags)
{
	DIR *list = opendir(dir);
	struct dirent *entry;
	int fd = -1;

	while ((entry = readdir(list))) {
		if (entry->d_name[0] != '.')
			fd = openat(dirfd(list), entry->d_name, flags);
	}
	closedir(list);
	assert_true(fd >= 0);
	return fd;
}

static void flip(off_t at)
{
	int fd = open_only_file(O_RDWR);
	uint8_t byte;

	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 0x40;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	close(fd);
}

static void first_in_is_first_out(const char *where)
{
	struct spool *s = opened(where);

	for (uint32_t i = 0; i < 20; i++)
		push(s, i);
	for (uint32_t i = 0; i < 20; i++) {
		assert_int_equal(take(s), i);
		spool_settle(s, SPOOL_STORED);
	}
	assert_int_equal(take(s), -1);
	assert_int_equal(stats_of(s).bytes, 0);
	assert_int_equal(stats_of(s).windows, 0);
	spool_close(s);
}

static void records_leave_in_the_order_they_came(void **state)
{
	(void)state;
	first_in_is_first_out(dir);
	first_in_is_first_out(NULL);
}

static void what_is_not_settled_is_taken_again(void **state)
{
	struct spool *s = opened(NULL);

	(void)state;
	push(s, 1);
	push(s, 2);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(take(s), 1);
		spool_settle(s, SPOOL_AGAIN);
	}
	spool_close(s);
}

static void a_full_spool_drops_the_oldest_and_counts(void **state)
{
	struct spool *s = opened(NULL);
	uint64_t sent = 0;

	(void)state;
	for (uint32_t i = 0; i < 1000; i++)
		push(s, i);
	assert_true(stats_of(s).bytes <= SPOOL_LEAST_BYTES);
	assert_true(stats_of(s).bytes > SPOOL_LEAST_BYTES * 8 / 10);
	assert_int_equal(stats_of(s).dropped_full + stats_of(s).windows, 2000);
	while (take(s) >= 0) {
		spool_settle(s, SPOOL_STORED);
		sent += 2;
	}
	assert_int_equal(stats_of(s).dropped_full + sent, 2000);
	spool_close(s);
}

static void a_record_pushed_out_while_sent_counts_once(void **state)
{
	static const enum spool_outcome outcomes[] = {SPOOL_STORED, SPOOL_AGAIN, SPOOL_REFUSED};

	(void)state;
	for (unsigned o = 0; o < 3; o++) {
		struct spool *s = opened(NULL);
		struct spool_stats got;

		push(s, 0);
		assert_int_equal(take(s), 0);
		for (uint32_t i = 1; i < 200; i++)
			push(s, i);
		got = stats_of(s);
		assert_int_equal(got.windows + got.dropped_full, 400);
		spool_settle(s, outcomes[o]);
		got = stats_of(s);
		assert_int_equal(got.windows + got.dropped_full + got.dropped_damaged,
			outcomes[o] == SPOOL_STORED ? 398 : 400);
		spool_close(s);
	}
}

static void unsettled_records_survive_a_restart(void **state)
{
	struct spool *s = opened(dir);

	(void)state;
	for (uint32_t i = 0; i < 30; i++)
		push(s, i);
	for (uint32_t i = 0; i < 10; i++) {
		take(s);
		spool_settle(s, SPOOL_STORED);
	}
	spool_close(s);

	s = opened(dir);
	assert_int_equal(stats_of(s).recovered, 40);
	for (uint32_t i = 10; i < 30; i++) {
		assert_int_equal(take(s), i);
		spool_settle(s, SPOOL_STORED);
	}
	assert_int_equal(take(s), -1);
	spool_close(s);
}

static void kill_9_loses_nothing_that_was_pushed(void **state)
{
	int pipe_fd[2], status;
	uint32_t pushed = 0, seen = 0;
	struct spool *s;
	pid_t child;

	(void)state;
	assert_int_equal(pipe(pipe_fd), 0);
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		s = opened(dir);
		for (uint32_t i = 0; i < 50; i++) {
			push(s, i);
			if (write(pipe_fd[1], &i, sizeof(i)) < 0)
				_exit(1);
		}
		pause();
	}
	while (pushed < 49)
		assert_int_equal(read(pipe_fd[0], &pushed, sizeof(pushed)), sizeof(pushed));
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	s = opened(dir);
	for (; take(s) == seen; seen++)
		spool_settle(s, SPOOL_STORED);
	assert_int_equal(seen, 50);
	spool_close(s);
	close(pipe_fd[0]);
	close(pipe_fd[1]);
}

/* Offsets in the file: a head of 40 bytes, then the body. */
static void damage_costs_one_record(off_t at)
{
	struct spool *s = opened(dir);
	unsigned found = 0;

	push(s, 0);
	push(s, 1);
	push(s, 2);
	spool_close(s);
	flip(at);
	s = opened(dir);
	for (int64_t i; (i = take(s)) >= 0; found++) {
		assert_true(i != 1);
		spool_settle(s, SPOOL_STORED);
	}
	assert_int_equal(found, 2);
	assert_true(stats_of(s).dropped_damaged >= 1);
	assert_int_equal(stats_of(s).recovered, 4 + stats_of(s).dropped_damaged);
	spool_close(s);
}

static void a_damaged_head_costs_that_record(void **state)
{
	(void)state;
	damage_costs_one_record(RECORD + 40 + 12);
}

static void a_damaged_body_costs_that_record(void **state)
{
	(void)state;
	damage_costs_one_record(RECORD + 40 + 40 + 500);
}

static void a_torn_tail_is_skipped_and_written_after(void **state)
{
	struct spool *s = opened(dir);
	struct stat st;
	int fd;

	(void)state;
	push(s, 0);
	push(s, 1);
	spool_close(s);
	fd = open_only_file(O_RDWR);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(ftruncate(fd, st.st_size - 17), 0);
	close(fd);

	s = opened(dir);
	assert_int_equal(stats_of(s).dropped_damaged, 1);
	push(s, 2);
	assert_int_equal(take(s), 0);
	spool_settle(s, SPOOL_STORED);
	assert_int_equal(take(s), 2);
	spool_settle(s, SPOOL_STORED);
	assert_int_equal(take(s), -1);
	spool_close(s);
}

static void rubbish_in_the_directory_stops_nothing(void **state)
{
	char path[128];
	struct spool *s;
	int fd;

	(void)state;
	snprintf(path, sizeof(path), "%s/0000000000000007.spool", dir);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	assert_int_equal(write(fd, path, sizeof(path)), sizeof(path));
	close(fd);
	snprintf(path, sizeof(path), "%s/0000000000000009.spool", dir);
	assert_int_equal(symlink("/dev/zero", path), 0);
	s = opened(dir);
	push(s, 5);
	assert_int_equal(take(s), 5);
	spool_settle(s, SPOOL_STORED);
	assert_int_equal(stats_of(s).dropped_damaged, 2);
	spool_close(s);
}

static void two_agents_do_not_share_a_directory(void **state)
{
	struct spool_options o = options(dir);
	struct spool *first = opened(dir), *second = NULL;

	(void)state;
	assert_int_equal(spool_open(&second, &o), -EBUSY);
	assert_null(second);
	spool_close(first);
}

static void old_records_are_dropped_and_counted(void **state)
{
	struct spool_options o = options(dir);
	struct spool *s = opened(dir);

	(void)state;
	push(s, 0);
	spool_close(s);
	o.max_age_ns = 1;
	assert_int_equal(spool_open(&s, &o), 0);
	assert_int_equal(take(s), -1);
	assert_int_equal(stats_of(s).dropped_full, 2);
	spool_close(s);
}

static void what_can_never_fit_is_refused_and_counted(void **state)
{
	struct spool *s = opened(NULL);
	uint8_t big[4097] = {0};

	(void)state;
	assert_int_equal(spool_push(s, big, sizeof(big), 3), -E2BIG);
	assert_int_equal(stats_of(s).dropped_full, 3);
	spool_close(s);
}

#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, make_dir, remove_dir)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIR(records_leave_in_the_order_they_came),
		cmocka_unit_test(what_is_not_settled_is_taken_again),
		cmocka_unit_test(a_full_spool_drops_the_oldest_and_counts),
		cmocka_unit_test(a_record_pushed_out_while_sent_counts_once),
		IN_DIR(unsettled_records_survive_a_restart),
		IN_DIR(kill_9_loses_nothing_that_was_pushed),
		IN_DIR(a_damaged_head_costs_that_record),
		IN_DIR(a_damaged_body_costs_that_record),
		IN_DIR(a_torn_tail_is_skipped_and_written_after),
		IN_DIR(rubbish_in_the_directory_stops_nothing),
		IN_DIR(two_agents_do_not_share_a_directory),
		IN_DIR(old_records_are_dropped_and_counted),
		cmocka_unit_test(what_can_never_fit_is_refused_and_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
