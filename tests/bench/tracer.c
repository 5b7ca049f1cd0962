#include "tests/bench/tracer.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READY_MS 20000

static const char *const name[TRACERS] = {"nothing", "sage-agent", "bpftrace", "peer", "empty"};

static const char *peer; /* a BPF object, or NULL */

/* What each says once it traces. */
static const char *const ready_text[TRACERS] = {
	NULL, ": watching, ", "tracing", "tracing", "tracing"};

/*
 * Both ends of every call over a socket, on the hooks the agent prefers: what follows a
 * receive is the answer of a server, what follows a send was waited for by a client.
 */
static const char script[] = "BEGIN { printf(\"tracing\\n\"); }\n"
			     "tracepoint:sock:sock_recv_length /args->ret > 0/ {\n"
			     "  if (@asked[args->sk]) {\n"
			     "    @client_us[comm] = hist((nsecs - @asked[args->sk]) / 1000);\n"
			     "    delete(@asked[args->sk]);\n"
			     "  } else { @got[args->sk] = nsecs; }\n"
			     "}\n"
			     "tracepoint:sock:sock_send_length /args->ret > 0/ {\n"
			     "  if (@got[args->sk]) {\n"
			     "    @server_us[comm] = hist((nsecs - @got[args->sk]) / 1000);\n"
			     "    delete(@got[args->sk]);\n"
			     "  } else { @asked[args->sk] = nsecs; }\n"
			     "}\n";

static const char empty_script[] = "BEGIN { printf(\"tracing\\n\"); }\n"
				   "tracepoint:sock:sock_recv_length { }\n"
				   "tracepoint:sock:sock_send_length { }\n";

const char *tracer_name(enum tracer_kind k)
{
	return name[k];
}

void tracer_use_peer(const char *object)
{
	peer = object;
}

bool tracer_there(enum tracer_kind k, const char **why)
{
	*why = "";
	if (k < TRACER_BPFTRACE)
		return true;
	if (k == TRACER_PEER)
		*why = peer ? "" : "no BPF object was given with --peer";
	else if (!place_has_program("bpftrace"))
		*why = "not installed";
	else if (access("/sys/kernel/tracing/events/sock/sock_send_length", F_OK))
		*why = "this kernel has no sock_send_length tracepoint, or tracefs is not mounted";
	return !**why;
}

static bool is_ready(void *ctx)
{
	const struct tracer *t = ctx;
	char text[8192];

	place_read(t->log, text, sizeof(text));
	return strstr(text, ready_text[t->kind]) != NULL;
}

static pid_t start_sage(struct tracer *t, const struct place *p)
{
	char *argv[] = {(char *)SAGE_AGENT, "run", "--control", t->control, "--state", t->state,
		"--name-rule", t->rule, NULL};

	place_file(p, "agent.sock", t->control);
	place_file(p, "agent.state", t->state);
	snprintf(t->rule, sizeof(t->rule), "%s/{service}/{container}", p->root);
	return place_start(p, NULL, t->log, argv);
}

static pid_t start_bpftrace(struct tracer *t, const struct place *p)
{
	const char *text = t->kind == TRACER_EMPTY ? empty_script : script;
	char *argv[] = {"bpftrace", "-e", (char *)text, NULL};

	return place_start(p, NULL, t->log, argv);
}

static pid_t start_peer(struct tracer *t, const struct place *p)
{
	char *argv[] = {(char *)SAGE_PEER_OBJECT, (char *)peer, NULL};

	return place_start(p, NULL, t->log, argv);
}

int tracer_start(struct tracer *t, enum tracer_kind k, const struct place *p)
{
	static pid_t (*const start[TRACERS])(struct tracer *, const struct place *) = {
		[TRACER_SAGE] = start_sage,
		[TRACER_BPFTRACE] = start_bpftrace,
		[TRACER_PEER] = start_peer,
		[TRACER_EMPTY] = start_bpftrace,
	};
	char text[4096];
	int err;

	*t = (struct tracer){.kind = k};
	if (k == TRACER_NONE)
		return 0;
	place_file(p, "tracer.log", t->log);
	t->pid = start[k](t, p);
	err = t->pid < 0 ? t->pid : place_wait(t->pid, is_ready, t, READY_MS);
	if (!err)
		return 0;
	place_read(t->log, text, sizeof(text));
	fprintf(stderr, "%s: %s did not start: %s\n%s\n", program_invocation_short_name, name[k],
		strerror(-err), text);
	tracer_stop(t);
	return err;
}

void tracer_stop(struct tracer *t)
{
	place_stop(t->pid, SIGINT);
	t->pid = 0;
}

/* ---- what it uses -------------------------------------------------------------------- */

static uint64_t thread_cpu_ns(pid_t pid, const char *thread)
{
	char path[PLACE_PATH], text[128];

	snprintf(path, sizeof(path), "/proc/%d/task/%.20s/schedstat", pid, thread);
	place_read(path, text, sizeof(text));
	return strtoull(text, NULL, 10);
}

static uint64_t cpu_ns(pid_t pid)
{
	char path[PLACE_PATH];
	uint64_t sum = 0;
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	d = opendir(path);
	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.')
			sum += thread_cpu_ns(pid, e->d_name);
	if (d)
		closedir(d);
	return sum;
}

static double status_mb(const char *text, const char *field)
{
	const char *at = strstr(text, field);

	return at ? strtod(at + strlen(field), NULL) / 1024 : 0;
}

void tracer_usage(const struct tracer *t, struct tracer_usage *out)
{
	char path[PLACE_PATH], text[4096];

	*out = (struct tracer_usage){0};
	if (t->pid <= 0)
		return;
	snprintf(path, sizeof(path), "/proc/%d/status", t->pid);
	place_read(path, text, sizeof(text));
	out->rss_mb = status_mb(text, "VmRSS:");
	out->peak_mb = status_mb(text, "VmHWM:");
	out->cpu_ns = cpu_ns(t->pid);
}
