/*
 * sage-demo: the main job, end to end, on the real application. Starts the
 * application, the agent and the analyzer, lets them learn, injects faults one
 * after the other, and shows what was diagnosed and done. Needs root.
 */
#include <argp.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.h"
#include "tests/testbed/needs.h"
#include "tests/testbed/report.h"
#include "tests/testbed/spawn.h"
#include "tests/testbed/stage.h"
#include "tests/testbed/trial.h"
#include "tests/testbed/watch.h"

#define FAULTS_MAX 100
#define LEARN_TIMEOUT_S 280
#define HEALTH_GAP_S 15 /* of watched health between two faults */

struct options {
	struct stage_options stage;
	unsigned long faults, seed;
	bool once;
	const char *json, *save;
};

enum key {
	KEY_ONCE = 256,
	KEY_JSON,
	KEY_SAVE,
	KEY_AGENT,
	KEY_ANALYZER,
	KEY_TRAIN,
	KEY_WINDOW,
	KEY_HTTP,
	KEY_PORT
};

static const struct argp_option option_table[] = {
	{"faults", 'f', "N", 0, "How many faults to inject (8)", 0},
	{"seed", 's', "N", 0, "Seed of faults and load (1)", 0},
	{"topology", 't', "FILE", 0, "The application (the social network)", 0},
	{"once", KEY_ONCE, NULL, 0, "End after the faults; without, the dashboard stays up", 0},
	{"json", KEY_JSON, "FILE", 0, "Write the table as JSON", 0},
	{"save", KEY_SAVE, "DIR", 0, "Save the run as a recording, with the truth", 0},
	{"agent", KEY_AGENT, "FILE", 0, "The sage-agent to run", 1},
	{"analyzer", KEY_ANALYZER, "FILE", 0, "The sage-analyzer to run", 1},
	{"train-after", KEY_TRAIN, "N", 0, "Windows to learn from first (120)", 1},
	{"window", KEY_WINDOW, "S", 0, "Length of a window, seconds (1)", 1},
	{"http", KEY_HTTP, "PORT", 0, "Port of the dashboard (8080)", 1},
	{"port", KEY_PORT, "PORT", 0, "Port the analyzer takes windows at (7411)", 1},
	{"name", 'n', "NAME", 0, "Name of the instance (" STAGE_NAME ")", 1},
	{0},
};

static unsigned long parse_number(struct argp_state *state, const char *value, unsigned long high)
{
	char *end;
	unsigned long n = strtoul(value, &end, 10);

	if (end == value || *end || n > high)
		argp_error(state, "'%s': a number from 0 to %lu is wanted", value, high);
	return n;
}

