#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <jansson.h>

#include "analyzer/cli.h"
#include "analyzer/cli_text.h"
#include "analyzer/diagnose.h"

#define DATA SAGE_TEST_DATA
#define ARGUMENTS 12

static char output[1 << 18], complaint[1 << 14];
static bool disk_full; /* for what is printed */

static void slurp(int fd, char *to, size_t size)
{
	ssize_t got = pread(fd, to, size - 1, 0);

	assert_true(got >= 0);
	to[got] = '\0';
	close(fd);
}

/* Run a subcommand as a process of its own; what it prints lands in output and complaint. */
static int run(int (*command)(int, char **), ...)
{
	char name[] = "sage", *argv[ARGUMENTS + 2] = {name};
	int argc = 1, status, out = open("/tmp", O_TMPFILE | O_RDWR, 0600);
	int err = open("/tmp", O_TMPFILE | O_RDWR, 0600);
	va_list args;
	pid_t child;

	assert_true(out >= 0 && err >= 0);
	va_start(args, command);
	while (argc <= ARGUMENTS && (argv[argc] = va_arg(args, char *)))
		argc++;
	va_end(args);
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		dup2(disk_full ? open("/dev/full", O_WRONLY) : out, STDOUT_FILENO);
		dup2(err, STDERR_FILENO);
		exit(command(argc, argv));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	slurp(out, output, sizeof(output));
	slurp(err, complaint, sizeof(complaint));
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static json_t *parsed(void)
{
	json_error_t error;
	json_t *value = json_loads(output, 0, &error);

	if (!value)
		fail_msg("not JSON: %s: %s", error.text, output);
	return value;
}

static const char *text_at(json_t *object, const char *list, const char *key)
{
	json_t *first = json_array_get(json_object_get(object, list), 0);

	return json_string_value(json_object_get(first, key));
}

static void an_interval_gives_one_object(void **state)
{
	static const char *const keys[] = {"verdict", "method", "why", "from", "to", "slo",
		"seconds", "training_s", "confidence", "ranking", "culprits", "evidence",
		"ruled_out", "counterfactual"};
	json_t *answer;

	(void)state;
	assert_int_equal(run(cli_diagnose, DATA "/cart-throttled", "--from", "1700000080", "--to",
				 "1700000105", "--method", "robust", "--json", NULL),
		0);
	answer = parsed();
	assert_true(json_is_object(answer));
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		assert_non_null(json_object_get(answer, keys[i]));
	assert_string_equal(json_string_value(json_object_get(answer, "verdict")), "diagnosed");
	assert_string_equal(text_at(answer, "culprits", "service"), "cart");
	assert_string_equal(text_at(answer, "ranking", "service"), "cart");
	assert_string_equal(text_at(answer, "ranking", "resource"), "cpu");
	json_decref(answer);
}

static void without_an_interval_violations_are_found(void **state)
{
	json_t *answer;

	(void)state;
	assert_int_equal(
		run(cli_diagnose, DATA "/cart-throttled", "--json", "--method=robust", NULL), 0);
	answer = parsed();
	assert_int_equal(json_array_size(answer), 1);
	json_t *one = json_array_get(answer, 0);

	assert_true(json_number_value(json_object_get(one, "from")) == 1700000080);
	assert_true(json_number_value(json_object_get(one, "to")) == 1700000105);
	assert_string_equal(text_at(one, "culprits", "service"), "cart");
	json_decref(answer);
}

static void the_default_method_agrees(void **state)
{
	json_t *answer;

	(void)state;
	assert_int_equal(run(cli_diagnose, DATA "/cart-throttled", "--json", "--from", "1700000080",
				 "--to", "1700000105", NULL),
		0);
	answer = parsed();
	assert_string_equal(text_at(answer, "ranking", "service"), "cart");
	json_decref(answer);
}

static void the_text_tells_cause_and_evidence(void **state)
{
	(void)state;
	assert_int_equal(run(cli_diagnose, DATA "/cart-throttled", "--method", "robust", NULL), 0);
	assert_non_null(strstr(output, "cause      cart, cpu"));
	assert_non_null(strstr(output, "target 20 ms"));
	assert_non_null(strstr(output, "cpu_throttled_ratio of cart"));
	assert_non_null(strstr(output, "sigma, since "));
	assert_non_null(strstr(output, "had it been normal there"));
	assert_non_null(strstr(output, "sure to meet the target of 20 ms"));
	assert_non_null(strstr(output, "with it alone normal"));
}

static void a_target_may_be_given(void **state)
{
	(void)state;
	assert_int_equal(run(cli_diagnose, DATA "/cart-throttled", "--slo", "user->front",
				 "client_p99_us", "1e6", NULL),
		0);
	assert_string_equal(output, "No target was missed.\n");
	assert_int_equal(
		run(cli_diagnose, DATA "/cart-throttled", "--slo", "nobody", "m", "1", NULL), 2);
	assert_non_null(strstr(complaint, "no entity 'nobody'"));
	assert_int_equal(
		run(cli_diagnose, DATA "/cart-throttled", "--slo", "user->front", NULL), 2);
}

static void a_target_never_measured_is_not_called_met(void **state)
{
	(void)state;
	assert_int_equal(run(cli_diagnose, DATA "/cart-throttled", "--slo", "user->front",
				 "client_p98_us", "5", NULL),
		2);
	assert_non_null(strstr(complaint, "no client_p98_us of user->front"));
	assert_string_equal(output, "");
}

static void an_end_alone_counts_from_the_first_window(void **state)
{
	json_t *answer;

	(void)state;
	assert_int_equal(run(cli_diagnose, DATA "/cart-throttled", "--to", "1700000105", "--method",
				 "robust", "--json", NULL),
		0);
	answer = parsed();
	assert_true(json_number_value(json_object_get(answer, "from")) == 1700000000);
	json_decref(answer);
}

static void too_little_history_is_unknown_with_a_reason(void **state)
{
	json_t *answer;

	(void)state;
	assert_int_equal(run(cli_diagnose, DATA "/three-windows", "--from", "1700000015", "--to",
				 "1700000025", "--json", NULL),
		0);
	answer = parsed();
	assert_string_equal(json_string_value(json_object_get(answer, "verdict")), "unknown");
	assert_non_null(strstr(json_string_value(json_object_get(answer, "why")), "3 normal"));
	json_decref(answer);
}

static void a_bad_recording_is_one_line_and_status_2(void **state)
{
	(void)state;
	assert_int_equal(run(cli_diagnose, DATA "/bad-value", "--json", NULL), 2);
	assert_non_null(strstr(complaint, "metrics.csv:3: value 'a lot' is not a number\n"));
	assert_ptr_equal(strchr(complaint, '\n'), complaint + strlen(complaint) - 1);
	assert_string_equal(output, "");
	assert_int_equal(run(cli_diagnose, "/nowhere", NULL), 2);
	assert_int_equal(run(cli_replay, "/nowhere", NULL), 2);
	assert_int_equal(run(cli_score, "/nowhere", NULL), 2);
	assert_int_equal(run(cli_diagnose, NULL), 2);
	assert_int_equal(run(cli_diagnose, DATA "/cart-throttled", "--method", "best", NULL), 2);
	assert_int_equal(
		run(cli_diagnose, DATA "/cart-throttled", "--from", "5", "--to", "5", NULL), 2);
}

static void truth_is_not_read_to_diagnose(void **state)
{
	char command[512];
	char dir[] = "/tmp/sage-cli-test-XXXXXX";

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(command, sizeof(command),
		"cp %s/cart-throttled/*.csv %s && echo 'from,to,entity,resource\n"
		"1700000080,1700000105,ads,disk' > %s/truth.csv",
		DATA, dir, dir);
	assert_int_equal(system(command), 0);
	assert_int_equal(run(cli_diagnose, dir, "--method", "robust", NULL), 0);
	assert_non_null(strstr(output, "cause      cart, cpu"));
	snprintf(command, sizeof(command), "rm -r %s", dir);
	assert_int_equal(system(command), 0);
}

static void scores_count_incidents_and_healthy_stretches(void **state)
{
	json_t *answer, *totals;

	(void)state;
	assert_int_equal(
		run(cli_score, DATA "/cart-throttled", "--method", "robust", "--json", NULL), 0);
	answer = parsed();
	totals = json_array_get(json_object_get(answer, "totals"), 0);
	assert_int_equal(json_integer_value(json_object_get(totals, "cases")), 1);
	assert_int_equal(json_integer_value(json_object_get(totals, "healthy_cases")), 1);
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(totals, "exact"), "count")), 1);
	assert_int_equal(json_integer_value(json_object_get(
				 json_object_get(totals, "false_positives"), "count")),
		0);
	json_decref(answer);
}

