#include "analyzer/serve.h"

#include <argp.h>
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/agent_key.h"
#include "analyzer/api.h"
#include "analyzer/intake.h"
#include "common/log.h"

#define STEP_MS 250
#define TOKEN_MAX 4096

struct serve_options {
	struct core_options core;
	const char *listen, *http, *token_file, *agents_key_file;
	struct net_tls tls;
	char *token; /* owned */
};

enum {
	OPT_LISTEN = 256,
	OPT_HTTP,
	OPT_DATA,
	OPT_SLO,
	OPT_WINDOW,
	OPT_RETAIN_HOURS,
	OPT_RETAIN_BYTES,
	OPT_MODE,
	OPT_TRAIN_AFTER,
	OPT_RETRAIN_EVERY,
	OPT_METHOD,
	OPT_TOKEN_FILE,
	OPT_TLS_CA,
	OPT_TLS_CERT,
	OPT_TLS_KEY,
	OPT_AGENTS_KEY
};

static const struct argp_option options[] = {
	{"listen", OPT_LISTEN, "URL", 0, "Agents connect here (tcp://0.0.0.0:7411; tls+tcp://)", 0},
	{"http", OPT_HTTP, "ADDR:PORT", 0, "Dashboard and API (127.0.0.1:8080)", 0},
	{"data", OPT_DATA, "DIR", 0, "What must survive a restart (./sage-data)", 0},
	{"slo", OPT_SLO, "FILE", 0, "Targets; proposed from history when there are none", 0},
	{"window", OPT_WINDOW, "S", 0, "Length of a model window in seconds, 1 to 300 (5)", 0},
	{"retain-hours", OPT_RETAIN_HOURS, "N", 0, "How long windows are kept (48)", 0},
	{"retain-bytes", OPT_RETAIN_BYTES, "N", 0, "How large the store may get (2147483648)", 0},
	{"mode", OPT_MODE, "MODE", 0, "observe, recommend or enforce (as last set; recommend)", 0},
	{"train-after", OPT_TRAIN_AFTER, "WINDOWS", 0, "First training after so many (120)", 0},
	{"retrain-every", OPT_RETRAIN_EVERY, "S", 0, "Then every S seconds (1800)", 0},
	{"method", OPT_METHOD, "M", 0, "guarded, faithful or robust (guarded)", 0},
	{"token-file", OPT_TOKEN_FILE, "FILE", 0, "Bearer token that POST requests must carry", 0},
	{"tls-ca", OPT_TLS_CA, "FILE", 0, "CA of the agents' certificates", 0},
	{"tls-cert", OPT_TLS_CERT, "FILE", 0, "This analyzer's certificate", 0},
	{"tls-key", OPT_TLS_KEY, "FILE", 0, "Its key", 0},
	{"agents-key", OPT_AGENTS_KEY, "FILE", 0,
		"Believe only agents with their `sage-analyzer agent-key` of this key", 0},
	{0},
};

static double number(
	struct argp_state *state, const char *name, const char *arg, double low, double high)
{
	char *end;
	double v = strtod(arg, &end);

	if (*end || end == arg || !(v >= low && v <= high))
		argp_error(state, "--%s %s: want a number from %g to %g", name, arg, low, high);
	return v;
}

static error_t parse_text(int key, char *arg, struct serve_options *o)
{
	switch (key) {
	case OPT_LISTEN:
		o->listen = arg;
		return 0;
	case OPT_HTTP:
		o->http = arg;
		return 0;
	case OPT_DATA:
		o->core.data = arg;
		return 0;
	case OPT_SLO:
		o->core.slo_file = arg;
		return 0;
	case OPT_TOKEN_FILE:
		o->token_file = arg;
		return 0;
	case OPT_TLS_CA:
		o->tls.ca_file = arg;
		return 0;
	case OPT_TLS_CERT:
		o->tls.cert_file = arg;
		return 0;
	case OPT_TLS_KEY:
		o->tls.key_file = arg;
		return 0;
	case OPT_AGENTS_KEY:
		o->agents_key_file = arg;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct serve_options *o = state->input;
	struct core_options *c = &o->core;

	switch (key) {
	case OPT_WINDOW:
		c->window_s = number(state, "window", arg, 1, 300);
		if (c->window_s != floor(c->window_s))
			argp_error(state, "--window %s: want whole seconds, as agents ship", arg);
		return 0;
	case OPT_RETAIN_HOURS:
		c->retain_s = 3600 * number(state, "retain-hours", arg, 0.1, 87600);
		return 0;
	case OPT_RETAIN_BYTES:
		c->retain_bytes = (uint64_t)number(state, "retain-bytes", arg, 1e6, 1e15);
		return 0;
	case OPT_TRAIN_AFTER:
		c->train_after = (size_t)number(state, "train-after", arg, 10, 1e6);
		return 0;
	case OPT_RETRAIN_EVERY:
		c->retrain_s = number(state, "retrain-every", arg, 5, 1e7);
		return 0;
	case OPT_MODE:
		if (!act_mode_parse(arg, &c->mode))
			argp_error(state, "--mode %s: want observe, recommend or enforce", arg);
		c->mode_given = true;
		return 0;
	case OPT_METHOD:
		if (!method_parse(arg, &c->method))
			argp_error(state, "--method %s: want one of %s", arg, method_names());
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "%s: unexpected argument", arg);
		return 0;
	default:
		return parse_text(key, arg, o);
	}
}

