#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <cmocka.h>

#include "analyzer/recording.h"
#include "planted.h"

static char dir[64];
static char why[512];

#define GRAPH "caller,callee,protocol\nuser,front,http\nfront,cart,grpc\n"
#define METRICS                                                                                    \
	"time,entity,metric,value\n"                                                               \
	"20,front,cpu_cores,0.5\n"                                                                 \
	"10,front,cpu_cores,0.25\n"                                                                \
	"10,user->front,client_p99_us,1e4\n"                                                       \
	"40.0,host:n1,cpu_util_ratio,0.75\n"                                                       \
	"30,cart,vendor_thing,-3\n"
#define SLO "entity,metric,target\nuser->front,client_p99_us,20000\n"

static void put(const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static void drop(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	unlink(path);
}

static const char *const names[] = {
	"graph.csv", "metrics.csv", "metrics.csv.gz", "slo.csv", "placement.csv", "truth.csv"};

static int set_up(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/sage-recording-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	put("graph.csv", GRAPH);
	put("metrics.csv", METRICS);
	put("slo.csv", SLO);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		drop(names[i]);
	return rmdir(dir);
}

static void expect_rejected(const char *file, const char *text, const char *reason)
{
	struct recording r;

	put(file, text);
	why[0] = '\0';
	assert_true(recording_read(&r, dir, why, sizeof(why)) < 0);
	if (!strstr(why, reason))
		fail_msg("'%s' does not say '%s'", why, reason);
}

static void lines_may_come_in_any_order(void **state)
{
	struct recording r;

	(void)state;
	assert_int_equal(recording_read(&r, dir, why, sizeof(why)), 0);
	assert_int_equal(r.series.windows, 4);
	assert_true(r.series.start_s[0] == 10 && r.series.start_s[3] == 40);
	assert_true(r.series.window_s == 10);
	const float *cores = series_values(&r.series, graph_find(&r.graph, "front"), "cpu_cores");

	assert_true(cores[0] == 0.25f && cores[1] == 0.5f && isnan(cores[2]));
	const float *opaque =
		series_values(&r.series, graph_find(&r.graph, "cart"), "vendor_thing");

	assert_true(opaque[2] == -3);
	assert_int_equal(r.slos, 1);
	assert_int_equal(r.slo->entity, graph_find(&r.graph, "user->front"));
	assert_string_equal(r.graph.entity[graph_find(&r.graph, "front->cart")].protocol, "grpc");
	recording_clear(&r);
}

static void optional_files_are_read(void **state)
{
	struct recording r;

	(void)state;
	put("placement.csv", "service,host\ncart,n1\nfront,host:n1\n");
	put("truth.csv",
		"from,to,entity,resource\n30,40,cart,\n10,20,front,cpu\n30,40,front,disk\n");
	assert_int_equal(recording_read(&r, dir, why, sizeof(why)), 0);
	uint32_t host = graph_find(&r.graph, "host:n1");

	assert_int_equal(r.graph.entity[graph_find(&r.graph, "cart")].host, host);
	assert_int_equal(r.graph.entity[graph_find(&r.graph, "front")].host, host);
	assert_int_equal(r.truths, 3);
	assert_string_equal(r.truth[0].service, "front");
	assert_int_equal(r.truth[0].resource, RESOURCE_CPU);
	assert_int_equal(r.truth[1].resource, RESOURCE_NONE);
	assert_true(r.truth[1].from_s == 30 && r.truth[2].from_s == 30);
	recording_clear(&r);
}

static void columns_may_stand_in_any_order_beside_unknown_ones(void **state)
{
	struct recording r;

	(void)state;
	put("metrics.csv", "\xef\xbb\xbfvalue,unit,metric,time,\"entity\"\r\n"
			   "\r\n1.5,cores,cpu_cores,5,\"fr\"\"ont, two\"\r\n2,,cpu_cores,6,front");
	assert_int_equal(recording_read(&r, dir, why, sizeof(why)), 0);
	assert_int_equal(r.series.windows, 2);
	assert_int_not_equal(graph_find(&r.graph, "fr\"ont, two"), GRAPH_NONE);
	recording_clear(&r);
}

static void malformed_lines_name_file_line_and_reason(void **state)
{
	static const struct {
		const char *line, *reason;
	} bad[] = {
		{"10,front,cpu_cores", "metrics.csv:2: 3 fields where the header has 4"},
		{"10,front,cpu_cores,1,2", "metrics.csv:2: 5 fields"},
		{"ten,front,cpu_cores,1", "metrics.csv:2: time 'ten' is not a number"},
		{"1661140260000,front,cpu_cores,1", "not in Unix seconds"},
		{"-5,front,cpu_cores,1", "not in Unix seconds"},
		{"10,front,cpu_cores,", "value '' is not a number"},
		{"10,front,cpu_cores,nan", "value 'nan' is not a number"},
		{"10,front,cpu_cores,inf", "value 'inf' is not a number"},
		{"10,front,cpu_cores,0x1p3", "is not a number"},
		{"10,front,cpu_cores, 1", "is not a number"},
		{"10,front,cpu_cores,1e39", "too large"},
		{"10,,cpu_cores,1", "entity is empty"},
		{"10,front->,cpu_cores,1", "entity 'front->' is not"},
		{"10,host:,cpu_cores,1", "entity 'host:' is not"},
		{"10,front,,1", "metric is empty"},
		{"10,\"front,cpu_cores,1", "unbalanced quotes"},
		{"10,\"front\"x,cpu_cores,1", "unbalanced quotes"},
		{"10,fr\x01nt,cpu_cores,1", "control characters"},
		{"10,fr\xffnt,cpu_cores,1", "not UTF-8"},
		{"10,front,m,1\n10,front,m,2", "metrics.csv:3: a second, different value of m"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		char text[256];

		snprintf(text, sizeof(text), "time,entity,metric,value\n%s\n", bad[i].line);
		expect_rejected("metrics.csv", text, bad[i].reason);
	}
}

static void malformed_headers_and_files_are_refused(void **state)
{
	(void)state;
	expect_rejected("metrics.csv", "", "metrics.csv:1: empty file");
	expect_rejected("metrics.csv", "time,entity,value\n", "column 'metric' missing");
	expect_rejected("metrics.csv", "time,time,entity,metric,value\n", "'time' twice");
	put("metrics.csv", METRICS);
	expect_rejected("slo.csv", "entity,metric,target\nnobody,client_p99_us,1\n",
		"slo.csv:2: entity 'nobody'");
	expect_rejected("slo.csv", "entity,metric,target\nfront,cpu_cores,-1\n", "negative");
	put("slo.csv", SLO);
	expect_rejected("graph.csv", "caller,callee\na,\n", "graph.csv:2: callee is empty");
	expect_rejected("graph.csv", "caller,callee\na->b,c\n", "not a call between services");
	put("graph.csv", GRAPH);
	expect_rejected("truth.csv", "from,to,entity,resource\n5,5,front,cpu\n", "ends before");
	expect_rejected("truth.csv", "from,to,entity,resource\n5,6,front,gpu\n",
		"'gpu' is not a resource class");
}

static void missing_files_are_named(void **state)
{
	struct recording r;

	(void)state;
	drop("metrics.csv");
	assert_true(recording_read(&r, dir, why, sizeof(why)) < 0);
	assert_non_null(strstr(why, "metrics.csv or metrics.csv.gz"));
	drop("graph.csv");
	assert_true(recording_read(&r, dir, why, sizeof(why)) < 0);
	assert_non_null(strstr(why, "no graph.csv"));
	assert_true(recording_read(&r, "/nowhere", why, sizeof(why)) < 0);
	put("graph.csv", GRAPH);
	put("metrics.csv", METRICS);
}

/* Write `size` bytes of the packed metrics; less than all of them is a damaged file. */
static size_t put_packed(size_t size)
{
	static unsigned char packed[4096];
	char path[128];
	FILE *f;
	size_t length;

	snprintf(path, sizeof(path), "%s/metrics.csv.gz", dir);
	gzFile gz = gzopen(path, "wb");

	assert_non_null(gz);
	assert_true(gzputs(gz, METRICS) > 0);
	assert_int_equal(gzclose(gz), Z_OK);
	f = fopen(path, "r");
	assert_non_null(f);
	length = fread(packed, 1, sizeof(packed), f);
	fclose(f);
	f = fopen(path, "w");
	assert_non_null(f);
	fwrite(packed, 1, size && size < length ? size : length, f);
	fclose(f);
	return length;
}

static void packed_metrics_are_read_and_cut_ones_refused(void **state)
{
	struct recording r;
	size_t length;

	(void)state;
	length = put_packed(0);
	assert_true(recording_read(&r, dir, why, sizeof(why)) < 0);
	assert_non_null(strstr(why, "both"));
	drop("metrics.csv");
	assert_int_equal(recording_read(&r, dir, why, sizeof(why)), 0);
	assert_int_equal(r.series.windows, 4);
	recording_clear(&r);
	put_packed(length - 12);
	assert_true(recording_read(&r, dir, why, sizeof(why)) < 0);
	assert_non_null(strstr(why, "metrics.csv.gz"));
	drop("metrics.csv.gz");
	put("metrics.csv", METRICS);
}

static void gaps_do_not_change_the_window(void **state)
{
	struct recording r;

	(void)state;
	put("metrics.csv", "time,entity,metric,value\n100.5,a,m,1\n101,a,m,1\n101.5,a,m,1\n"
			   "900,a,m,1\n900.5,a,m,1\n1800,a,m,1\n");
	assert_int_equal(recording_read(&r, dir, why, sizeof(why)), 0);
	assert_true(r.series.window_s == 0.5);
	assert_int_equal(r.series.windows, 6);
	recording_clear(&r);
}

static void what_is_written_is_read_back(void **state)
{
	struct planted p = {.windows = 8,
		.requests = 20,
		.window_s = 2.5,
		.statistics = "p99",
		.metrics = PLANTED_ALL,
		.resource = RESOURCE_DISK,
		.culprit = 3,
		.from = 4,
		.to = 6};
	struct recording r, back;

	(void)state;
	planted_make(&r, &p);
	graph_service(&r.graph, "odd, \"name\"");
	r.graph.entity[graph_find(&r.graph, "s0")].host = graph_host(&r.graph, "host:n");
	put_packed(0); /* what an older recording left must go */
	assert_int_equal(recording_write(&r, dir, why, sizeof(why)), 0);
	assert_int_equal(recording_read(&back, dir, why, sizeof(why)), 0);
	assert_int_equal(back.series.windows, r.series.windows);
	assert_int_equal(back.series.columns, r.series.columns);
	assert_true(back.series.window_s == 2.5);
	for (uint32_t i = 0; i < r.series.columns; i++) {
		const struct series_column *c = &r.series.column[i];
		const float *value = series_values(&back.series,
			graph_find(&back.graph, r.graph.entity[c->entity].name), c->metric);

		assert_non_null(value);
		for (size_t w = 0; w < r.series.windows; w++)
			assert_true(value[w] == c->value[w] || isnan(c->value[w]));
	}
	assert_true(back.slo->target == r.slo->target);
	assert_int_equal(back.truths, 1);
	assert_int_equal(back.truth->resource, RESOURCE_DISK);
	assert_int_equal(back.graph.entity[graph_find(&back.graph, "s0")].host,
		graph_find(&back.graph, "host:n"));
	recording_clear(&r);
	recording_clear(&back);
}

static void a_copy_stands_alone(void **state)
{
	struct recording r, copy;

	(void)state;
	assert_int_equal(recording_read(&r, dir, why, sizeof(why)), 0);
	assert_int_equal(recording_copy(&copy, &r), 0);
	recording_clear(&r);
	assert_int_equal(copy.slos, 1);
	assert_int_equal(copy.series.windows, 4);
	recording_clear(&copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(lines_may_come_in_any_order, set_up, tear_down),
		cmocka_unit_test_setup_teardown(optional_files_are_read, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			columns_may_stand_in_any_order_beside_unknown_ones, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			malformed_lines_name_file_line_and_reason, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			malformed_headers_and_files_are_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(missing_files_are_named, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			packed_metrics_are_read_and_cut_ones_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(gaps_do_not_change_the_window, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_written_is_read_back, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_copy_stands_alone, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