/*
 * Faults of a second each, whose effect lasts four windows longer: of five stretches spread over
 * what is quiet none is taken from there.
 */
static void a_target_missed_since_a_fault_is_not_healthy(void **state)
{
	char dir[] = "/tmp/sage-cli-test-XXXXXX", command[1024];
	json_t *answer, *totals;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(command, sizeof(command),
		"cp %s/cart-throttled/*.csv %s && (echo from,to,entity,resource; for s in 0 1 2 3 "
		"4; do echo 170000008$s,170000008$((s + 1)),cart,cpu; done) > %s/truth.csv",
		DATA, dir, dir);
	assert_int_equal(system(command), 0);
	assert_int_equal(run(cli_score, dir, "--method", "robust", "--json", NULL), 0);
	answer = parsed();
	totals = json_array_get(json_object_get(answer, "totals"), 0);
	assert_int_equal(json_integer_value(json_object_get(totals, "healthy_cases")), 5);
	assert_int_equal(json_integer_value(json_object_get(
				 json_object_get(totals, "false_positives"), "count")),
		0);
	json_decref(answer);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	assert_int_equal(system(command), 0);
}

static void all_methods_stand_side_by_side(void **state)
{
	json_t *answer, *totals;

	(void)state;
	assert_int_equal(
		run(cli_score, DATA "/cart-throttled", "--method", "all", "--json", NULL), 0);
	answer = parsed();
	totals = json_object_get(answer, "totals");
	assert_int_equal(json_array_size(totals), METHODS);
	assert_int_equal(json_array_size(json_object_get(answer, "cases")), METHODS);
	for (int m = 0; m < METHODS; m++) {
		json_t *one = json_array_get(totals, (size_t)m);

		assert_string_equal(json_string_value(json_object_get(one, "method")),
			method_name((enum method)m));
		assert_int_equal(json_integer_value(json_object_get(one, "cases")), 1);
	}
	json_decref(answer);
	assert_int_equal(
		run(cli_score, DATA "/cart-throttled", "-m", "robust", "-m", "nsigma", NULL), 0);
	assert_non_null(strstr(output, "\nrobust "));
	assert_non_null(strstr(output, "\nnsigma "));
	assert_null(strstr(output, "cart, cpu")); /* lines per incident are for one method */
	assert_int_equal(run(cli_diagnose, DATA "/cart-throttled", "--method", "all", NULL), 2);
	assert_non_null(strstr(complaint, "'all' is none of guarded, faithful"));
}

