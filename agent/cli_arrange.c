/* Which containers and edges of a window are shown, and in which order: text and JSON alike. */
#include "agent/cli.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A column to sort by, largest first: of the container, or of its edges. */
static const struct cli_sort sorts[] = {
	{"cpu", 'c', "cpu_cores", NULL, false},
	{"throttled", 't', "cpu_throttled_ratio", NULL, false},
	{"runq", 'r', "cpu_runq_ratio", NULL, false},
	{"mem", 'm', "mem_bytes", NULL, false},
	{"iowait", 'i', "blk_wait_ratio", NULL, false},
	{"calls", 'a', NULL, "calls_per_s", false},
	{"errors", 'e', NULL, "errors", false},
	{"p50", '5', NULL, "p50_us", true},
	{"p99", '9', NULL, "p99_us", true},
	{"name", 'n', NULL, NULL, false},
};

#define SORTS (sizeof(sorts) / sizeof(*sorts))

const struct cli_sort *cli_sort_named(const char *name)
{
	for (size_t i = 0; i < SORTS; i++) {
		if (!strcmp(sorts[i].name, name))
			return &sorts[i];
	}
	return NULL;
}

const struct cli_sort *cli_sort_keyed(char key)
{
	for (size_t i = 0; i < SORTS; i++) {
		if (sorts[i].key == key)
			return &sorts[i];
	}
	return NULL;
}

const struct cli_sort *cli_sort_at(size_t number)
{
	return number < SORTS ? &sorts[number] : NULL;
}

struct row {
	json_t *object; /* borrowed */
	double value;   /* larger first, NaN last */
};

static int by_text(const json_t *a, const json_t *b, const char *key)
{
	return strcmp(cli_string(a, key), cli_string(b, key));
}

static int compare_rows(const void *x, const void *y)
{
	static const char *const names[] = {"service", "path", "container", "side", "peer"};
	const struct row *a = x, *b = y;
	double va = isnan(a->value) ? -INFINITY : a->value;
	double vb = isnan(b->value) ? -INFINITY : b->value;
	int order = 0;

	if (va != vb)
		return va < vb ? 1 : -1;
	for (size_t i = 0; !order && i < sizeof(names) / sizeof(*names); i++)
		order = by_text(a->object, b->object, names[i]);
	return order;
}

/* A new array of those in `all` that are wanted, sorted; empty without memory. */
static json_t *arranged(const json_t *all, const json_t *window, const struct cli_view *v,
	bool (*wanted)(const json_t *o, const json_t *window, const char *filter),
	double (*value)(const json_t *o, const json_t *window, const struct cli_sort *s))
{
	struct row *row = calloc(json_array_size(all) + 1, sizeof(*row));
	json_t *out = json_array(), *o;
	size_t i, rows = 0;

	json_array_foreach(all, i, o)
	{
		if (row && (!v->filter || wanted(o, window, v->filter)))
			row[rows++] = (struct row){o, value(o, window, v->sort)};
	}
	if (row)
		qsort(row, rows, sizeof(*row), compare_rows);
	for (i = 0; i < rows; i++)
		json_array_append(out, row[i].object);
	free(row);
	return out;
}

static bool has(const json_t *o, const char *key, const char *text)
{
	return strstr(cli_string(o, key), text) != NULL;
}

static bool edge_wanted(const json_t *e, const json_t *window, const char *filter)
{
	(void)window;
	return has(e, "service", filter) || has(e, "container", filter) || has(e, "peer", filter) ||
	       has(e, "protocol", filter);
}

static double edge_value(const json_t *e, const json_t *window, const struct cli_sort *s)
{
	(void)window;
	if (!s->edge && !s->container)
		return 0; /* by name */
	return cli_number(e, s->edge ? s->edge : "calls_per_s");
}

/* A container is wanted for its own names or for an edge that is. The edges are arranged. */
static bool container_wanted(const json_t *c, const json_t *window, const char *filter)
{
	double id = cli_number(c, "cgroup_id");
	const json_t *e;
	size_t i;

	json_array_foreach(json_object_get(window, "edges"), i, e)
	{
		if (cli_number(e, "cgroup_id") == id)
			return true;
	}
	return has(c, "service", filter) || has(c, "container", filter) || has(c, "path", filter);
}

/* Of latencies the worst edge counts, of the rest their sum. */
static double container_value(const json_t *c, const json_t *window, const struct cli_sort *s)
{
	double id = cli_number(c, "cgroup_id"), value = NAN;
	const json_t *e;
	size_t i;

	if (s->container)
		return cli_number(json_object_get(c, "metrics"), s->container);
	json_array_foreach(json_object_get(window, "edges"), i, e)
	{
		double one = s->edge ? cli_number(e, s->edge) : NAN;

		if (isnan(one) || cli_number(e, "cgroup_id") != id)
			continue;
		if (isnan(value))
			value = one;
		else
			value = s->worst ? fmax(value, one) : value + one;
	}
	return value;
}

void cli_arrange(json_t *window, const struct cli_view *v)
{
	json_object_set_new(window, "edges",
		arranged(json_object_get(window, "edges"), window, v, edge_wanted, edge_value));
	json_object_set_new(window, "containers",
		arranged(json_object_get(window, "containers"), window, v, container_wanted,
			container_value));
}
