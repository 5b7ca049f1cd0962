/* `containers`, `edges`, and the lines they share with `top`: at most 80 columns. */
#include "agent/cli.h"

#include <math.h>
#include <string.h>

void cli_container_head(FILE *f)
{
	fprintf(f, "%-27s %5s %5s %6s %6s %6s %5s %6s %6s\n", "SERVICE/CONTAINER", "CPU", "LIMIT",
		"THROTL", "RUNQ", "MEM", "MEM%", "IOWAIT", "DISK/S");
}

typedef char table_name[64];

static void name_of(const json_t *c, table_name to)
{
	const char *service = cli_string(c, "service"), *container = cli_string(c, "container");

	if (!strcmp(service, container))
		snprintf(to, sizeof(table_name), "%.60s", service);
	else
		snprintf(to, sizeof(table_name), "%.40s/%.20s", service, container);
}

void cli_container_line(FILE *f, const json_t *c)
{
	const json_t *m = json_object_get(c, "metrics");
	double disk =
		cli_number(m, "blk_read_bytes_per_s") + cli_number(m, "blk_write_bytes_per_s");
	cli_cell cpu, limit, throttled, runq, mem, util, iowait, io;
	table_name name;

	name_of(c, name);
	fprintf(f, "%-27.27s %5s %5s %6s %6s %6s %5s %6s %6s\n", name,
		cli_decimal(cpu, cli_number(m, "cpu_cores")),
		cli_decimal(limit, cli_number(m, "cpu_limit_cores")),
		cli_percent(throttled, cli_number(m, "cpu_throttled_ratio")),
		cli_percent(runq, cli_number(m, "cpu_runq_ratio")),
		cli_bytes(mem, cli_number(m, "mem_bytes")),
		cli_percent(util, cli_number(m, "mem_util_ratio")),
		cli_percent(iowait, cli_number(m, "blk_wait_ratio")), cli_bytes(io, disk));
}

void cli_edge_head(FILE *f)
{
	fprintf(f, "  %-22s %-10s %7s %5s %7s %7s %7s %6s\n", "< FROM  > TO", "PROTOCOL", "CALLS/S",
		"ERR", "P50", "P99", "SELF99", "RTT");
}

static void edge_line(FILE *f, const json_t *e)
{
	bool client = !strcmp(cli_string(e, "side"), "client");
	cli_cell calls, errors, p50, p99, self, rtt;
	double count = cli_number(e, "calls");

	fprintf(f, "  %c %-20.20s %-10.10s %7s %5s %7s %7s %7s %6s\n", client ? '>' : '<',
		cli_string(e, "peer"), cli_string(e, "protocol"),
		cli_decimal(calls, cli_number(e, "calls_per_s")),
		cli_percent(errors, count > 0 ? cli_number(e, "errors") / count : NAN),
		cli_duration(p50, cli_number(e, "p50_us")),
		cli_duration(p99, cli_number(e, "p99_us")),
		cli_duration(self, cli_number(e, "self_p99_us")),
		cli_duration(rtt, cli_number(e, "rtt_us")));
}

/* Of few edges, so not worth columns. */
static void connection_lines(FILE *f, const json_t *e)
{
	double sent = cli_number(e, "resets_sent"), received = cli_number(e, "resets_received");
	double again = cli_number(e, "retransmit_ratio");
	cli_cell percent;

	if (again > 0)
		fprintf(f, "      segments sent again: %s%%\n", cli_decimal(percent, again * 100));
	if (sent > 0 || received > 0)
		fprintf(f, "      connections reset: %.0f by it, %.0f by the other end\n", sent,
			received);
}

static void operation_line(FILE *f, const json_t *o)
{
	const char *name = json_string_value(json_object_get(o, "name"));
	double count = cli_number(o, "calls");
	cli_cell calls, errors, p50, p99;

	fprintf(f, "      %-29.29s %7s %5s %7s %7s\n", name ? name : "(other)",
		cli_decimal(calls, cli_number(o, "calls_per_s")),
		cli_percent(errors, count > 0 ? cli_number(o, "errors") / count : NAN),
		cli_duration(p50, cli_number(o, "p50_us")),
		cli_duration(p99, cli_number(o, "p99_us")));
}

static void operation_lines(FILE *f, const json_t *e)
{
	const json_t *o;
	size_t i;

	json_array_foreach(json_object_get(e, "operations"), i, o) operation_line(f, o);
}

void cli_edge_lines(FILE *f, const json_t *window, const json_t *container, bool operations)
{
	static const char *const sides[] = {"server", "client"};
	double id = cli_number(container, "cgroup_id");
	const json_t *e;
	size_t i;

	for (int side = 0; side < 2; side++) {
		json_array_foreach(json_object_get(window, "edges"), i, e)
		{
			if (cli_number(e, "cgroup_id") != id ||
				strcmp(cli_string(e, "side"), sides[side]) != 0)
				continue;
			edge_line(f, e);
			connection_lines(f, e);
			if (operations)
				operation_lines(f, e);
		}
	}
}

/* Ask for a window and print one of its arrays as JSON, or the window as text. */
static int show(int argc, char **argv, const char *about, unsigned extras, const char *array,
	void (*print)(const json_t *window, bool operations))
{
	struct cli_options o;
	json_t *window;

	cli_parse(argc, argv, about, CLI_VIEW | extras, &o);
	window = cli_ask(&o, "window");
	if (!window)
		return 1;
	cli_arrange(window, &o.view);
	if (o.json)
		cli_print_json(json_incref(json_object_get(window, array)));
	else
		print(window, o.operations);
	json_decref(window);
	return 0;
}

static void print_containers(const json_t *window, bool operations)
{
	const json_t *c;
	size_t i;

	(void)operations;
	cli_container_head(stdout);
	json_array_foreach(json_object_get(window, "containers"), i, c)
		cli_container_line(stdout, c);
}

static bool has_edges(const json_t *window, const json_t *container)
{
	const json_t *e;
	size_t i;

	json_array_foreach(json_object_get(window, "edges"), i, e)
	{
		if (cli_number(e, "cgroup_id") == cli_number(container, "cgroup_id"))
			return true;
	}
	return false;
}

static void print_edges(const json_t *window, bool operations)
{
	table_name name;
	const json_t *c;
	size_t i;

	cli_edge_head(stdout);
	json_array_foreach(json_object_get(window, "containers"), i, c)
	{
		if (!has_edges(window, c))
			continue;
		name_of(c, name);
		printf("%s\n", name);
		cli_edge_lines(stdout, window, c, operations);
	}
}

int cli_containers(int argc, char **argv)
{
	return show(argc, argv, "The containers of this node in the last window.", CLI_NONE,
		"containers", print_containers);
}

int cli_edges(int argc, char **argv)
{
	return show(argc, argv, "The calls between containers in the last window.", CLI_OPERATIONS,
		"edges", print_edges);
}
