#include "tests/bench/workload.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TEXT(x) #x
#define TEXT_OF(x) TEXT(x)
#define CONNECTIONS TEXT_OF(WORKLOAD_CONNECTIONS)
#define FIRST_REQUESTS "20000" /* of redis-benchmark, to learn how many fill the time */
#define FILE_BYTES 1024        /* that nginx serves */
#define READY_MS 5000
#define SLACK_MS 60000 /* a run may take so much longer than planned */
#define MOST_ARGUMENTS 24

static const char *const name[WORKLOADS] = {"redis", "nginx"};

const char *workload_name(enum workload_kind k)
{
	return name[k];
}

/* ---- the server ---------------------------------------------------------------------- */

static int connect_to(const char *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)atoi(port)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), err;

	if (fd < 0)
		return -errno;
	err = connect(fd, (struct sockaddr *)&a, sizeof(a)) ? -errno : 0;
	close(fd);
	return err;
}

/* One the kernel has free now. */
static int choose_port(char port[8])
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), err = 0;

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&a, size) || getsockname(fd, (struct sockaddr *)&a, &size))
		err = -errno;
	close(fd);
	snprintf(port, 8, "%u", ntohs(a.sin_port));
	return err;
}

static bool listens(void *ctx)
{
	const struct workload *w = ctx;

	return !connect_to(w->port);
}

static int write_nginx_files(const struct place *p, const char *port, const char *config)
{
	char path[PLACE_PATH];
	FILE *f = fopen(config, "we");
	int err;

	if (!f)
		return -errno;
	fprintf(f,
		"daemon off; worker_processes 1; user root; pid %s/nginx.pid;\n"
		"events { worker_connections 256; }\n"
		"http { access_log off; sendfile on; tcp_nopush on; keepalive_requests "
		"1000000000;\n"
		"server { listen 127.0.0.1:%s; root %s; } }\n",
		p->directory, port, p->directory);
	err = fclose(f) ? -errno : 0;
	place_file(p, "index.html", path);
	f = err ? NULL : fopen(path, "we");
	if (!f)
		return err ? err : -errno;
	for (unsigned i = 0; i < FILE_BYTES; i++)
		fputc('x', f);
	return fclose(f) ? -errno : 0;
}

/* argv[0] taskset, where there are CPUs to choose from; then the program and its arguments. */
static pid_t start_pinned(const struct place *p, const char *cgroup, const char *log, char *cpu,
	const char *const arguments[])
{
	char *argv[MOST_ARGUMENTS] = {"taskset", "-c", cpu};
	size_t n = sysconf(_SC_NPROCESSORS_ONLN) > 1 ? 3 : 0;

	for (size_t i = 0; arguments[i] && n < MOST_ARGUMENTS - 1; i++)
		argv[n++] = (char *)arguments[i];
	argv[n] = NULL;
	return place_start(p, cgroup, log, argv);
}

static pid_t start_server(struct workload *w)
{
	char config[PLACE_PATH], errors[PLACE_PATH], log[PLACE_PATH];
	const char *redis[] = {"redis-server", "--port", w->port, "--bind", "127.0.0.1", "--save",
		"", "--appendonly", "no", NULL};
	const char *nginx[] = {"nginx", "-c", config, "-e", errors, NULL};
	int err;

	place_file(w->place, "server.log", log);
	place_file(w->place, "nginx.conf", config);
	place_file(w->place, "nginx.log", errors);
	if (w->kind == WORKLOAD_REDIS)
		return start_pinned(w->place, w->server_cgroup, log, "0", redis);
	err = write_nginx_files(w->place, w->port, config);
	return err ? err : start_pinned(w->place, w->server_cgroup, log, "0", nginx);
}

/* ---- the load ------------------------------------------------------------------------ */

int workload_start(const struct workload *w, pid_t *load)
{
	char url[64], time[16];
	const char *redis[] = {"redis-benchmark", "-p", w->port, "-c", CONNECTIONS, "-n",
		w->requests, "-t", "get", "--csv", NULL};
	const char *nginx[] = {
		"wrk", "-t", "1", "-c", CONNECTIONS, "-d", time, "--latency", url, NULL};

	snprintf(url, sizeof(url), "http://127.0.0.1:%s/index.html", w->port);
	snprintf(time, sizeof(time), "%us", w->seconds);
	*load = start_pinned(
		w->place, w->load_cgroup, w->log, "1", w->kind == WORKLOAD_REDIS ? redis : nginx);
	if (*load < 0)
		fprintf(stderr, "capture_bench: load of %s: %s\n", name[w->kind], strerror(-*load));
	return *load < 0 ? *load : 0;
}

