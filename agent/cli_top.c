/* `sage-agent top`: containers, and under each the calls it serves and makes. */
#include "agent/cli.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"

#define REFRESH_MS 1000
#define HEAD_LINES 4 /* stay on the screen when the rest is scrolled */
#define FRAME_BYTES 65536
#define KEYS_COLUMNS 80 /* a narrower terminal is not told the keys of sorting */

static void print_head(FILE *f, const json_t *window)
{
	const json_t *host = json_object_get(window, "host");
	time_t at = (time_t)cli_number(window, "time");
	cli_cell cpu, mem, disk;
	char when[16];
	struct tm tm;

	localtime_r(&at, &tm);
	strftime(when, sizeof(when), "%H:%M:%S", &tm);
	fprintf(f, "%.24s %s   cpu %s  mem %s  disk %s   %zu containers  %zu edges\n\n",
		cli_string(window, "node"), when,
		cli_percent(cpu, cli_number(host, "cpu_util_ratio")),
		cli_percent(mem, cli_number(host, "mem_util_ratio")),
		cli_percent(disk, cli_number(host, "blk_util_ratio")),
		json_array_size(json_object_get(window, "containers")),
		json_array_size(json_object_get(window, "edges")));
	cli_container_head(f);
	cli_edge_head(f);
}

/* The whole view of an arranged window as text, owned by the caller; NULL without memory. */
static char *render(const json_t *window)
{
	char *text = NULL;
	const json_t *c;
	size_t size, i;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return NULL;
	print_head(f, window);
	json_array_foreach(json_object_get(window, "containers"), i, c)
	{
		cli_container_line(f, c);
		cli_edge_lines(f, window, c, false);
	}
	if (fclose(f)) {
		free(text);
		return NULL;
	}
	return text;
}

/* ---- the live view ------------------------------------------------------------ */

struct live {
	const struct cli_options *o;
	struct cli_view view;
	int signals;
	int scrolled; /* lines below the head that are above the screen */
	char *text;   /* the last window; owned */
};

static struct winsize terminal_size(void)
{
	struct winsize size = {.ws_row = 24, .ws_col = 80};

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) || !size.ws_row || !size.ws_col)
		size = (struct winsize){.ws_row = 24, .ws_col = 80};
	return size;
}

static int count_lines(const char *text)
{
	int lines = 0;

	for (; *text; text++)
		lines += *text == '\n';
	return lines;
}

/*
 * A full line leaves the cursor on its last column, where erasing the rest of the line would
 * take the last character.
 */
static void draw_line(const char *line, int length, int columns, const char *style)
{
	bool full = length >= columns;

	printf("%s%.*s\033[0m%s\n", style, full ? columns : length, line, full ? "" : "\033[K");
}

/* What the keys do: each column to sort by with its key underlined, the present one bold. */
static void draw_keys(const struct live *l, int columns, int below)
{
	const struct cli_sort *s;

	printf("q quit");
	for (size_t i = 0; columns >= KEYS_COLUMNS && (s = cli_sort_at(i)); i++) {
		const char *key = strchr(s->name, s->key);

		printf(" %s %.*s\033[4m%c\033[24m%s\033[0m",
			s == l->view.sort ? "\033[1m" : "\033[2m", (int)(key - s->name), s->name,
			*key, key + 1);
	}
	if (below && columns >= KEYS_COLUMNS)
		printf("  %d more", below);
	fputs("\033[K\033[J", stdout);
}

/* Draw over the last frame without clearing first, and at once, so that nothing flickers. */
static void draw(struct live *l)
{
	struct winsize size = terminal_size();
	int lines = count_lines(l->text), room = size.ws_row - 1, row = 0;
	int most = lines > room ? lines - room : 0;
	const char *line = l->text;

	if (l->scrolled > most)
		l->scrolled = most;
	fputs("\033[H", stdout);
	for (int number = 0; *line && row < room; number++) {
		int length = (int)strcspn(line, "\n");
		bool head = number == 0 || number == 2;
		bool edge = number == 3 || (number > 3 && !strncmp(line, "  ", 2));

		if (number < HEAD_LINES || number >= HEAD_LINES + l->scrolled) {
			draw_line(line, length, size.ws_col,
				head   ? "\033[1m"
				: edge ? "\033[2m"
				       : "");
			row++;
		}
		line += length + 1;
	}
	draw_keys(l, size.ws_col, count_lines(line));
	fflush(stdout);
}

