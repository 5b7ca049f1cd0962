/* `sage-agent top`: containers, and under each the calls it serves and makes. */
#include "agent/cli.h"

#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"

#define REFRESH_MS 1000

struct sort {
	const char *name, *metric; /* metric NULL: worked out by sort_value() */
};

static const struct sort sorts[] = {
	{"cpu", "cpu_cores"},
	{"throttled", "cpu_throttled_ratio"},
	{"runq", "cpu_runq_ratio"},
	{"mem", "mem_bytes"},
	{"name", NULL},
	{"p99", NULL},
	{"calls", NULL},
};

struct row {
	const json_t *container;
	double value; /* larger first */
};

/* The worst p99, or all calls, of the edges of a container. */
static double edges_value(const json_t *window, double id, bool p99)
{
	const json_t *e;
	double value = 0;
	size_t i;

	json_array_foreach(json_object_get(window, "edges"), i, e)
	{
		if (cli_number(e, "cgroup_id") != id)
			continue;
		if (p99)
			value = fmax(value, cli_number(e, "p99_us"));
		else
			value += cli_number(e, "calls");
	}
	return value;
}

static double sort_value(const struct sort *s, const json_t *window, const json_t *container)
{
	if (s->metric)
		return cli_number(json_object_get(container, "metrics"), s->metric);
	if (!strcmp(s->name, "name"))
		return 0;
	return edges_value(window, cli_number(container, "cgroup_id"), !strcmp(s->name, "p99"));
}

static int compare_rows(const void *x, const void *y)
{
	const struct row *a = x, *b = y;
	double va = isnan(a->value) ? -1 : a->value, vb = isnan(b->value) ? -1 : b->value;
	int by_name;

	if (va != vb)
		return va < vb ? 1 : -1;
	by_name = strcmp(cli_string(a->container, "service"), cli_string(b->container, "service"));
	return by_name ? by_name
		       : strcmp(cli_string(a->container, "path"), cli_string(b->container, "path"));
}

static void print_head(FILE *f, const json_t *window)
{
	const json_t *host = json_object_get(window, "host");
	time_t at = (time_t)cli_number(window, "time");
	cli_cell cpu, mem, disk;
	char when[16];
	struct tm tm;

	localtime_r(&at, &tm);
	strftime(when, sizeof(when), "%H:%M:%S", &tm);
	fprintf(f, "%s %s   cpu %s  mem %s  disk %s   %zu containers  %zu edges\n\n",
		cli_string(window, "node"), when,
		cli_percent(cpu, cli_number(host, "cpu_util_ratio")),
		cli_percent(mem, cli_number(host, "mem_util_ratio")),
		cli_percent(disk, cli_number(host, "blk_util_ratio")),
		json_array_size(json_object_get(window, "containers")),
		json_array_size(json_object_get(window, "edges")));
	cli_container_head(f);
	cli_edge_head(f);
}

static void print_rows(FILE *f, const json_t *window, const struct row *row, size_t rows)
{
	for (size_t r = 0; r < rows; r++) {
		cli_container_line(f, row[r].container);
		cli_edge_lines(f, window, row[r].container);
	}
}

/* The whole view as text, owned by the caller; NULL without memory. */
static char *render(const json_t *window, const struct sort *sort)
{
	const json_t *containers = json_object_get(window, "containers");
	size_t rows = json_array_size(containers), size;
	struct row *row = calloc(rows + 1, sizeof(*row));
	char *text = NULL;
	FILE *f = open_memstream(&text, &size);

	if (!row || !f) {
		free(row);
		if (f)
			fclose(f);
		free(text);
		return NULL;
	}
	for (size_t i = 0; i < rows; i++) {
		row[i].container = json_array_get(containers, i);
		row[i].value = sort_value(sort, window, row[i].container);
	}
	qsort(row, rows, sizeof(*row), compare_rows);
	print_head(f, window);
	print_rows(f, window, row, rows);
	fclose(f);
	free(row);
	return text;
}

