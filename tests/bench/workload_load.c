#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/workload_parts.h"
#include "tests/testbed/record.h"

#define TEXT(x) #x
#define TEXT_OF(x) TEXT(x)
#define CONNECTIONS TEXT_OF(WORKLOAD_CONNECTIONS)
#define FIRST_REQUESTS "20000" /* of redis-benchmark, to learn how many fill the time */
#define PREPARE_MS 20000

static pid_t start(const struct workload *w, const char *const arguments[])
{
	return workload_start_pinned(w->place, w->load_cgroup, w->log, "1", arguments);
}

/* ---- redis-benchmark ----------------------------------------------------------------- */

static pid_t start_redis_benchmark(const struct workload *w)
{
	const char *redis[] = {"redis-benchmark", "-h", w->address, "-p", w->port, "-c",
		CONNECTIONS, "-n", w->requests, "-t", "get", "--csv", NULL};

	return start(w, redis);
}

/* "GET","123456.78","0.1","0.0","0.119","0.2","0.3","1.0": test, rps, then avg min p50 p95 p99 ms
 */
static bool read_redis_benchmark(const struct workload *w, struct workload_result *out)
{
	char text[8192];
	double p50_ms, p99_ms;
	const char *at;

	place_read(w->log, text, sizeof(text));
	at = strstr(text, "\"GET\"");
	if (!at || sscanf(at, "\"GET\",\"%lf\",\"%*f\",\"%*f\",\"%lf\",\"%*f\",\"%lf\"",
			   &out->requests_per_s, &p50_ms, &p99_ms) != 3)
		return false;
	out->requests = strtoull(w->requests, NULL, 10);
	out->p50_us = p50_ms * 1e3;
	out->p99_us = p99_ms * 1e3;
	return true;
}

/* It takes a number of requests, not a time. */
static int prepare_redis_benchmark(struct workload *w)
{
	struct workload_result r;
	pid_t load;
	int err;

	snprintf(w->requests, sizeof(w->requests), FIRST_REQUESTS);
	err = workload_start(w, &load);
	if (!err)
		err = workload_finish(w, load, &r);
	if (!err)
		snprintf(w->requests, sizeof(w->requests), "%.0f", r.requests_per_s * w->seconds);
	return err;
}

/* ---- wrk ----------------------------------------------------------------------------- */

static pid_t start_wrk(const struct workload *w)
{
	char url[64], time[16];
	const char *wrk[] = {
		"wrk", "-t", "1", "-c", CONNECTIONS, "-d", time, "--latency", url, NULL};

	snprintf(url, sizeof(url), "http://%s:%s/index.html", w->address, w->port);
	snprintf(time, sizeof(time), "%us", w->seconds);
	return start(w, wrk);
}

/* "     50%  123.00us" */
static bool read_percentile(const char *text, const char *label, double *us)
{
	const char *at = strstr(text, label);
	char unit[3] = "";

	if (!at || sscanf(at + strlen(label), "%lf%2s", us, unit) != 2)
		return false;
	*us *= !strcmp(unit, "us") ? 1 : !strcmp(unit, "ms") ? 1e3 : 1e6;
	return true;
}

/* "  12345 requests in 1.00s, 10MB read" and "Requests/sec:  12345.67" */
static bool read_wrk(const struct workload *w, struct workload_result *out)
{
	char text[8192];
	const char *total, *rate;

	place_read(w->log, text, sizeof(text));
	total = strstr(text, " requests in ");
	rate = strstr(text, "Requests/sec:");
	if (!total || !rate || strstr(text, "Socket errors") || strstr(text, "Non-2xx"))
		return false;
	while (total > text && total[-1] >= '0' && total[-1] <= '9')
		total--;
	out->requests = strtoull(total, NULL, 10);
	return sscanf(rate, "Requests/sec: %lf", &out->requests_per_s) == 1 &&
	       read_percentile(text, " 50%", &out->p50_us) &&
	       read_percentile(text, " 99%", &out->p99_us);
}

/* ---- sage-caller --------------------------------------------------------------------- */

static pid_t start_caller(const struct workload *w)
{
	char rate[16], seconds[16], record[PLACE_PATH];
	const char *caller[] = {SAGE_CALLER, workload_name(w->kind), w->address, w->port,
		CONNECTIONS, rate, seconds, record, NULL};

	snprintf(rate, sizeof(rate), "%.0f", w->rate);
	snprintf(seconds, sizeof(seconds), "%u", w->seconds);
	place_file(w->place, "calls.csv", record);
	unlink(record);
	return start(w, caller);
}

static bool read_caller(const struct workload *w, struct workload_result *out)
{
	struct record_second r;
	char record[PLACE_PATH];

	place_file(w->place, "calls.csv", record);
	if (record_read(record, 0, INFINITY, &r) != 1 || r.errors)
		return false;
	out->requests = r.done;
	out->requests_per_s = r.rate;
	out->p50_us = (double)hist_quantile_ns(&r.latency, 0.5) / 1e3;
	out->p99_us = (double)hist_quantile_ns(&r.latency, 0.99) / 1e3;
	return true;
}

static int prepare_caller(struct workload *w)
{
	const char *fill[] = {
		SAGE_CALLER, workload_name(w->kind), w->address, w->port, "fill", NULL};
	pid_t pid = start(w, fill);

	return pid < 0 ? pid : place_join(pid, PREPARE_MS) ? -EIO : 0;
}

/* ---- by kind ------------------------------------------------------------------------- */

static const struct load {
	pid_t (*start)(const struct workload *w);
	bool (*read)(const struct workload *w, struct workload_result *out);
	int (*prepare)(struct workload *w); /* NULL: nothing to do */
} loads[WORKLOADS] = {
	[WORKLOAD_REDIS] = {start_redis_benchmark, read_redis_benchmark, prepare_redis_benchmark},
	[WORKLOAD_NGINX] = {start_wrk, read_wrk, NULL},
	[WORKLOAD_MEMCACHED] = {start_caller, read_caller, prepare_caller},
	[WORKLOAD_THRIFT] = {start_caller, read_caller, prepare_caller},
};

pid_t workload_load_start(const struct workload *w)
{
	return loads[w->kind].start(w);
}

bool workload_load_read(const struct workload *w, struct workload_result *out)
{
	return loads[w->kind].read(w, out);
}

int workload_load_prepare(struct workload *w)
{
	return loads[w->kind].prepare ? loads[w->kind].prepare(w) : 0;
}