/* Ask for the newest window. False when the agent cannot be asked. */
static bool refresh(struct live *l)
{
	json_t *window = cli_ask(l->o, "window");
	char *text = NULL;

	if (window) {
		cli_arrange(window, &l->view);
		text = render(window);
		json_decref(window);
	}
	if (!text)
		return false;
	free(l->text);
	l->text = text;
	return true;
}

static void scroll(struct live *l, int by)
{
	l->scrolled = l->scrolled + by < 0 ? 0 : l->scrolled + by;
}

/* What was typed. False: leave. */
static bool take_keys(struct live *l)
{
	static const struct {
		const char *keys;
		int by; /* pages as 1000 */
	} moves[] = {{"\033[A", -1}, {"\033[B", 1}, {"\033[5~", -1000}, {"\033[6~", 1000},
		{"k", -1}, {"j", 1}, {" ", 1000}};
	const struct cli_sort *sort;
	char typed[16] = "";
	ssize_t n = read(STDIN_FILENO, typed, sizeof(typed) - 1);

	if (n <= 0 || strchr(typed, 'q'))
		return false;
	for (size_t i = 0; i < sizeof(moves) / sizeof(*moves); i++) {
		int page = terminal_size().ws_row - HEAD_LINES - 1;

		if (!strcmp(typed, moves[i].keys))
			scroll(l, moves[i].by % 1000 ? moves[i].by : moves[i].by / 1000 * page);
	}
	sort = cli_sort_keyed(typed[0]);
	if (sort)
		l->view.sort = sort;
	return true;
}

/* A changed window size wants the frame drawn anew; other signals, to leave. */
static bool take_signal(struct live *l)
{
	struct signalfd_siginfo info;

	return read(l->signals, &info, sizeof(info)) == sizeof(info) && info.ssi_signo == SIGWINCH;
}

static int show_live(struct live *l)
{
	struct pollfd fd[2] = {{.fd = l->signals, .events = POLLIN},
		{.fd = isatty(STDIN_FILENO) ? STDIN_FILENO : -1, .events = POLLIN}};
	uint64_t due_ns = 0;

	for (;;) {
		uint64_t now_ns = clock_monotonic_ns();

		if (now_ns >= due_ns) {
			if (!refresh(l))
				return 1;
			due_ns = now_ns + REFRESH_MS * 1000000ULL;
		}
		draw(l);
		if (poll(fd, 2, (int)((due_ns - now_ns) / 1000000) + 1) < 0)
			return 0;
		if (fd[0].revents && !take_signal(l))
			return 0;
		if (!fd[1].revents)
			continue;
		if (!take_keys(l))
			return 0;
		due_ns = 0; /* in the new order at once */
	}
}

static int live(const struct cli_options *o)
{
	struct live l = {.o = o, .view = o->view};
	struct termios before, raw;
	bool terminal = !tcgetattr(STDIN_FILENO, &before);
	sigset_t set;
	int status;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGWINCH);
	sigprocmask(SIG_BLOCK, &set, NULL);
	l.signals = signalfd(-1, &set, SFD_CLOEXEC);
	if (terminal) {
		raw = before;
		raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
		tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	}
	setvbuf(stdout, NULL, _IOFBF, FRAME_BYTES);    /* a frame is one write */
	fputs("\033[?1049h\033[?25l\033[?7l", stdout); /* the other screen, no cursor, no wrap */
	status = show_live(&l);
	fputs("\033[?7h\033[?25h\033[?1049l", stdout);
	fflush(stdout);
	if (terminal)
		tcsetattr(STDIN_FILENO, TCSANOW, &before);
	close(l.signals);
	free(l.text);
	if (status)
		json_decref(
			cli_ask(o, "window")); /* says what is wrong, on the screen that stays */
	return status;
}

int cli_top(int argc, char **argv)
{
	struct cli_options o;
	json_t *window;
	char *text;

	cli_parse(argc, argv, "Containers and their calls, live.", CLI_ONCE | CLI_VIEW, &o);
	if (!o.once && !o.json && isatty(STDOUT_FILENO))
		return live(&o);
	window = cli_ask(&o, "window");
	if (!window)
		return 1;
	cli_arrange(window, &o.view);
	if (o.json)
		return cli_print_json(window);
	text = render(window);
	json_decref(window);
	if (!text)
		return 1;
	fputs(text, stdout);
	free(text);
	return 0;
}
