/* Recordings of simulated cases: the same for a seed, readable, true, and lacking what they are to
 * lack. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analyzer/recording.h"
#include "tests/sim/cases.h"

static const char *const files[] = {
	"graph.csv", "metrics.csv.gz", "placement.csv", "slo.csv", "truth.csv", "faults.csv"};

#define FILES (sizeof(files) / sizeof(*files))

/* A tree of seven under a low load: a second to simulate, sanitizers included. */
static const struct sim_case small = {
	.shape = {.shape = SHAPE_TREE, .services = 7, .rate = 30, .fragile = true},
	.faults = 1u << FAULT_QUOTA | 1u << FAULT_CODE | 1u << FAULT_BANDWIDTH,
	.culprits = 1,
	.incidents = 3,
	.window_s = 5,
	.learn = 12,
};

struct made {
	char directory[32];
	struct scenario_result result;
};

static struct made make(const struct sim_case *c, uint64_t seed)
{
	struct made m = {"/tmp/sage-sim-XXXXXX", {0}};

	assert_non_null(mkdtemp(m.directory));
	assert_int_equal(case_run(c, seed, m.directory, &m.result), 0);
	return m;
}

static void forget(const struct made *m)
{
	char path[64];

	for (size_t i = 0; i < FILES; i++) {
		snprintf(path, sizeof(path), "%s/%s", m->directory, files[i]);
		unlink(path);
	}
	assert_int_equal(rmdir(m->directory), 0);
}

static void read_made(struct recording *r, const struct made *m)
{
	char why[200] = "";
	int err = recording_read(r, m->directory, why, sizeof(why));

	if (err)
		print_message("%s\n", why);
	assert_int_equal(err, 0);
}

static size_t slurp(const struct made *m, const char *name, char *to, size_t size)
{
	char path[64];
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", m->directory, name);
	f = fopen(path, "re");
	assert_non_null(f);
	n = fread(to, 1, size, f);
	assert_true(n < size);
	fclose(f);
	return n;
}

static bool same_file(const struct made *a, const struct made *b, const char *name)
{
	enum { SIZE = 1 << 22 };
	char *x = malloc(SIZE), *y = malloc(SIZE);
	size_t n, m;
	bool same;

	assert_true(x && y);
	n = slurp(a, name, x, SIZE);
	m = slurp(b, name, y, SIZE);
	same = n == m && !memcmp(x, y, n);
	free(x);
	free(y);
	return same;
}

static void a_seed_gives_the_same_bytes(void **state)
{
	struct made one = make(&small, 1), again = make(&small, 1), other = make(&small, 2);

	(void)state;
	for (size_t i = 0; i < FILES; i++)
		assert_true(same_file(&one, &again, files[i]));
	assert_false(same_file(&one, &other, "metrics.csv.gz"));
	forget(&one);
	forget(&again);
	forget(&other);
}

static bool missed(const struct recording *r, size_t window)
{
	for (size_t i = 0; i < r->slos; i++) {
		const float *v = series_values(&r->series, r->slo[i].entity, r->slo[i].metric);

		assert_non_null(v);
		if ((double)v[window] > r->slo[i].target)
			return true;
	}
	return false;
}

/* Health at first, and incidents whose first window misses a target. */
static void the_truth_is_in_the_metrics(void **state)
{
	struct made m = make(&small, 1);
	struct recording r;

	(void)state;
	read_made(&r, &m);
	assert_int_equal(r.series.windows, m.result.windows);
	assert_int_equal(r.series.window_s, 5);
	assert_int_equal(r.truths, m.result.incidents);
	assert_int_equal(m.result.incidents + m.result.unfelt, small.incidents);
	assert_true(m.result.incidents > 0);
	for (size_t w = 2; w < small.learn; w++)
		assert_false(missed(&r, w));
	for (size_t i = 0; i < r.truths; i++) {
		size_t from, to;

		series_range(&r.series, r.truth[i].from_s, r.truth[i].to_s, &from, &to);
		assert_int_equal(to - from, 6);
		assert_true(missed(&r, from));
		assert_true(graph_find(&r.graph, r.truth[i].service) != GRAPH_NONE);
	}
	recording_clear(&r);
	forget(&m);
}