static void replay_tells_what_the_past_alone_allows(void **state)
{
	const char *opened, *answered, *closed;

	(void)state;
	assert_int_equal(run(cli_replay, DATA "/cart-throttled", "--method", "robust", NULL), 0);
	opened = strstr(output, "violation");
	answered = strstr(output, "diagnosed  cart, cpu");
	closed = strstr(output, "recovered");
	assert_true(opened && answered && closed && opened < answered && answered < closed);
}

static void an_answer_that_cannot_be_printed_is_a_failure(void **state)
{
	int (*const command[])(int, char **) = {cli_diagnose, cli_replay, cli_score};

	(void)state;
	disk_full = true;
	for (size_t i = 0; i < sizeof(command) / sizeof(*command); i++) {
		int status = run(
			command[i], DATA "/cart-throttled", "--method", "robust", "--json", NULL);

		assert_int_equal(status, 1);
		assert_non_null(strstr(complaint, "cannot be printed: No space left on device\n"));
	}
	disk_full = false;
}

static void values_are_shown_in_their_units(void **state)
{
	static const struct {
		const char *metric, *text;
		double value;
	} shown[] = {{"client_p99_us", "380 ms", 380000}, {"self_p50_us", "41 us", 41},
		{"server_p99_us", "2.5 s", 2.5e6}, {"cpu_throttled_ratio", "61 %", 0.61},
		{"blk_read_bytes_per_s", "12 MB/s", 1.2e7}, {"mem_bytes", "512 B", 512},
		{"requests_per_s", "120 /s", 120}, {"cpu_cores", "0.5", 0.5}};

	(void)state;
	for (size_t i = 0; i < sizeof(shown) / sizeof(*shown); i++) {
		char text[32];

		text_value(text, sizeof(text), shown[i].metric, shown[i].value);
		assert_string_equal(text, shown[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_interval_gives_one_object),
		cmocka_unit_test(without_an_interval_violations_are_found),
		cmocka_unit_test(the_default_method_agrees),
		cmocka_unit_test(the_text_tells_cause_and_evidence),
		cmocka_unit_test(a_target_may_be_given),
		cmocka_unit_test(a_target_never_measured_is_not_called_met),
		cmocka_unit_test(an_end_alone_counts_from_the_first_window),
		cmocka_unit_test(too_little_history_is_unknown_with_a_reason),
		cmocka_unit_test(a_bad_recording_is_one_line_and_status_2),
		cmocka_unit_test(truth_is_not_read_to_diagnose),
		cmocka_unit_test(scores_count_incidents_and_healthy_stretches),
		cmocka_unit_test(a_target_missed_since_a_fault_is_not_healthy),
		cmocka_unit_test(all_methods_stand_side_by_side),
		cmocka_unit_test(replay_tells_what_the_past_alone_allows),
		cmocka_unit_test(an_answer_that_cannot_be_printed_is_a_failure),
		cmocka_unit_test(values_are_shown_in_their_units),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