/* The first line of the file, without its end. NULL with one line logged. */
static char *read_token(const char *path)
{
	char line[TOKEN_MAX] = "";
	FILE *f = fopen(path, "re");

	if (!f) {
		log_error("--token-file %s: %s", path, strerror(errno));
		return NULL;
	}
	if (!fgets(line, sizeof(line), f))
		line[0] = 0;
	fclose(f);
	line[strcspn(line, "\r\n")] = 0;
	if (strlen(line) < 16) {
		log_error("--token-file %s: the token needs 16 characters or more", path);
		return NULL;
	}
	return strdup(line);
}

/* ---- running -------------------------------------------------------------- */

struct server {
	struct core *core;
	struct intake *intake;
	struct http *http;
};

static void wake_agent(void *ctx, const char *agent)
{
	struct server *s = ctx;

	intake_wake(s->intake, agent);
}

/*
 * A flag, not a signalfd: whichever thread a signal meets, a library's too, it stops the program in
 * order and does not end it there.
 */
static volatile sig_atomic_t stop_asked;

static void on_signal(int number)
{
	(void)number;
	stop_asked = 1;
}

static void catch_signals(void)
{
	struct sigaction stop_on = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	struct sigaction ignore = {.sa_handler = SIG_IGN};

	sigaction(SIGTERM, &stop_on, NULL);
	sigaction(SIGINT, &stop_on, NULL);
	sigaction(SIGPIPE, &ignore, NULL);
}

static int start_http(struct server *s, const struct serve_options *o)
{
	struct http_options h = {
		.address = o->http, .token = o->token, .handler = api_handle, .ctx = s->core};
	char why[512] = "out of memory";
	int err = http_open(&s->http, &h, why, sizeof(why));

	if (err)
		log_error("%s", why);
	return err;
}

static int start_intake(struct server *s, const struct serve_options *o)
{
	struct identity_key master;
	struct intake_options i = {.url = o->listen,
		.tls = o->tls,
		.master = o->agents_key_file ? &master : NULL,
		.ctx = s->core,
		.batches = core_batches,
		.poll = core_poll,
		.last_sequence = core_last_sequence};

	int err = o->agents_key_file ? agent_key_read("--agents-key", o->agents_key_file, &master)
				     : 0;

	if (!err)
		err = intake_open(&s->intake, &i);
	explicit_bzero(&master, sizeof(master));
	return err; /* both say why themselves */
}

static int start(struct server *s, const struct serve_options *o)
{
	char why[512] = "out of memory";
	int err;

	catch_signals();
	err = core_open(&s->core, &o->core, why, sizeof(why));
	if (err) {
		log_error("%s", why);
		return err;
	}
	err = start_http(s, o);
	if (!err)
		err = start_intake(s, o);
	if (err)
		return err;
	core_lock(s->core);
	s->core->wake = wake_agent;
	s->core->wake_ctx = s;
	s->core->intake = s->intake;
	core_unlock(s->core);
	log_info("agents: %s   dashboard: http://%s/   data: %s", o->listen, o->http, o->core.data);
	return 0;
}

static void stop(struct server *s)
{
	http_close(s->http);
	if (s->intake)
		intake_close(s->intake);
	core_close(s->core);
}

int serve(int argc, char **argv)
{
	static const struct argp argp = {options, parse, NULL,
		"Take agents' windows, show them, find what makes targets be missed.", NULL, NULL,
		NULL};
	struct serve_options o = {
		.core = {.data = "sage-data",
			.window_s = 5,
			.keep_s = 2 * 3600,
			.retain_s = 48 * 3600,
			.retain_bytes = 2ULL << 30,
			.train_after = 120,
			.retrain_s = 1800,
			.method = METHOD_GUARDED,
			.mode = ACT_RECOMMEND},
		.listen = "tcp://0.0.0.0:7411",
		.http = "127.0.0.1:8080",
	};
	struct server s = {0};
	int err;

	if (argp_parse(&argp, argc, argv, 0, NULL, &o))
		return 1;
	if (o.token_file && !(o.token = read_token(o.token_file)))
		return 1;
	err = start(&s, &o);
	while (!err && !stop_asked)
		core_step(s.core, STEP_MS);
	stop(&s);
	free(o.token);
	return err ? 1 : 0;
}
