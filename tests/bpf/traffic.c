#include "tests/bpf/traffic.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"

#define MAX_CALLS 16
#define PATIENCE_NS 60000000000ULL /* RabbitMQ takes its time */

static void refuse(const char *what)
{
	fprintf(stderr, "traffic: %s: %s\n", what, strerror(errno));
	_exit(99);
}

/* ---- cgroups */

static const char *cgroup_root(void)
{
	return access("/sys/fs/cgroup/cpu/cgroup.procs", F_OK) == 0 ? "/sys/fs/cgroup/cpu"
								    : "/sys/fs/cgroup";
}

int traffic_cgroup_subsys(void)
{
	char line[256], name[64];
	int number = 0;
	FILE *f;

	if (access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0)
		return -1;
	f = fopen("/proc/cgroups", "re");
	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f)) {
		if (line[0] == '#' || sscanf(line, "%63s", name) != 1)
			continue;
		if (strcmp(name, "cpu") == 0)
			break;
		number++;
	}
	fclose(f);
	return number;
}

int traffic_cgroup_open(struct traffic_cgroup *g, const char *name)
{
	struct stat st;

	snprintf(g->path, sizeof(g->path), "%s/sage-capture-%d-%s", cgroup_root(), getpid(), name);
	/* It may be there, of a test that was killed and had our number. */
	if (mkdir(g->path, 0755) && errno != EEXIST)
		refuse(g->path);
	if (stat(g->path, &st))
		return -errno;
	g->id = st.st_ino;
	return 0;
}

void traffic_cgroup_close(struct traffic_cgroup *g)
{
	for (int i = 0; i < 200 && rmdir(g->path) && errno == EBUSY; i++)
		traffic_pause_us(10000); /* the last process of it is still being reaped */
}

static void enter(const struct traffic_cgroup *g)
{
	char path[300];
	int fd;

	snprintf(path, sizeof(path), "%s/cgroup.procs", g->path);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0", 1) != 1)
		refuse(path);
	close(fd);
}

/* ---- processes */

void *traffic_share(size_t size)
{
	void *m = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (m == MAP_FAILED)
		refuse("shared memory");
	return m;
}

pid_t traffic_spawn(const struct traffic_cgroup *g, int (*run)(void *ctx), void *ctx)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	enter(g);
	_exit(run(ctx));
}

static int become(void *argv)
{
	int null = open("/dev/null", O_RDWR);

	dup2(null, 0);
	dup2(null, 1);
	dup2(null, 2);
	execvp(*(char **)argv, argv);
	return 127;
}

pid_t traffic_exec(const struct traffic_cgroup *g, char *const argv[])
{
	return traffic_spawn(g, become, (void *)(uintptr_t)argv);
}

int traffic_wait(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void traffic_stop(pid_t pid)
{
	kill(pid, SIGKILL);
	(void)traffic_wait(pid);
}

/* ---- sockets */

static struct sockaddr_in loopback(uint16_t port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

int traffic_listen(uint16_t *port)
{
	struct sockaddr_in a = loopback(0);
	socklen_t size = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, size) || listen(fd, 128) ||
		getsockname(fd, (struct sockaddr *)&a, &size))
		refuse("listen");
	*port = ntohs(a.sin_port);
	return fd;
}

int traffic_connect(uint16_t port)
{
	return traffic_connect_to("127.0.0.1", port);
}

int traffic_connect_to(const char *address, uint16_t port)
{
	struct sockaddr_in a = loopback(port);
	uint64_t deadline = clock_monotonic_ns() + PATIENCE_NS;
	int one = 1;

	if (inet_pton(AF_INET, address, &a.sin_addr) != 1)
		refuse(address);
	for (;;) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0) {
			setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
			return fd;
		}
		close(fd);
		if (clock_monotonic_ns() > deadline)
			refuse("connect");
		traffic_pause_us(5000);
	}
}