/* How many values of metrics that begin with `metric` an entity has in windows [from, to). */
static size_t values(
	const struct recording *r, const char *entity, const char *metric, size_t from, size_t to)
{
	uint32_t number = graph_find(&r->graph, entity);
	size_t count = 0;

	for (uint32_t i = 0; i < r->series.columns; i++) {
		const struct series_column *c = &r->series.column[i];

		if (c->entity != number || strncmp(c->metric, metric, strlen(metric)))
			continue;
		for (size_t w = from; w < to; w++)
			count += isnan(c->value[w]) ? 0 : 1;
	}
	return count;
}

static void what_is_left_out_is_not_there(void **state)
{
	struct sim_case c = small;
	struct made m;
	struct recording r;

	(void)state;
	c.omission = (struct omission){.edge = "s1->s2", .entity = "s3", .metric = "self_"};
	m = make(&c, 1);
	read_made(&r, &m);
	assert_int_equal(graph_find(&r.graph, "s1->s2"), GRAPH_NONE);
	assert_int_equal(values(&r, "s3", "", 0, r.series.windows), 0);
	assert_true(values(&r, "s1->s3", "client_", 0, r.series.windows) > 0);
	assert_int_equal(values(&r, "s1->s3", "server_", 0, r.series.windows), 0);
	assert_int_equal(values(&r, "s1->s3", "network_", 0, r.series.windows), 0);
	assert_int_equal(values(&r, "s1", "self_", 0, r.series.windows), 0);
	assert_true(values(&r, "s1", "server_", 0, r.series.windows) > 0);
	recording_clear(&r);
	forget(&m);

	c.omission = (struct omission){.history = 1};
	m = make(&c, 1);
	read_made(&r, &m);
	assert_int_equal(values(&r, "s1", "", 0, c.learn), 0);
	assert_true(values(&r, "s1", "", 0, r.series.windows) > 0);
	recording_clear(&r);
	forget(&m);

	c.omission = (struct omission){.entity = "nobody"};
	m = (struct made){"/tmp/sage-sim-XXXXXX", {0}};
	assert_non_null(mkdtemp(m.directory));
	assert_true(case_run(&c, 1, m.directory, &m.result) < 0);
	forget(&m);
}

/* From the next phase on an inserted service is called in the middle of an old call. */
static void an_inserted_service_appears(void **state)
{
	struct sim_case c = small;
	struct made m;
	struct recording r;

	(void)state;
	c.shape.inserted = 1;
	c.phase_at = 6;
	m = make(&c, 1);
	read_made(&r, &m);
	assert_int_equal(values(&r, "s8", "", 0, 6), 0);
	assert_true(values(&r, "s8", "server_", 6, 12) > 0);
	recording_clear(&r);
	forget(&m);
}

/* One culprit more: two rows for each incident, and what was tried alone is a gap. */
static void two_culprits_are_both_named(void **state)
{
	struct sim_case c = small;
	struct made m;
	struct recording r;

	(void)state;
	c.culprits = 2;
	m = make(&c, 1);
	read_made(&r, &m);
	assert_true(m.result.incidents > 0);
	assert_int_equal(r.truths, 2 * m.result.incidents);
	assert_true(r.series.windows < m.result.windows);
	assert_true(strcmp(r.truth[0].service, r.truth[1].service) != 0);
	recording_clear(&r);
	forget(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_seed_gives_the_same_bytes),
		cmocka_unit_test(the_truth_is_in_the_metrics),
		cmocka_unit_test(what_is_left_out_is_not_there),
		cmocka_unit_test(an_inserted_service_appears),
		cmocka_unit_test(two_culprits_are_both_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
