#include "tests/bench/workload.h"

#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bench/workload_parts.h"

#define READY_MS 5000
#define SLACK_MS 60000 /* a run may take so much longer than planned */
#define MOST_ARGUMENTS 24
#define TIER_PORT "9090" /* of the testbed */

static const struct {
	const char *name, *server, *load; /* programs; NULL: built here */
} workload[WORKLOADS] = {
	[WORKLOAD_REDIS] = {"redis", "redis-server", "redis-benchmark"},
	[WORKLOAD_NGINX] = {"nginx", "nginx", "wrk"},
	[WORKLOAD_MEMCACHED] = {"memcached", "memcached", NULL},
	[WORKLOAD_THRIFT] = {"thrift", NULL, NULL},
};

const char *workload_name(enum workload_kind k)
{
	return workload[k].name;
}

bool workload_there(enum workload_kind k, const char **why)
{
	*why = "";
	if (workload[k].server && !place_has_program(workload[k].server))
		*why = workload[k].server;
	else if (workload[k].load && !place_has_program(workload[k].load))
		*why = workload[k].load;
	return !**why;
}

static bool address_of(const struct workload *w, struct sockaddr_in *a)
{
	*a = (struct sockaddr_in){
		.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(w->port))};
	return inet_pton(AF_INET, w->address, &a->sin_addr) == 1;
}

static bool listens(void *ctx)
{
	struct sockaddr_in a;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool yes = fd >= 0 && address_of(ctx, &a) && !connect(fd, (struct sockaddr *)&a, sizeof(a));

	if (fd >= 0)
		close(fd);
	return yes;
}

/* A port the kernel has free now; a tier has its own, and gets an address that is. */
static int choose_address(struct workload *w)
{
	unsigned pid = (unsigned)getpid();
	struct sockaddr_in a;
	socklen_t size = sizeof(a);
	int fd, err = 0;

	if (w->kind == WORKLOAD_THRIFT) {
		snprintf(w->address, sizeof(w->address), "127.%u.%u.10", pid >> 8 & 0xff,
			pid & 0xff);
		snprintf(w->port, sizeof(w->port), TIER_PORT);
		return 0;
	}
	snprintf(w->address, sizeof(w->address), "127.0.0.1");
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	address_of(w, &a);
	if (bind(fd, (struct sockaddr *)&a, size) || getsockname(fd, (struct sockaddr *)&a, &size))
		err = -errno;
	close(fd);
	snprintf(w->port, sizeof(w->port), "%u", ntohs(a.sin_port));
	return err;
}

pid_t workload_start_pinned(const struct place *p, const char *cgroup, const char *log, char *cpu,
	const char *const arguments[])
{
	char *argv[MOST_ARGUMENTS] = {"taskset", "-c", cpu};
	size_t n = sysconf(_SC_NPROCESSORS_ONLN) > 1 ? 3 : 0;

	for (size_t i = 0; arguments[i] && n < MOST_ARGUMENTS - 1; i++)
		argv[n++] = (char *)arguments[i];
	argv[n] = NULL;
	return place_start(p, cgroup, log, argv);
}

/* ---- a run --------------------------------------------------------------------------- */

static uint64_t server_cpu_ns(const struct workload *w)
{
	uint64_t ns;

	return cgroups_cpu_ns(&w->place->cgroups, w->server_cgroup, &ns) ? UINT64_MAX : ns;
}

int workload_start(struct workload *w, pid_t *load)
{
	w->cpu_ns = server_cpu_ns(w);
	*load = workload_load_start(w);
	if (*load < 0)
		fprintf(stderr, "%s: load of %s: %s\n", program_invocation_short_name,
			workload[w->kind].name, strerror(-*load));
	return *load < 0 ? *load : 0;
}

int workload_finish(struct workload *w, pid_t load, struct workload_result *out)
{
	int status = place_join(load, 1000 * w->seconds + SLACK_MS);
	struct workload_result r = {.server_cpu_us = NAN};
	uint64_t cpu_ns = server_cpu_ns(w);
	char text[512];

	if (status || !workload_load_read(w, &r)) {
		place_read(w->log, text, sizeof(text));
		fprintf(stderr, "%s: load of %s: status %d, no result in:\n%s\n",
			program_invocation_short_name, workload[w->kind].name, status, text);
		return -EBADMSG;
	}
	if (r.requests && cpu_ns != UINT64_MAX && w->cpu_ns != UINT64_MAX)
		r.server_cpu_us = (double)(cpu_ns - w->cpu_ns) / 1e3 / (double)r.requests;
	*out = r;
	return 0;
}

/* ---- its life ------------------------------------------------------------------------ */

static int make_cgroups(struct workload *w)
{
	char group[64];
	int err;

	snprintf(group, sizeof(group), "%s/server", workload[w->kind].name);
	err = place_cgroup(w->place, group, w->server_cgroup);
	if (err)
		return err;
	snprintf(group, sizeof(group), "%s-load/client", workload[w->kind].name);
	return place_cgroup(w->place, group, w->load_cgroup);
}

int workload_open(struct workload *w, enum workload_kind k, const struct place *p, unsigned seconds)
{
	int err;

	*w = (struct workload){.kind = k, .place = p, .seconds = seconds};
	place_file(p, "load.log", w->log);
	err = make_cgroups(w);
	if (!err)
		err = choose_address(w);
	if (!err) {
		w->server = workload_server_start(w);
		err = w->server < 0 ? w->server : place_wait(w->server, listens, w, READY_MS);
	}
	if (!err)
		err = workload_load_prepare(w);
	if (err)
		fprintf(stderr, "%s: %s did not start: %s\n", program_invocation_short_name,
			workload[k].name, strerror(-err));
	if (err)
		workload_close(w);
	return err;
}

void workload_close(struct workload *w)
{
	place_stop(w->server, SIGTERM);
	w->server = 0;
}
