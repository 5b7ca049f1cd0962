#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "analyzer/slo.h"

static char path[] = "/tmp/sage-slo-XXXXXX";

static long read_text(const char *text, struct slo_text **out, char *why, size_t why_size)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	why[0] = 0;
	return slo_read(path, out, why, why_size);
}

static void the_short_form_is_read(void **state)
{
	struct slo_text *s = NULL;
	char why[512];
	long n = read_text("- entity: user->front\n  metric: client_p99_us\n  target_ms: 50\n"
			   "- entity: cart\n  metric: error_ratio\n  target: 0.01\n",
		&s, why, sizeof(why));

	(void)state;
	if (n != 2)
		fail_msg("%s", why);
	assert_string_equal(s[0].entity, "user->front");
	assert_true(s[0].target == 50000);
	assert_string_equal(s[1].metric, "error_ratio");
	assert_true(s[1].target == 0.01);
	free(s);
}

static void refused(const char *text, const char *says)
{
	struct slo_text *s = NULL;
	char why[512];
	long n = read_text(text, &s, why, sizeof(why));

	assert_int_equal(n, -EBADMSG);
	assert_null(s);
	if (!strstr(why, path) || !strstr(why, says))
		fail_msg("\"%s\" does not say \"%s\"", why, says);
}

static void a_broken_file_is_refused_with_its_place(void **state)
{
	(void)state;
	refused("- entity: a->b\n  metric: client_p99_us\n  target_ms: fifty\n", "line: 3");
	refused("- entity: a->b\n  metrik: client_p99_us\n", "metrik");
	refused("- entity: a->b\n  metric: client_p99_us\n", "entry 1");
	refused("- entity: a->b\n  metric: m\n  target: 1\n  target_ms: 1\n", "entry 1");
	refused("- entity: a->b\n  metric: m\n  target: -1\n", "above zero");
	refused("- entity: '->b'\n  metric: m\n  target: 1\n", "entity");
	refused("- entity: a->b->c\n  metric: m\n  target: 1\n", "entity");
	refused("- entity: \"a\\x07b\"\n  metric: m\n  target: 1\n", "entity");
	refused("- entity: 'host:'\n  metric: m\n  target: 1\n", "entity");
	refused("- entity: 'host:n->b'\n  metric: m\n  target: 1\n", "entity");
	refused("- entity: 'a->host:n'\n  metric: m\n  target: 1\n", "entity");
	refused("nonsense", "");
}

static void a_missing_file_is_named(void **state)
{
	struct slo_text *s = NULL;
	char why[512];

	(void)state;
	assert_int_equal(slo_read("/nowhere/slo.yaml", &s, why, sizeof(why)), -ENOENT);
	assert_non_null(strstr(why, "/nowhere/slo.yaml"));
}

static void proposals_are_readable_and_above_normal(void **state)
{
	struct recording r;
	uint32_t edge, column;

	(void)state;
	recording_init(&r);
	r.series.window_s = 5;
	edge = graph_edge(&r.graph, "user", "front");
	column = series_column(&r.series, edge, "client_p99_us");
	for (unsigned i = 0; i < 40; i++) {
		long row = series_row(&r.series, i * 5.0);

		series_set(&r.series, (size_t)row, column, 10000 + (float)(i % 7) * 100);
	}
	assert_int_equal(slo_propose(&r), 1);
	assert_true(r.slo[0].proposed);
	assert_int_equal(r.slo[0].entity, edge);
	assert_true(r.slo[0].target == 20000); /* 1.5 x 10,300 = 15,450, rounded up */
	assert_int_equal(slo_propose(&r), 0);
	recording_clear(&r);
}

static void few_values_propose_nothing(void **state)
{
	struct recording r;
	uint32_t column;

	(void)state;
	recording_init(&r);
	column = series_column(&r.series, graph_edge(&r.graph, "user", "front"), "client_p99_us");
	for (unsigned i = 0; i < 7; i++)
		series_set(&r.series, (size_t)series_row(&r.series, i), column, 1);
	assert_int_equal(slo_propose(&r), 0);
	recording_clear(&r);
}

static void rounding_goes_up_to_readable_numbers(void **state)
{
	(void)state;
	assert_true(fabs(slo_round_up(1.0) - 1) < 1e-9);
	assert_true(fabs(slo_round_up(1.01) - 1.2) < 1e-9);
	assert_true(fabs(slo_round_up(34567) - 40000) < 1e-6);
	assert_true(fabs(slo_round_up(0.0081) - 0.01) < 1e-12);
}

static void setting_again_replaces(void **state)
{
	struct slo_text s = {.entity = "user->front", .metric = "client_p99_us", .target = 10};
	struct recording r;

	(void)state;
	recording_init(&r);
	assert_int_equal(slo_set(&r, &s), 0);
	s.target = 20;
	assert_int_equal(slo_set(&r, &s), 0);
	assert_int_equal(r.slos, 1);
	assert_true(r.slo[0].target == 20);
	recording_clear(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_short_form_is_read),
		cmocka_unit_test(a_broken_file_is_refused_with_its_place),
		cmocka_unit_test(a_missing_file_is_named),
		cmocka_unit_test(proposals_are_readable_and_above_normal),
		cmocka_unit_test(few_values_propose_nothing),
		cmocka_unit_test(rounding_goes_up_to_readable_numbers),
		cmocka_unit_test(setting_again_replaces),
	};
	int fd = mkstemp(path), failed;

	if (fd < 0)
		return 1;
	close(fd);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	return failed;
}
