#include "tests/bpf/accuracy.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define WINDOW_MS 1000
#define PATIENCE_WINDOWS 90
#define PREFER_TRIES 100
#define NEAR_RATIO 0.05

const struct accuracy_server accuracy_server[ACCURACY_SERVERS] = {
	{"http", SERVICE_NGINX, WIRE_HTTP1, false},
	{"redis", SERVICE_REDIS, WIRE_REDIS, false},
	{"memcached", SERVICE_MEMCACHED, WIRE_MEMCACHED, false},
	{"postgresql", SERVICE_POSTGRESQL, WIRE_POSTGRESQL, true},
	{"mysql", SERVICE_MARIADB, WIRE_MYSQL, true},
	{"thrift", SERVICE_THRIFT, WIRE_THRIFT, false},
};

struct command {
	char **argv;
	int cpu;
	bool prompt;
};

int accuracy_prefer(const struct traffic_cgroup *front)
{
	static const char share[] = "900000"; /* us of every second; the root has 950,000 */
	char path[300];
	bool done;
	int fd;

	snprintf(path, sizeof(path), "%s/cpu.rt_runtime_us", front->path);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno; /* v2, or not divided among cgroups */
	/* What a cgroup had that was just removed is free only some time later. */
	for (int i = 0; !(done = write(fd, share, strlen(share)) > 0) && i < PREFER_TRIES; i++)
		traffic_pause_us(50000);
	close(fd);
	return done ? 0 : -EBUSY;
}

/* Unlike traffic_exec(), with the test's own stderr: the client says what went wrong. */
static int become_caller(void *ctx)
{
	const struct command *c = ctx;
	const struct sched_param low = {.sched_priority = 1};
	cpu_set_t one;

	if (c->cpu >= 0) {
		CPU_ZERO(&one);
		CPU_SET((size_t)c->cpu, &one);
		sched_setaffinity(0, sizeof(one), &one);
	}
	if (c->prompt)
		(void)sched_setscheduler(0, SCHED_FIFO, &low); /* without, its record is coarser */
	execv(c->argv[0], c->argv);
	return 127;
}

int accuracy_start(
	struct service *s, const struct accuracy_server *server, const struct traffic_cgroup *back)
{
	char port[8];
	char *argv[] = {SAGE_CALLER, (char *)server->name, s->address, port, "fill", NULL};
	struct command fill = {.argv = argv, .cpu = -1};
	int err = service_start(s, server->kind, back);

	if (err)
		return err;
	snprintf(port, sizeof(port), "%u", s->port);
	if (!traffic_wait(traffic_spawn(back, become_caller, &fill)))
		return 0;
	service_stop(s);
	return -EIO;
}

/* Read a window a second, as the agent does, until the client has ended. */
static int read_windows(struct capture *c, pid_t client, struct both *seen)
{
	struct pollfd end = {.fd = (int)syscall(SYS_pidfd_open, client, 0), .events = POLLIN};
	int err = end.fd < 0 ? -errno : 0, ended = 0;

	for (int i = 0; !err && !ended && i < PATIENCE_WINDOWS; i++) {
		ended = poll(&end, 1, WINDOW_MS);
		err = capture_read(c, seen_add, seen);
	}
	if (end.fd >= 0)
		close(end.fd);
	return err || ended ? err : -ETIMEDOUT;
}

static void ignore(void *ctx, const struct capture_edge *e)
{
	(void)ctx;
	(void)e;
}

int accuracy_run(struct capture *c, const struct service *s, const struct accuracy_server *server,
	const struct traffic_cgroup *front, const struct traffic_cgroup *back,
	const struct accuracy_load *load, struct accuracy *out)
{
	char port[8], connections[8], rate[16], seconds[16], path[160];
	char *argv[] = {SAGE_CALLER, (char *)server->name, (char *)s->address, port, connections,
		rate, seconds, path, NULL};
	struct command call = {.argv = argv, .cpu = load->cpu, .prompt = true};
	pid_t client;
	int err, status;

	*out = (struct accuracy){.seen = seen_between(front, back, s->port)};
	snprintf(port, sizeof(port), "%u", s->port);
	snprintf(connections, sizeof(connections), "%u", load->connections);
	snprintf(rate, sizeof(rate), "%.1f", load->rate);
	snprintf(seconds, sizeof(seconds), "%.2f", load->seconds);
	snprintf(path, sizeof(path), "%s/calls.csv", s->dir);
	err = capture_read(c, ignore, NULL); /* of what was before */
	if (err)
		return err;
	client = traffic_spawn(front, become_caller, &call);
	err = read_windows(c, client, &out->seen);
	if (err)
		traffic_stop(client);
	status = err ? 0 : traffic_wait(client);
	if (!err && (status || record_read(path, 0, INFINITY, &out->client) != 1))
		err = -EIO;
	return err ? err : seen_wait(c, &out->seen, out->client.done);
}

bool accuracy_near(const struct accuracy *a, double quantile, double near_ns, double *error_ns)
{
	double want = (double)hist_quantile_ns(&a->client.latency, quantile);
	double got = (double)hist_quantile_ns(&a->seen.client.sum.latency, quantile);

	*error_ns = got - want;
	return fabs(*error_ns) <= fmax(want * NEAR_RATIO, near_ns);
}