/* "GET","123456.78","0.1","0.0","0.119","0.2","0.3","1.0": test, rps, then avg min p50 p95 p99 ms
 */
static bool parse_redis(const char *text, const char *requests, struct workload_result *out)
{
	const char *at = strstr(text, "\"GET\"");
	double p50_ms, p99_ms;

	if (!at || sscanf(at, "\"GET\",\"%lf\",\"%*f\",\"%*f\",\"%lf\",\"%*f\",\"%lf\"",
			   &out->requests_per_s, &p50_ms, &p99_ms) != 3)
		return false;
	out->requests = strtoull(requests, NULL, 10);
	out->p50_us = p50_ms * 1e3;
	out->p99_us = p99_ms * 1e3;
	return true;
}

/* "     50%  123.00us" */
static bool parse_percentile(const char *text, const char *label, double *us)
{
	const char *at = strstr(text, label);
	char unit[3] = "";

	if (!at || sscanf(at + strlen(label), "%lf%2s", us, unit) != 2)
		return false;
	*us *= !strcmp(unit, "us") ? 1 : !strcmp(unit, "ms") ? 1e3 : 1e6;
	return true;
}

/* "  12345 requests in 1.00s, 10MB read" and "Requests/sec:  12345.67" */
static bool parse_wrk(const char *text, struct workload_result *out)
{
	const char *total = strstr(text, " requests in "), *rate = strstr(text, "Requests/sec:");

	if (!total || !rate || strstr(text, "Socket errors") || strstr(text, "Non-2xx"))
		return false;
	while (total > text && total[-1] >= '0' && total[-1] <= '9')
		total--;
	out->requests = strtoull(total, NULL, 10);
	return sscanf(rate, "Requests/sec: %lf", &out->requests_per_s) == 1 &&
	       parse_percentile(text, " 50%", &out->p50_us) &&
	       parse_percentile(text, " 99%", &out->p99_us);
}

int workload_finish(const struct workload *w, pid_t load, struct workload_result *out)
{
	int status = place_join(load, 1000 * w->seconds + SLACK_MS);
	struct workload_result r = {0};
	char text[8192];
	bool good;

	place_read(w->log, text, sizeof(text));
	good = w->kind == WORKLOAD_REDIS ? parse_redis(text, w->requests, &r) : parse_wrk(text, &r);
	if (status || !good) {
		fprintf(stderr, "capture_bench: load of %s: status %d, no result in:\n%.400s\n",
			name[w->kind], status, text);
		return -EBADMSG;
	}
	*out = r;
	return 0;
}

/* ---- both ---------------------------------------------------------------------------- */

/* redis-benchmark takes a number of requests, not a time. */
static int calibrate(struct workload *w)
{
	struct workload_result r;
	pid_t load;
	int err;

	if (w->kind != WORKLOAD_REDIS)
		return 0;
	snprintf(w->requests, sizeof(w->requests), FIRST_REQUESTS);
	err = workload_start(w, &load);
	if (!err)
		err = workload_finish(w, load, &r);
	if (!err)
		snprintf(w->requests, sizeof(w->requests), "%.0f", r.requests_per_s * w->seconds);
	return err;
}

static int make_cgroups(struct workload *w)
{
	char group[64];
	int err;

	snprintf(group, sizeof(group), "%s/server", name[w->kind]);
	err = place_cgroup(w->place, group, w->server_cgroup);
	if (err)
		return err;
	snprintf(group, sizeof(group), "%s-load/client", name[w->kind]);
	return place_cgroup(w->place, group, w->load_cgroup);
}

int workload_open(struct workload *w, enum workload_kind k, const struct place *p, unsigned seconds)
{
	int err;

	*w = (struct workload){.kind = k, .place = p, .seconds = seconds};
	place_file(p, "load.log", w->log);
	err = make_cgroups(w);
	if (!err)
		err = choose_port(w->port);
	if (!err) {
		w->server = start_server(w);
		err = w->server < 0 ? w->server : place_wait(w->server, listens, w, READY_MS);
	}
	if (err)
		fprintf(stderr, "capture_bench: %s did not start: %s\n", name[k], strerror(-err));
	else
		err = calibrate(w);
	if (err)
		workload_close(w);
	return err;
}

void workload_close(struct workload *w)
{
	place_stop(w->server, SIGTERM);
	w->server = 0;
}
