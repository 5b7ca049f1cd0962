/* What must be undone survives, whatever happens to the file. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include <xxhash.h>

#include "agent/journal.h"

/* Linked with --wrap: a disk that is full. */
static bool fail_data;

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);

int __wrap_fdatasync(int fd)
{
	if (!fail_data)
		return __real_fdatasync(fd);
	errno = ENOSPC;
	return -1;
}

struct scene {
	char dir[64], file[96];
	struct journal j;
};

static int setup(void **state)
{
	struct scene *s = calloc(1, sizeof(*s));

	snprintf(s->dir, sizeof(s->dir), "/tmp/sage-journal-XXXXXX");
	if (!mkdtemp(s->dir))
		return -1;
	snprintf(s->file, sizeof(s->file), "%s/journal", s->dir);
	*state = s;
	return journal_open(&s->j, s->dir);
}

static int teardown(void **state)
{
	struct scene *s = *state;
	char path[96];

	journal_close(&s->j);
	unlink(s->file);
	snprintf(path, sizeof(path), "%s/lock", s->dir);
	unlink(path);
	rmdir(s->dir);
	free(s);
	return 0;
}

static struct journal_change change(uint64_t id)
{
	struct journal_change c = {
		.id = id, .cgroup_id = 77, .knob = KNOB_CPU_QUOTA, .old_value = 250, .value = 600};

	snprintf(c.old_text, sizeof(c.old_text), "25000 100000");
	snprintf(c.path, sizeof(c.path), "/a pod/app");
	snprintf(c.file, sizeof(c.file), "cpu.max");
	return c;
}

static void begin(struct scene *s, uint64_t id)
{
	struct journal_change c = change(id);

	assert_int_equal(journal_begin(&s->j, &c), 0);
}

static void reopen(struct scene *s)
{
	journal_close(&s->j);
	assert_int_equal(journal_open(&s->j, s->dir), 0);
}

static size_t read_file(const struct scene *s, char *out, size_t size)
{
	int fd = open(s->file, O_RDONLY);
	ssize_t n = read(fd, out, size - 1);

	close(fd);
	assert_true(n >= 0);
	out[n] = '\0';
	return (size_t)n;
}

static void write_file(const struct scene *s, const char *text, size_t size)
{
	int fd = open(s->file, O_WRONLY | O_TRUNC);

	assert_int_equal(write(fd, text, size), size);
	close(fd);
}

static void begun_change_is_pending_after_reopen(void **state)
{
	struct scene *s = *state;
	struct journal_change c = change(5);

	begin(s, 5);
	reopen(s);
	assert_int_equal(s->j.changes, 1);
	assert_int_equal(s->j.change[0].id, 5);
	assert_int_equal(s->j.change[0].cgroup_id, 77);
	assert_int_equal(s->j.change[0].knob, KNOB_CPU_QUOTA);
	assert_int_equal(s->j.change[0].old_value, 250);
	assert_int_equal(s->j.change[0].value, 600);
	assert_string_equal(s->j.change[0].device, "");
	assert_string_equal(s->j.change[0].old_text, c.old_text);
	assert_string_equal(s->j.change[0].path, c.path);
	assert_string_equal(s->j.change[0].file, c.file);
}

/* As written before the file was noted. */
static void a_change_without_its_file_is_read(void **state)
{
	static const char body[] = "BEGIN\t5\t77\t2\t250\t600\t-\t67108864\t/a pod/app";
	struct scene *s = *state;
	char line[128];
	int n = snprintf(line, sizeof(line), "%016llx\t%s\n",
		(unsigned long long)XXH64(body, strlen(body), 0), body);

	journal_close(&s->j);
	write_file(s, line, (size_t)n);
	assert_int_equal(journal_open(&s->j, s->dir), 0);
	assert_int_equal(s->j.changes, 1);
	assert_string_equal(s->j.change[0].path, "/a pod/app");
	assert_string_equal(s->j.change[0].file, "");
}