static error_t parse_option(int key, char *value, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'f':
		o->faults = parse_number(state, value, FAULTS_MAX);
		return 0;
	case 's':
		o->seed = parse_number(state, value, 1000000000);
		o->stage.seed = value;
		return 0;
	case 't':
		o->stage.topology = value;
		return 0;
	case 'n':
		o->stage.name = value;
		return 0;
	case KEY_ONCE:
		o->once = true;
		return 0;
	case KEY_JSON:
		o->json = value;
		return 0;
	case KEY_SAVE:
		o->save = value;
		return 0;
	case KEY_AGENT:
		o->stage.agent = value;
		return 0;
	case KEY_ANALYZER:
		o->stage.analyzer = value;
		return 0;
	case KEY_TRAIN:
		o->stage.train_after = value;
		return 0;
	case KEY_WINDOW:
		o->stage.window_s = value;
		return 0;
	case KEY_HTTP:
		o->stage.http_port = value;
		return 0;
	case KEY_PORT:
		o->stage.port = value;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* A line that replaces itself on a terminal, and is left out elsewhere. */
static void show(const char *format, double a, double b, const char *word)
{
	if (!isatty(STDOUT_FILENO))
		return;
	printf("\r\033[K");
	printf(format, a, b, word);
	fflush(stdout);
}

static void end_line(void)
{
	if (isatty(STDOUT_FILENO))
		printf("\r\033[K");
}

/* Until the model is ready and a target stands. Returns 0 or -errno. */
static int learn(struct stage *s, double start)
{
	struct watch_progress p = {.windows = 0};

	while (stage_pause(s, 1)) {
		double seconds = stage_now() - start;

		if (watch_progress(&s->api, &p) && !strcmp(p.model, "ready") &&
			!isnan(watch_target_ms(&s->api))) {
			end_line();
			printf("learnt %.0f windows of %.0f services and %.0f edges in %.0f s; "
			       "target: p99 < %.0f ms\n",
				p.windows, p.services, p.edges, seconds, watch_target_ms(&s->api));
			fflush(stdout);
			return 0;
		}
		if (seconds > LEARN_TIMEOUT_S) {
			end_line();
			log_error("no model after %d s (state '%s', %.0f windows)", LEARN_TIMEOUT_S,
				p.model, p.windows);
			s->failed = true;
			return -ETIMEDOUT;
		}
		show("learning: %3.0f s, %.0f windows, model %s", seconds, p.windows, p.model);
	}
	return -ECANCELED;
}

static void announce(const struct trial *t, size_t number, size_t count)
{
	printf("%zu/%zu %s at %s: ", number, count, fault_name[t->kind], t->service->name);
	fflush(stdout);
}

static void announce_end(const struct trial *t)
{
	if (*t->said_service)
		printf("%s %s after %.0f s", t->said_service, t->said_resource, t->diagnosis_s);
	else
		printf("%s", t->verdict);
	printf("%s\n", t->healed ? ", healed" : "");
	fflush(stdout);
}

/* What was said of the time since the mark, in which there was no fault. */
static void count_alarms(struct stage *s, const struct watch_mark *mark, double since_s,
	double until_s, struct report_totals *health)
{
	struct watch_incident incident[WATCH_INCIDENTS];
	unsigned count = watch_incidents(&s->api, mark, since_s, until_s, incident);

	for (unsigned i = 0; i < count; i++) {
		if (trial_is_of_machine(s, &incident[i]))
			health->stolen++;
		else
			health->false_alarms++;
	}
	health->healthy_s += until_s - since_s;
}

/* Inject all, with watched health before each. Returns how many were done. */
static size_t inject(struct stage *s, struct trial *t, size_t count, struct report_totals *health)
{
	struct watch_mark mark = {0, 0};
	double healthy = stage_now();
	size_t done = 0;

	watch_mark(&s->api, &mark);
	for (; done < count; done++) {
		if (!stage_pause(s, HEALTH_GAP_S))
			break;
		announce(&t[done], done + 1, count);
		if (trial_run(&t[done], s))
			break;
		announce_end(&t[done]);
		/* The window in which the fault began is the fault's. */
		count_alarms(s, &mark, healthy, t[done].injected - stage_window_s(s), health);
		watch_mark(&s->api, &mark);
		healthy = stage_now();
	}
	return done;
}

/* Save the run by the analyzer itself, and add the truth that only the demo knows. */
static int save(const struct options *o, const struct trial *t, size_t trials)
{
	char url[64], path[SITE_PATH];
	char *argv[] = {
		(char *)o->stage.analyzer, "record", "--url", url, "--out", (char *)o->save, NULL};
	const struct spawn how = {0};
	FILE *f;
	int err;

	snprintf(url, sizeof(url), "http://127.0.0.1:%s", o->stage.http_port);
	err = spawn_run(&how, argv);
	if (err)
		return err;
	snprintf(path, sizeof(path), "%.200s/truth.csv", o->save);
	f = fopen(path, "we");
	if (!f)
		return -errno;
	fprintf(f, "from,to,entity,resource\n");
	for (size_t i = 0; i < trials; i++)
		fprintf(f, "%.0f,%.0f,%s,%s\n", t[i].injected, t[i].undone, t[i].service->name,
			fault_resource[t[i].kind]);
	return fclose(f) ? -errno : 0;
}

static struct report_totals total(
	const struct trial *t, size_t trials, const struct report_totals *health, double start)
{
	struct report_totals sum = report_sum(t, trials);

	sum.false_alarms = health->false_alarms;
	sum.stolen += health->stolen;
	sum.healthy_s = health->healthy_s;
	sum.first_diagnosis_s = (double)NAN;
	for (size_t i = 0; i < trials && isnan(sum.first_diagnosis_s); i++)
		sum.first_diagnosis_s = t[i].injected + t[i].diagnosis_s - start;
	return sum;
}

static int run(struct stage *s, const struct options *o, double start)
{
	static struct trial trial[FAULTS_MAX];
	struct report_totals health = {0}, sum;
	size_t count, done;
	int err = learn(s, start);

	if (err)
		return 1;
	count = trial_draw(trial, o->faults, &s->site.topology, &s->site, o->seed);
	done = inject(s, trial, count, &health);
	sum = total(trial, done, &health, start);
	report_print(trial, done, &sum);
	if (o->json && (err = report_write(o->json, trial, done, &sum)))
		log_error("%s: not written: %s", o->json, strerror(-err));
	if (o->save && (err = save(o, trial, done)))
		log_error("%s: the run was not saved: %s", o->save, strerror(-err));
	if (!o->once && !s->stopped) {
		printf("\nThe dashboard stays at http://127.0.0.1:%s until Ctrl-C.\n",
			o->stage.http_port);
		fflush(stdout);
		while (stage_pause(s, 60))
			continue;
	}
	return !err && done == count && report_worked(&sum) ? 0 : 1;
}

/* Programs and topologies lie where the build put them, beside this one. */
static int find_parts(struct options *o, char agent[SITE_PATH], char analyzer[SITE_PATH],
	char topology[SITE_PATH])
{
	char here[SITE_PATH];
	ssize_t n = readlink("/proc/self/exe", here, sizeof(here) - 64);

	if (n < 0)
		return -errno;
	here[n] = 0;
	*strrchr(here, '/') = 0;
	snprintf(agent, SITE_PATH, "%.190s/../../agent/sage-agent", here);
	snprintf(analyzer, SITE_PATH, "%.190s/../../analyzer/sage-analyzer", here);
	snprintf(topology, SITE_PATH, "%s/social.conf", SAGE_TOPOLOGIES);
	o->stage.agent = o->stage.agent ? o->stage.agent : agent;
	o->stage.analyzer = o->stage.analyzer ? o->stage.analyzer : analyzer;
	o->stage.topology = o->stage.topology ? o->stage.topology : topology;
	if (access(o->stage.agent, X_OK) || access(o->stage.analyzer, X_OK)) {
		log_error("%s or %s: not there: build them first, or name them by --agent and "
			  "--analyzer",
			o->stage.agent, o->stage.analyzer);
		return -ENOENT;
	}
	return 0;
}

int main(int argc, char **argv)
{
	static const struct argp parser = {option_table, parse_option, NULL,
		"Show Sage on a real application with real faults.", NULL, NULL, NULL};
	static struct stage stage;
	char agent[SITE_PATH], analyzer[SITE_PATH], topology[SITE_PATH];
	struct options o = {
		.stage = {.name = STAGE_NAME,
			.seed = "1",
			.port = "7411",
			.http_port = "8080",
			.window_s = "1",
			.train_after = "120"},
		.faults = 8,
		.seed = 1,
	};
	double start = stage_now();
	int status;

	log_init("sage-demo", LOG_INFO);
	argp_parse(&parser, argc, argv, 0, NULL, &o);
	if (!needs_rights() || !needs_port(o.stage.http_port, "the dashboard", "--http") ||
		!needs_port(o.stage.port, "the agent's windows", "--port"))
		return 2;
	if (find_parts(&o, agent, analyzer, topology) || stage_open(&stage, &o.stage))
		return 1;
	printf("%zu services are up; dashboard: http://127.0.0.1:%s\n",
		stage.site.topology.services, o.stage.http_port);
	fflush(stdout);
	status = run(&stage, &o, start);
	stage_close(&stage);
	return status;
}
