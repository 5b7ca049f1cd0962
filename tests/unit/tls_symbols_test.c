/* Functions of TLS libraries are found in real files; what is no such file is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/tls_symbols.h"

static int library; /* the machine's libssl.so.3, or -1 */

static void openssl_has_its_four_functions(void **state)
{
	struct tls_symbols s;
	char path[32];

	(void)state;
	if (library < 0)
		skip();
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", library);
	assert_int_equal(tls_symbols_find(path, &s), 4);
	for (int f = TLS_FN_WRITE; f <= TLS_FN_READ_EX; f++)
		assert_true(s.offset[f] > 0);
	assert_int_equal(s.offset[TLS_FN_GO_WRITE], 0);
}

static void a_program_without_tls_has_none(void **state)
{
	struct tls_symbols s;

	(void)state;
	assert_int_equal(tls_symbols_find("/proc/self/exe", &s), 0);
}

static void what_is_no_program_is_refused(void **state)
{
	struct tls_symbols s;

	(void)state;
	assert_int_equal(tls_symbols_find("/etc/passwd", &s), -ENOEXEC);
	assert_int_equal(tls_symbols_find("/no/such/file", &s), -ENOENT);
}

/* Cut anywhere, and with every byte of its headers damaged in turn: an answer, no crash. */
static void a_damaged_library_is_answered(void **state)
{
	char path[] = "/tmp/sage-tls-symbols-XXXXXX", *whole;
	struct tls_symbols s;
	off_t size;
	int fd;

	(void)state;
	if (library < 0)
		skip();
	size = lseek(library, 0, SEEK_END);
	whole = malloc((size_t)size);
	fd = mkstemp(path);
	assert_non_null(whole);
	assert_true(fd >= 0);
	assert_int_equal(pread(library, whole, (size_t)size, 0), size);
	for (off_t cut = size; cut > 0; cut = cut * 2 / 3) {
		assert_int_equal(pwrite(fd, whole, (size_t)cut, 0), cut);
		assert_int_equal(ftruncate(fd, cut), 0);
		assert_true(tls_symbols_find(path, &s) <= 4);
	}
	assert_int_equal(pwrite(fd, whole, (size_t)size, 0), size);
	for (off_t at = 0; at < 64; at++) {
		char bad = (char)~whole[at];

		assert_int_equal(pwrite(fd, &bad, 1, at), 1);
		assert_true(tls_symbols_find(path, &s) <= 4);
		assert_int_equal(pwrite(fd, whole + at, 1, at), 1);
	}
	unlink(path);
	close(fd);
	free(whole);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(openssl_has_its_four_functions),
		cmocka_unit_test(a_program_without_tls_has_none),
		cmocka_unit_test(what_is_no_program_is_refused),
		cmocka_unit_test(a_damaged_library_is_answered),
	};
	glob_t g;
	int failed;

	library = -1;
	if (glob("/usr/lib/*/libssl.so.3", 0, NULL, &g) == 0)
		library = open(g.gl_pathv[0], O_RDONLY | O_CLOEXEC);
	globfree(&g);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	if (library >= 0)
		close(library);
	return failed;
}
