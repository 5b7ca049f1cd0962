#include "tests/testbed/stage.h"

#include <errno.h>
#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "tests/testbed/record.h"
#include "tests/testbed/spawn.h"

#define START_TIMEOUT_S 60
#define STOP_TIMEOUT_S 20

static const char *const part_name[STAGE_PARTS] = {
	"the application",
	"sage-analyzer",
	"sage-agent",
};

static const char *const part_log[STAGE_PARTS] = {"testbed.log", "analyzer.log", "agent.log"};

double stage_now(void)
{
	return (double)clock_wall_ns() * 1e-9;
}

double stage_window_s(const struct stage *s)
{
	return strtod(s->options.window_s, NULL); /* the analyzer has checked it */
}

static pid_t start(struct stage *s, enum stage_part part, char *const argv[])
{
	char log[SITE_PATH];
	const struct spawn how = {.log = log};

	snprintf(log, sizeof(log), "%.200s/%s", s->directory, part_log[part]);
	s->pid[part] = spawn_start(&how, argv);
	if (s->pid[part] < 0)
		log_error("%s: cannot start: %s", part_name[part], strerror(-s->pid[part]));
	return s->pid[part];
}

static int start_testbed(struct stage *s)
{
	char program[SITE_PATH + 16];
	char *argv[] = {program, "up", "--name", (char *)s->options.name, "--topology",
		(char *)s->options.topology, "--seed", (char *)s->options.seed, NULL};

	snprintf(program, sizeof(program), "%s/sage-testbed", s->site.tools);
	return start(s, STAGE_TESTBED, argv) < 0 ? -EIO : 0;
}

static int start_analyzer(struct stage *s)
{
	char listen[64], http[64], data[SITE_PATH];
	char *argv[] = {(char *)s->options.analyzer, "serve", "--listen", listen, "--http", http,
		"--data", data, "--window", (char *)s->options.window_s, "--mode", "enforce",
		"--train-after", (char *)s->options.train_after, NULL};

	snprintf(listen, sizeof(listen), "tcp://127.0.0.1:%s", s->options.port);
	snprintf(http, sizeof(http), "127.0.0.1:%s", s->options.http_port);
	snprintf(data, sizeof(data), "%.200s/data", s->directory);
	return start(s, STAGE_ANALYZER, argv) < 0 ? -EIO : 0;
}

/* The usual instance answers `sage-agent top` where it looks first; others beside it do not. */
static int start_agent(struct stage *s)
{
	char url[64], rule[96], allow[64], state[SITE_PATH], control[SITE_PATH];
	bool usual = !strcmp(s->options.name, STAGE_NAME);
	char *argv[] = {(char *)s->options.agent, "run", "--analyzer", url, "--name-rule", rule,
		"--mode", "enforce", "--allow", allow, "--state", state, usual ? NULL : "--control",
		control, NULL};

	snprintf(url, sizeof(url), "tcp://127.0.0.1:%s", s->options.port);
	snprintf(rule, sizeof(rule), "/%s/{service}/{container}", s->options.name);
	snprintf(allow, sizeof(allow), "/%s/*", s->options.name);
	snprintf(state, sizeof(state), "%.200s/agent", s->directory);
	snprintf(control, sizeof(control), "%.200s/agent.sock", s->directory);
	return start(s, STAGE_AGENT, argv) < 0 ? -EIO : 0;
}

static bool application_runs(struct stage *s)
{
	char path[SITE_PATH];

	return !access(site_file(&s->site, SITE_USER, "load.csv", path), R_OK);
}

static bool analyzer_answers(struct stage *s)
{
	json_t *status = api_get(&s->api, "/api/v1/status");

	json_decref(status);
	return status;
}

static int wait_for(struct stage *s, bool (*ready)(struct stage *), enum stage_part part)
{
	double end = stage_now() + START_TIMEOUT_S;

	while (!ready(s)) {
		if (!stage_pause(s, 0.2))
			return -ECANCELED;
		if (stage_now() > end) {
			log_error("%s: not ready after %d s; see its log, %s", part_name[part],
				START_TIMEOUT_S, part_log[part]);
			s->failed = true;
			return -ETIMEDOUT;
		}
	}
	return 0;
}

static void take_signals(struct stage *s)
{
	sigemptyset(&s->signals);
	sigaddset(&s->signals, SIGINT);
	sigaddset(&s->signals, SIGTERM);
	sigaddset(&s->signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, &s->signals, NULL);
}