static void what_is_missing_above_the_directory_is_made(void **state)
{
	struct scene *s = *state;
	char above[80], dir[96], file[128];
	struct journal j;
	struct stat st;

	snprintf(above, sizeof(above), "%s/var", s->dir);
	snprintf(dir, sizeof(dir), "%s/agent", above);
	assert_int_equal(journal_open(&j, dir), 0);
	assert_int_equal(stat(dir, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700); /* the undo of changes is nobody else's */
	journal_close(&j);
	for (size_t i = 0; i < 2; i++) {
		snprintf(file, sizeof(file), "%s/%s", dir, i ? "lock" : "journal");
		unlink(file);
	}
	rmdir(dir);
	rmdir(above);
}

static void ended_change_is_not(void **state)
{
	struct scene *s = *state;

	begin(s, 5);
	begin(s, 6);
	assert_int_equal(journal_end(&s->j, 5), 0);
	reopen(s);
	assert_int_equal(s->j.changes, 1);
	assert_int_equal(s->j.change[0].id, 6);
}

static void epoch_is_kept(void **state)
{
	struct scene *s = *state;

	assert_int_equal(journal_epoch(&s->j, 1234567890123ULL), 0);
	reopen(s);
	assert_true(s->j.epoch == 1234567890123ULL);
	reopen(s);
	assert_true(s->j.epoch == 1234567890123ULL);
}

static void epoch_that_was_not_written_does_not_count(void **state)
{
	struct scene *s = *state;

	assert_int_equal(journal_epoch(&s->j, 7), 0);
	fail_data = true;
	assert_int_equal(journal_epoch(&s->j, 8), -ENOSPC);
	fail_data = false;
	assert_true(s->j.epoch == 7);
	assert_int_equal(journal_epoch(&s->j, 8), 0);
	reopen(s);
	assert_true(s->j.epoch == 8);
}

static void damaged_line_costs_only_itself(void **state)
{
	struct scene *s = *state;
	char text[4096], *at;
	size_t n;

	begin(s, 5);
	begin(s, 6);
	begin(s, 7);
	n = read_file(s, text, sizeof(text));
	at = strstr(text, "BEGIN\t6");
	assert_non_null(at);
	at[6] = '9';
	write_file(s, text, n);
	reopen(s);
	assert_int_equal(s->j.damaged, 1);
	assert_int_equal(s->j.changes, 2);
	assert_int_equal(s->j.change[1].id, 7);
}

static void torn_tail_and_garbage_are_no_refusal(void **state)
{
	struct scene *s = *state;
	char text[4096];
	size_t n;

	begin(s, 5);
	begin(s, 6);
	n = read_file(s, text, sizeof(text));
	for (size_t cut = 0; cut < n; cut++) {
		write_file(s, text, cut);
		reopen(s);
		assert_true(s->j.changes <= 2 && s->j.damaged <= 1);
	}
	memset(text, 0xff, sizeof(text));
	text[100] = '\0';
	text[2000] = '\n';
	write_file(s, text, sizeof(text));
	reopen(s);
	assert_int_equal(s->j.changes, 0);
	assert_true(s->j.damaged > 0);
	begin(s, 8);
	reopen(s);
	assert_int_equal(s->j.changes, 1);
}

static void file_stays_bounded(void **state)
{
	struct scene *s = *state;
	struct stat st;

	begin(s, 1);
	for (uint64_t id = 2; id < 4000; id++) {
		begin(s, id);
		assert_int_equal(journal_end(&s->j, id), 0);
	}
	assert_int_equal(stat(s->file, &st), 0);
	assert_true(st.st_size < 300000);
	reopen(s);
	assert_int_equal(s->j.changes, 1);
	assert_int_equal(s->j.change[0].id, 1);
}

static void full_journal_refuses(void **state)
{
	struct scene *s = *state;
	struct journal_change c = change(9999);

	for (uint64_t id = 1; id <= JOURNAL_MAX; id++)
		begin(s, id);
	assert_int_equal(journal_begin(&s->j, &c), -ENOSPC);
	reopen(s);
	assert_int_equal(s->j.changes, JOURNAL_MAX);
}

static void directory_has_one_owner(void **state)
{
	struct scene *s = *state;
	struct journal second;

	assert_int_equal(journal_open(&second, s->dir), -EBUSY);
	begin(s, 5);
	assert_int_equal(journal_open(&second, "/proc/nowhere/state"), -ENOENT);
}

#define SCENE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		SCENE(begun_change_is_pending_after_reopen),
		SCENE(a_change_without_its_file_is_read),
		SCENE(what_is_missing_above_the_directory_is_made),
		SCENE(ended_change_is_not),
		SCENE(epoch_is_kept),
		SCENE(epoch_that_was_not_written_does_not_count),
		SCENE(damaged_line_costs_only_itself),
		SCENE(torn_tail_and_garbage_are_no_refusal),
		SCENE(file_stays_bounded),
		SCENE(full_journal_refuses),
		SCENE(directory_has_one_owner),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
