/* The table of what is supported claims nothing but what the tests show, and its page is current.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/capture.h"
#include "agent/support.h"
#include "agent/support_table.h"
#include "common/wire.h"

/* A file of the source tree; released by the caller. */
static char *source(const char *name)
{
	char path[512], *text = NULL;
	size_t size = 0, n;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", SAGE_SOURCE, name);
	f = fopen(path, "re");
	if (!f)
		fail_msg("%s: cannot be read", path);
	do {
		text = realloc(text, size + 65536);
		assert_non_null(text);
		n = fread(text + size, 1, 65535, f);
		size += n;
		text[size] = 0;
	} while (n);
	fclose(f);
	return text;
}

static void the_page_is_what_the_command_prints(void **state)
{
	char *page = source("docs/support.md"), *printed = NULL;
	size_t size;
	FILE *f = open_memstream(&printed, &size);

	(void)state;
	assert_non_null(f);
	support_table_print(f);
	fclose(f);
	if (strcmp(page, printed) != 0)
		fail_msg("docs/support.md is old: sage-agent support --table > docs/support.md");
	for (char *line = strtok(printed, "\n"); line; line = strtok(NULL, "\n"))
		assert_in_range(strlen(line), 1, 80);
	free(page);
	free(printed);
}

static void each_feature_names_a_test_that_runs_on_its_kernels(void **state)
{
	char *here = source("tests/bpf/CMakeLists.txt"), *machines = source("tests/kernel/tests");

	(void)state;
	for (size_t i = 0; i < support_feature_count; i++) {
		const struct support_feature *f = &support_features[i];
		bool in_machines = f->kernels & ((1U << (SUPPORT_KERNELS - 1)) - 1);
		char text[128];

		snprintf(text, sizeof(text), "sage_test(%s bpf ", f->test);
		if (!strstr(here, text))
			fail_msg("%s: no test %s", f->name, f->test);
		snprintf(text, sizeof(text), "%s ", f->test);
		if (in_machines != (strstr(machines, text) != NULL))
			fail_msg("%s: %s is %sin tests/kernel/tests", f->name, f->test,
				in_machines ? "not " : "");
		assert_true(f->kernels != 0);
	}
	free(here);
	free(machines);
}

static void the_kernels_are_those_of_the_tests(void **state)
{
	char *machines = source("tests/kernel/CMakeLists.txt"), wanted[64] = "foreach(kernel";

	(void)state;
	for (size_t k = 0; k + 1 < SUPPORT_KERNELS; k++)
		snprintf(wanted + strlen(wanted), sizeof(wanted) - strlen(wanted), " %s",
			support_kernels[k].release);
	assert_non_null(strstr(machines, wanted));
	free(machines);
	assert_true(support_offers("6.1", "probe"));
	assert_true(support_offers("6.1.140-cloud-amd64", "syscall"));
	assert_false(support_offers("6.1.140-cloud-amd64", "length"));
	assert_true(support_offers("6.12.3", "length"));
	assert_false(support_offers("6.11.3", "length"));
	assert_false(support_offers("6.12.3", "telepathy"));
}

static void every_strategy_has_a_column_and_every_protocol_a_row(void **state)
{
	(void)state;
	for (size_t rank = 0; rank < SUPPORT_STRATEGIES; rank++)
		assert_string_equal(capture_strategy_at(rank), support_strategies[rank].name);
	assert_null(capture_strategy_at(SUPPORT_STRATEGIES));
	for (unsigned p = 0; p < WIRE_PROTOCOLS; p++) {
		size_t i = 0;

		while (i < support_feature_count &&
			strcmp(support_features[i].name, wire_protocol_name(p)) != 0)
			i++;
		if (i == support_feature_count)
			fail_msg("%s: not in agent/support.c", wire_protocol_name(p));
	}
}

static void json_has_what_the_page_has(void **state)
{
	json_t *table = support_table_json(), *features, *f, *under;
	size_t i;

	(void)state;
	assert_non_null(table);
	features = json_object_get(table, "features");
	assert_int_equal(json_array_size(features), support_feature_count);
	assert_int_equal(json_array_size(json_object_get(table, "strategies")), SUPPORT_STRATEGIES);
	json_array_foreach(features, i, f)
	{
		const char *name = json_string_value(json_object_get(f, "name"));

		assert_string_equal(name, support_features[i].name);
		under = json_object_get(json_object_get(f, "under"), "syscall");
		if (!strcmp(name, "io_uring"))
			assert_true(json_is_false(json_object_get(under, "seen")));
		if (!strcmp(name, "thrift"))
			assert_int_equal(json_array_size(json_object_get(under, "but")), 1);
		under = json_object_get(json_object_get(f, "under"), "probe");
		if (!strcmp(name, "mysql")) /* no test of it runs where that is */
			assert_true(json_is_false(json_object_get(under, "tested")));
	}
	json_decref(table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_page_is_what_the_command_prints),
		cmocka_unit_test(each_feature_names_a_test_that_runs_on_its_kernels),
		cmocka_unit_test(the_kernels_are_those_of_the_tests),
		cmocka_unit_test(every_strategy_has_a_column_and_every_protocol_a_row),
		cmocka_unit_test(json_has_what_the_page_has),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