void traffic_write(int fd, const void *data, size_t size)
{
	const char *at = data;

	while (size) {
		ssize_t n = write(fd, at, size);

		if (n <= 0)
			refuse("write");
		at += n;
		size -= (size_t)n;
	}
}

/* Like read, but the end of the stream before the first byte is 0. */
static int read_all(int fd, void *data, size_t size)
{
	char *at = data;
	size_t left = size;

	while (left) {
		ssize_t n = read(fd, at, left);

		if (n == 0 && left == size)
			return 0;
		if (n <= 0)
			refuse("read");
		at += n;
		left -= (size_t)n;
	}
	return 1;
}

void traffic_read(int fd, void *data, size_t size)
{
	if (!read_all(fd, data, size))
		refuse("read: the connection ended");
}

void traffic_pause_us(uint32_t us)
{
	struct timespec t = {us / 1000000, (long)(us % 1000000) * 1000};

	while (nanosleep(&t, &t) && errno == EINTR)
		;
}

/* ---- the server, and its client */

/* Make the calls asked for; how long they were waited for. */
static uint64_t own_calls(const struct traffic_request *r)
{
	struct traffic_request call = {.delay_us = r->call_us, .chunks = 1};
	struct traffic_chunk chunk;
	int fd[MAX_CALLS];
	uint64_t start, waited;

	for (unsigned i = 0; i < r->calls && i < MAX_CALLS; i++)
		fd[i] = traffic_connect(r->port);
	start = clock_monotonic_ns();
	for (unsigned i = 0; i < r->calls && i < MAX_CALLS; i++) {
		traffic_write(fd[i], &call, sizeof(call));
		if (!r->parallel)
			traffic_read(fd[i], &chunk, sizeof(chunk));
	}
	for (unsigned i = 0; r->parallel && i < r->calls && i < MAX_CALLS; i++)
		traffic_read(fd[i], &chunk, sizeof(chunk));
	waited = clock_monotonic_ns() - start;
	for (unsigned i = 0; i < r->calls && i < MAX_CALLS; i++)
		close(fd[i]);
	return waited;
}

static void serve(int fd, uint64_t *answered_ns)
{
	struct traffic_chunk chunk;
	struct traffic_request r;

	memset(&chunk, 0xee, sizeof(chunk)); /* no protocol starts like this */
	while (read_all(fd, &r, sizeof(r))) {
		chunk.waited_ns = UINT64_MAX;
		if (r.calls)
			chunk.waited_ns = own_calls(&r);
		if (r.delay_us)
			traffic_pause_us(r.delay_us);
		for (unsigned i = 0; i < r.chunks; i++) {
			if (i)
				traffic_pause_us(r.gap_us);
			traffic_write(fd, &chunk, sizeof(chunk));
		}
		if (answered_ns)
			*answered_ns++ = clock_monotonic_ns();
	}
}

void traffic_serve_connection(int fd)
{
	serve(fd, NULL);
}

/* A child per connection, so that calls in parallel are served in parallel. */
int traffic_serve(void *server)
{
	const struct traffic_server *s = server;
	int one = 1, bad = 0;

	for (unsigned i = 0; i < s->connections; i++) {
		int fd = accept(s->listener, NULL, NULL);

		if (fd < 0)
			refuse("accept");
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			serve(fd, s->answered_ns);
			_exit(0);
		}
		close(fd);
	}
	for (unsigned i = 0; i < s->connections; i++) {
		int status;

		if (wait(&status) < 0 || status)
			bad = 1;
	}
	return bad;
}

uint64_t traffic_call(int fd, const struct traffic_request *r, uint64_t *waited_ns)
{
	struct traffic_chunk chunk;
	uint64_t start = clock_monotonic_ns();

	traffic_write(fd, r, sizeof(*r));
	for (unsigned i = 0; i < r->chunks; i++)
		traffic_read(fd, &chunk, sizeof(chunk));
	if (r->chunks && r->calls)
		*waited_ns += chunk.waited_ns;
	return clock_monotonic_ns() - start;
}