/* ---- the live view ------------------------------------------------------------ */

static struct winsize terminal_size(void)
{
	struct winsize size = {.ws_row = 24, .ws_col = 80};

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) || !size.ws_row || !size.ws_col)
		size = (struct winsize){.ws_row = 24, .ws_col = 80};
	return size;
}

/* Draw over the last frame without clearing first, so that nothing flickers. */
static void draw(const char *text)
{
	struct winsize size = terminal_size();
	const char *line = text;

	fputs("\033[H", stdout);
	for (int row = 0; row < size.ws_row - 1 && *line; row++) {
		int length = (int)strcspn(line, "\n");
		bool head = row == 0 || row == 2, edge = row >= 3 && !strncmp(line, "  ", 2);

		printf("%s%.*s\033[0m\033[K\n",
			head   ? "\033[1m"
			: edge ? "\033[2m"
			       : "",
			length < size.ws_col ? length : size.ws_col, line);
		line += length;
		line += *line == '\n';
	}
	printf("\033[2m%s  q quits\033[0m\033[K\033[J", *line ? "more below the screen;" : "");
	fflush(stdout);
}

/* True when it is time to leave: q, Ctrl-C or a signal; else after REFRESH_MS. */
static bool wait_for_quit(int signals)
{
	struct pollfd fd[2] = {
		{.fd = signals, .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};
	char key = 0;

	if (poll(fd, isatty(STDIN_FILENO) ? 2 : 1, REFRESH_MS) <= 0)
		return false;
	if (fd[0].revents)
		return true;
	return read(STDIN_FILENO, &key, 1) != 1 || key == 'q';
}

static int show_live(const struct cli_options *o, const struct sort *sort, int signals)
{
	do {
		json_t *window = cli_ask(o, "window");
		char *text = window ? render(window, sort) : NULL;

		json_decref(window);
		if (!text)
			return 1;
		draw(text);
		free(text);
	} while (!wait_for_quit(signals));
	return 0;
}

static int live(const struct cli_options *o, const struct sort *sort)
{
	struct termios before, raw;
	bool terminal = !tcgetattr(STDIN_FILENO, &before);
	int signals, status;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signals = signalfd(-1, &set, SFD_CLOEXEC);
	if (terminal) {
		raw = before;
		raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
		tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	}
	fputs("\033[?1049h\033[?25l", stdout); /* the other screen, no cursor */
	status = show_live(o, sort, signals);
	fputs("\033[?25h\033[?1049l", stdout);
	fflush(stdout);
	if (terminal)
		tcsetattr(STDIN_FILENO, TCSANOW, &before);
	close(signals);
	if (status)
		json_decref(
			cli_ask(o, "window")); /* says what is wrong, on the screen that stays */
	return status;
}

static const struct sort *find_sort(const char *name)
{
	for (size_t i = 0; i < sizeof(sorts) / sizeof(*sorts); i++) {
		if (!strcmp(sorts[i].name, name))
			return &sorts[i];
	}
	return NULL;
}

int cli_top(int argc, char **argv)
{
	const struct sort *sort;
	struct cli_options o;
	json_t *window;
	char *text;

	cli_parse(argc, argv, "Containers and their calls, live.", CLI_ONCE | CLI_SORT, &o);
	sort = find_sort(o.sort ? o.sort : "cpu");
	if (!sort) {
		log_error("--sort %s: no such column; one of cpu, name, throttled, runq, mem, p99, "
			  "calls",
			o.sort);
		return 64;
	}
	if (!o.once && !o.json && isatty(STDOUT_FILENO))
		return live(&o, sort);
	window = cli_ask(&o, "window");
	if (!window)
		return 1;
	if (o.json)
		return cli_print_json(window);
	text = render(window, sort);
	json_decref(window);
	if (!text)
		return 1;
	fputs(text, stdout);
	free(text);
	return 0;
}
