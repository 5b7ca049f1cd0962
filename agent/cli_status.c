/* `status`, `support` and `actions`. */
#include "agent/cli.h"

#include <errno.h>
#include <string.h>

#include "agent/collect.h"
#include "agent/control.h"
#include "agent/privilege.h"
#include "agent/support_table.h"
#include "common/log.h"

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), tail = strlen(end);

	return length >= tail && !strcmp(text + length - tail, end);
}

/* The key tells the unit. */
static void print_value(const char *key, const json_t *value)
{
	cli_cell cell;

	if (json_is_number(value) && ends_with(key, "_bytes"))
		printf("%s\n", cli_bytes(cell, json_number_value(value)));
	else if (json_is_string(value))
		printf("%s\n", *json_string_value(value) ? json_string_value(value) : "-");
	else if (json_is_integer(value))
		printf("%" JSON_INTEGER_FORMAT "\n", json_integer_value(value));
	else if (json_is_real(value))
		printf("%.3g\n", json_real_value(value));
	else if (json_is_boolean(value))
		printf("%s\n", json_is_true(value) ? "yes" : "no");
	else
		printf("-\n");
}

static void print_section(const char *title, json_t *object)
{
	const char *key;
	json_t *value;

	printf("%s\n", title);
	json_object_foreach(object, key, value)
	{
		printf("  %-28s ", key);
		print_value(key, value);
	}
}

int cli_status(int argc, char **argv)
{
	struct cli_options o;
	json_t *status, *section;
	const char *title;

	cli_parse(argc, argv, "What the agent does, ships and loses.", CLI_NONE, &o);
	status = cli_ask(&o, "status");
	if (!status)
		return 1;
	if (o.json)
		return cli_print_json(status);
	json_object_foreach(status, title, section)
	{
		if (json_is_object(section))
			print_section(title, section);
	}
	json_decref(status);
	return 0;
}

/* ---- support ------------------------------------------------------------------ */

static void add_support(void *ctx, const char *feature, const char *how, const char *blind)
{
	json_array_append_new(
		ctx, json_pack("{s:s, s:s, s:s}", "feature", feature, "how", how, "blind", blind));
}

/* Load everything once, in this process, to see what this kernel takes. */
static json_t *probe_support(void)
{
	struct collect_options o = {.no_bpf = !privilege_check(),
		.max_containers = 64,
		.max_edges = 256,
		.max_connections = 256};
	struct collector *c;
	json_t *lines;

	if (collect_open(&c, &o))
		return NULL;
	lines = json_array();
	collect_support(c, add_support, lines);
	collect_close(c);
	return lines;
}

static json_t *support_lines(const struct cli_options *o)
{
	json_t *answer, *lines;
	int err = control_ask(o->control, "support", &answer);

	if (err == -ENOENT || err == -ECONNREFUSED) {
		log_info("no agent at %s: trying the kernel", o->control);
		return probe_support();
	}
	if (err) {
		answer = cli_ask(o, "support");
		if (!answer)
			return NULL;
	}
	lines = json_incref(json_object_get(answer, "support"));
	json_decref(answer);
	return lines;
}

static int print_table(bool json)
{
	if (json)
		return cli_print_json(support_table_json());
	support_table_print(stdout);
	return 0;
}

int cli_support(int argc, char **argv)
{
	struct cli_options o;
	json_t *lines, *line;
	size_t i;

	cli_parse(argc, argv, "How each signal is seen on this kernel, and what is not seen.",
		CLI_TABLE, &o);
	if (o.table)
		return print_table(o.json);
	lines = support_lines(&o);
	if (!lines)
		return 1;
	if (o.json)
		return cli_print_json(lines);
	json_array_foreach(lines, i, line)
	{
		printf("%-24s %s\n", cli_string(line, "feature"), cli_string(line, "how"));
		if (*cli_string(line, "blind"))
			printf("%-24s blind: %s\n", "", cli_string(line, "blind"));
	}
	json_decref(lines);
	return 0;
}

/* ---- actions ------------------------------------------------------------------- */

/* A knob's value in the unit people use: cores, bytes, bytes per second, operations. */
static const char *knob_value(cli_cell to, const char *knob, double value)
{
	cli_cell bytes;

	if (value < 0)
		snprintf(to, CLI_CELL, "none");
	else if (!strcmp(knob, "cpu_quota"))
		snprintf(to, CLI_CELL, "%.3g CPU", value / 1000);
	else if (!strcmp(knob, "memory_high"))
		cli_bytes(to, value);
	else if (ends_with(knob, "_bps") || !strcmp(knob, "net_rate"))
		snprintf(to, CLI_CELL, "%s/s", cli_bytes(bytes, value));
	else
		snprintf(to, CLI_CELL, "%.0f", value);
	return to;
}

static void print_action(const json_t *a)
{
	const char *knob = cli_string(a, "knob");
	cli_cell before, now;

	printf("%-8.0f %-13s %10s -> %-10s %5.0fs  %s  %s\n", cli_number(a, "id"), knob,
		knob_value(before, knob, cli_number(a, "old_value")),
		knob_value(now, knob, cli_number(a, "value")), cli_number(a, "expires_s"),
		cli_string(a, "path"), cli_string(a, "reason"));
}

int cli_actions(int argc, char **argv)
{
	struct cli_options o;
	json_t *answer, *actions, *a;
	size_t i;

	cli_parse(argc, argv, "The actions this agent holds, or take them back.", CLI_RELEASE, &o);
	answer = cli_ask(&o, o.release_all ? "release" : "actions");
	if (!answer)
		return 1;
	if (o.json)
		return cli_print_json(answer);
	actions = json_object_get(answer, "actions");
	printf("mode %s, %zu held\n", cli_string(answer, "mode"), json_array_size(actions));
	if (json_array_size(actions))
		printf("%-8s %-13s %10s -> %-10s %6s  %s  %s\n", "ID", "KNOB", "OLD", "NOW", "LEFT",
			"PATH", "REASON");
	json_array_foreach(actions, i, a) print_action(a);
	json_decref(answer);
	return 0;
}