static int start_all(struct stage *s)
{
	int err = start_testbed(s);

	if (!err)
		err = wait_for(s, application_runs, STAGE_TESTBED);
	if (!err)
		err = start_analyzer(s);
	if (!err)
		err = wait_for(s, analyzer_answers, STAGE_ANALYZER);
	return err ? err : start_agent(s);
}

int stage_open(struct stage *s, const struct stage_options *o)
{
	char base[64];
	int err;

	*s = (struct stage){.options = *o};
	err = site_open(&s->site, o->name);
	if (!err)
		err = site_load(&s->site, o->topology);
	if (err)
		return err;
	snprintf(s->directory, sizeof(s->directory), "/var/tmp/%s-XXXXXX", o->name);
	if (!mkdtemp(s->directory)) {
		err = -errno;
		log_error("%s: %s", s->directory, strerror(-err));
		*s->directory = 0;
		return err;
	}
	snprintf(base, sizeof(base), "http://127.0.0.1:%s", o->http_port);
	take_signals(s);
	err = api_open(&s->api, base);
	if (!err)
		err = start_all(s);
	if (err)
		stage_close(s);
	return err;
}

/* Ask a part to end; one that does not is killed. */
static void stop(struct stage *s, enum stage_part part)
{
	double end = stage_now() + STOP_TIMEOUT_S;
	const struct timespec pause = {.tv_nsec = 50000000};

	if (s->pid[part] <= 0)
		return;
	kill(s->pid[part], SIGTERM);
	while (!waitpid(s->pid[part], NULL, WNOHANG)) {
		if (stage_now() > end) {
			log_warning("%s: does not end, killed", part_name[part]);
			kill(s->pid[part], SIGKILL);
			waitpid(s->pid[part], NULL, 0);
			break;
		}
		nanosleep(&pause, NULL);
	}
	s->pid[part] = 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void stage_close(struct stage *s)
{
	/* The agent first, so that what it holds goes back while its targets still exist. */
	stop(s, STAGE_AGENT);
	stop(s, STAGE_ANALYZER);
	stop(s, STAGE_TESTBED);
	api_close(&s->api);
	if (*s->directory && s->failed)
		log_info("logs are kept in %s", s->directory);
	else if (*s->directory)
		nftw(s->directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	*s->directory = 0;
}

/* Print the end of a part's log. */
static void show_log(const struct stage *s, enum stage_part part)
{
	char path[SITE_PATH], text[2048];
	FILE *f;
	size_t n;

	snprintf(path, sizeof(path), "%.200s/%s", s->directory, part_log[part]);
	f = fopen(path, "re");
	if (!f)
		return;
	if (fseek(f, -(long)sizeof(text), SEEK_END))
		rewind(f);
	n = fread(text, 1, sizeof(text), f);
	fwrite(text, 1, n, stderr);
	fclose(f);
}

/* Has one of the parts ended? Other children (antagonists) are not waited for here. */
static bool part_ended(struct stage *s)
{
	bool any = false;

	for (int i = 0; i < STAGE_PARTS; i++) {
		if (s->pid[i] <= 0 || waitpid(s->pid[i], NULL, WNOHANG) != s->pid[i])
			continue;
		s->pid[i] = 0;
		any = s->failed = true;
		log_error("%s ended by itself; the end of its log:", part_name[i]);
		show_log(s, (enum stage_part)i);
	}
	return any;
}

bool stage_pause(struct stage *s, double seconds)
{
	double end = stage_now() + seconds;

	while (!s->stopped) {
		double now = stage_now(), left = end - now;
		struct timespec wait = {0};
		int number;

		if (left > 0) {
			wait.tv_sec = (time_t)left;
			wait.tv_nsec = (long)((left - (double)wait.tv_sec) * 1e9);
		}
		machine_note(&s->machine, now);
		number = sigtimedwait(&s->signals, NULL, &wait);
		if (number == SIGINT || number == SIGTERM)
			s->stopped = true;
		else if (part_ended(s))
			s->stopped = true;
		else if (left <= 0)
			break;
	}
	return !s->stopped;
}

double stage_p99_ms(const struct stage *s, double from, double to)
{
	struct record_second sum;
	char path[SITE_PATH];

	site_file(&s->site, SITE_USER, "load.csv", path);
	if (record_read(path, from, to, &sum) <= 0 || !sum.latency.total)
		return (double)NAN;
	return (double)hist_quantile_ns(&sum.latency, 0.99) * 1e-6;
}
