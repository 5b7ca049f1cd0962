#include "agent/counters.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/rate.h"
#include "agent/text.h"

#define NO_LIMIT_BYTES (1ULL << 60) /* v1 writes "no limit" as the largest page count */

/* One thread reads; the buffer is shared by all counters to keep each small. */
static char text[TEXT_MAX];

/* ---- opening ------------------------------------------------------------ */

static void open_level(struct counters_level *l, const struct cgroup_tree *t, const char *path)
{
	l->stat = cgroup_open_file(t, CGROUP_CPU, path, "cpu.stat");
	if (t->v2) {
		l->quota = cgroup_open_file(t, CGROUP_CPU, path, "cpu.max");
		l->period = -1;
		l->mem_usage = cgroup_open_file(t, CGROUP_MEMORY, path, "memory.current");
		l->mem_limit = cgroup_open_file(t, CGROUP_MEMORY, path, "memory.max");
		l->mem_high = cgroup_open_file(t, CGROUP_MEMORY, path, "memory.high");
		return;
	}
	l->quota = cgroup_open_file(t, CGROUP_CPU, path, "cpu.cfs_quota_us");
	l->period = cgroup_open_file(t, CGROUP_CPU, path, "cpu.cfs_period_us");
	l->mem_usage = cgroup_open_file(t, CGROUP_MEMORY, path, "memory.usage_in_bytes");
	l->mem_limit = cgroup_open_file(t, CGROUP_MEMORY, path, "memory.limit_in_bytes");
	l->mem_high = -1;
}

static void open_levels(struct counters *c, const struct cgroup_tree *t, const char *path)
{
	char level[COUNTERS_PATH];
	char *slash;

	snprintf(level, sizeof(level), "%s", path);
	while (level[0] && c->levels < COUNTERS_LEVELS) {
		open_level(&c->level[c->levels++], t, level);
		slash = strrchr(level, '/');
		if (!slash)
			break;
		*slash = 0;
	}
}

void counters_open(struct counters *c, const struct cgroup_tree *t, const char *path)
{
	static const char *const psi_file[3] = {"cpu.pressure", "memory.pressure", "io.pressure"};

	memset(c, 0, sizeof(*c));
	c->v2 = t->v2;
	c->net = -1;
	open_levels(c, t, path);
	c->mem_stat = cgroup_open_file(t, CGROUP_MEMORY, path, "memory.stat");
	if (t->v2) {
		c->cpu_usage = -1; /* in cpu.stat */
		c->mem_events = cgroup_open_file(t, CGROUP_MEMORY, path, "memory.events");
		c->blk = cgroup_open_file(t, CGROUP_BLKIO, path, "io.stat");
	} else {
		c->cpu_usage = cgroup_open_file(t, CGROUP_CPUACCT, path, "cpuacct.usage");
		c->mem_events = cgroup_open_file(t, CGROUP_MEMORY, path, "memory.oom_control");
		c->blk = cgroup_open_file(
			t, CGROUP_BLKIO, path, "blkio.throttle.io_service_bytes_recursive");
	}
	for (int i = 0; i < 3; i++)
		c->psi[i] = t->v2 ? cgroup_open_file(t, CGROUP_CPU, path, psi_file[i]) : -1;
}

static uint64_t net_namespace(const char *proc)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%s/ns/net", proc);
	return stat(path, &st) ? 0 : st.st_ino;
}

uint64_t counters_set_net(struct counters *c, pid_t pid)
{
	char proc[16], path[64];
	uint64_t host = net_namespace("1"), own;

	if (c->net >= 0)
		close(c->net);
	c->net = -1;
	c->net_pid = pid;
	snprintf(proc, sizeof(proc), "%d", pid);
	own = pid > 0 ? net_namespace(proc) : 0;
	if (!host)
		host = net_namespace("self");
	if (!own || own == host)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/net/dev", pid);
	c->net = open(path, O_RDONLY | O_CLOEXEC);
	c->rx = c->tx = 0;
	c->net_primed = false;
	return c->net < 0 ? 0 : own;
}

/* ---- CPU ------------------------------------------------------------------ */

/* The quota of a level in cores, and its period; INFINITY when there is none. */
static double level_quota(const struct counters_level *l, bool v2, uint64_t *period_ns)
{
	uint64_t quota, period = 100000;
	double cores = INFINITY;

	if (text_pread(l->quota, text, sizeof(text)) > 0) {
		bool limited = text_u64(text, &quota); /* "max" and "-1" are no numbers */

		if (v2)
			text_u64(text + strcspn(text, " "), &period);
		else if (text_pread(l->period, text, sizeof(text)) > 0)
			text_u64(text, &period);
		if (limited && period)
			cores = (double)quota / (double)period;
	}
	*period_ns = period * 1000;
	return cores;
}

/* Share of the time a level was throttled since the last read; -1 when unreadable. */
static double level_throttled(
	struct counters_level *l, bool v2, uint64_t period_ns, uint64_t elapsed_ns)
{
	uint64_t time, periods, time_by, periods_by;

	if (text_pread(l->stat, text, sizeof(text)) <= 0 ||
		!text_key_u64(text, v2 ? "throttled_usec" : "throttled_time", &time) ||
		!text_key_u64(text, "nr_throttled", &periods))
		return -1;
	time_by = rate_grown(&l->throttled_ns, v2 ? time * 1000 : time);
	periods_by = rate_grown(&l->throttled_periods, periods);
	return fmin(1,
		fmin((double)time_by, (double)periods_by * (double)period_ns) / (double)elapsed_ns);
}

static bool read_cpu_usage(const struct counters *c, uint64_t *ns)
{
	if (!c->v2)
		return text_pread(c->cpu_usage, text, sizeof(text)) > 0 && text_u64(text, ns);
	if (text_pread(c->level[0].stat, text, sizeof(text)) <= 0 ||
		!text_key_u64(text, "usage_usec", ns))
		return false;
	*ns *= 1000;
	return true;
}

static void read_cpu(struct counters *c, uint64_t elapsed_ns, float *metric)
{
	double limit = INFINITY, throttled = -1;
	uint64_t usage;

	for (unsigned i = 0; i < c->levels; i++) {
		uint64_t period_ns;

		limit = fmin(limit, level_quota(&c->level[i], c->v2, &period_ns));
		throttled = fmax(
			throttled, level_throttled(&c->level[i], c->v2, period_ns, elapsed_ns));
	}
	if (isinf(limit))
		limit = (double)sysconf(_SC_NPROCESSORS_ONLN);
	metric[METRIC_CPU_LIMIT_CORES] = (float)limit;
	if (c->primed && throttled >= 0)
		metric[METRIC_CPU_THROTTLED] = (float)throttled;
	if (!read_cpu_usage(c, &usage))
		return;
	usage = rate_grown(&c->cpu_ns, usage);
	if (!c->primed)
		return;
	metric[METRIC_CPU_CORES] = (float)((double)usage / (double)elapsed_ns);
	metric[METRIC_CPU_UTIL] = (float)(metric[METRIC_CPU_CORES] / limit);
}

/* ---- memory --------------------------------------------------------------- */

static double level_limit(const struct counters_level *l)
{
	uint64_t bytes;
	double limit = INFINITY;

	if (text_pread(l->mem_limit, text, sizeof(text)) > 0 && text_u64(text, &bytes) &&
		bytes < NO_LIMIT_BYTES)
		limit = (double)bytes;
	if (text_pread(l->mem_high, text, sizeof(text)) > 0 && text_u64(text, &bytes))
		limit = fmin(limit, (double)bytes);
	return limit;
}

static void read_mem_levels(struct counters *c, float *metric)
{
	double util = -1;

	for (unsigned i = 0; i < c->levels; i++) {
		double limit = level_limit(&c->level[i]);
		uint64_t usage;

		if (text_pread(c->level[i].mem_usage, text, sizeof(text)) <= 0 ||
			!text_u64(text, &usage))
			continue;
		if (!i)
			metric[METRIC_MEM_BYTES] = (float)usage;
		if (limit > 0 && !isinf(limit))
			util = fmax(util, (double)usage / limit);
	}
	if (util >= 0)
		metric[METRIC_MEM_UTIL] = (float)util;
}

static void read_mem_stat(struct counters *c, uint64_t elapsed_ns, float *metric)
{
	uint64_t v;

	if (text_pread(c->mem_stat, text, sizeof(text)) <= 0)
		return;
	if (text_key_u64(text, c->v2 ? "pgmajfault" : "total_pgmajfault", &v)) {
		v = rate_grown(&c->major_faults, v);
		if (c->primed)
			metric[METRIC_MEM_MAJOR_FAULTS] = rate_per_second(v, elapsed_ns);
	}
	if (c->v2 && text_key_u64(text, "pgsteal", &v)) {
		v = rate_grown(&c->reclaimed, v);
		if (c->primed)
			metric[METRIC_MEM_RECLAIM_PAGES] = rate_per_second(v, elapsed_ns);
	}
}

static void read_oom(struct counters *c, float *metric)
{
	uint64_t v;

	if (text_pread(c->mem_events, text, sizeof(text)) <= 0 ||
		!text_key_u64(text, "oom_kill", &v))
		return;
	v = rate_grown(&c->oom_kills, v);
	if (c->primed)
		metric[METRIC_OOM_KILLS] = (float)v;
}

/* ---- disk, pressure, network ---------------------------------------------- */

/* v1: "254:0 Read 4096" per device and kind; v2: "254:0 rbytes=4096 wbytes=0 ...". */
static void sum_blk(const char *from, uint64_t *read_bytes, uint64_t *write_bytes)
{
	*read_bytes = *write_bytes = 0;
	for (const char *line = from; line && *line; line = text_next_line(line)) {
		unsigned long long r = 0, w = 0;

		if (sscanf(line, "%*u:%*u rbytes=%llu wbytes=%llu", &r, &w) >= 1 ||
			sscanf(line, "%*u:%*u Read %llu", &r) == 1 ||
			sscanf(line, "%*u:%*u Write %llu", &w) == 1) {
			*read_bytes += r;
			*write_bytes += w;
		}
	}
}

static void read_blk(struct counters *c, uint64_t elapsed_ns, float *metric)
{
	uint64_t r, w;

	if (text_pread(c->blk, text, sizeof(text)) < 0)
		return;
	sum_blk(text, &r, &w);
	r = rate_grown(&c->blk_read, r);
	w = rate_grown(&c->blk_write, w);
	if (!c->primed)
		return;
	metric[METRIC_BLK_READ_BYTES] = rate_per_second(r, elapsed_ns);
	metric[METRIC_BLK_WRITE_BYTES] = rate_per_second(w, elapsed_ns);
}

static void read_psi(struct counters *c, uint64_t elapsed_ns, float *metric)
{
	static const enum container_metric psi_metric[3] = {
		METRIC_PSI_CPU, METRIC_PSI_MEM, METRIC_PSI_IO};

	for (int i = 0; i < 3; i++) {
		uint64_t us;

		if (text_pread(c->psi[i], text, sizeof(text)) <= 0 || !text_psi_us(text, &us))
			continue;
		us = rate_grown(&c->psi_us[i], us);
		if (c->primed)
			metric[psi_metric[i]] = rate_share_us(us, elapsed_ns);
	}
}

static void read_net(struct counters *c, uint64_t elapsed_ns, float *metric)
{
	uint64_t rx, tx;

	if (text_pread(c->net, text, sizeof(text)) <= 0 || !text_net_bytes(text, &rx, &tx))
		return;
	rx = rate_grown(&c->rx, rx);
	tx = rate_grown(&c->tx, tx);
	if (c->net_primed) {
		metric[METRIC_NET_RX_BYTES] = rate_per_second(rx, elapsed_ns);
		metric[METRIC_NET_TX_BYTES] = rate_per_second(tx, elapsed_ns);
	}
	c->net_primed = true;
}

void counters_read(struct counters *c, uint64_t now_ns, float *metric)
{
	uint64_t elapsed_ns = now_ns > c->read_ns ? now_ns - c->read_ns : 1;

	for (int m = 0; m < CONTAINER_METRICS; m++)
		metric[m] = NAN;
	read_cpu(c, elapsed_ns, metric);
	read_mem_levels(c, metric);
	read_mem_stat(c, elapsed_ns, metric);
	read_oom(c, metric);
	read_blk(c, elapsed_ns, metric);
	read_psi(c, elapsed_ns, metric);
	read_net(c, elapsed_ns, metric);
	c->read_ns = now_ns;
	c->primed = true;
}

static void close_fd(int fd)
{
	if (fd > 0)
		close(fd);
}

void counters_close(struct counters *c)
{
	for (unsigned i = 0; i < c->levels; i++) {
		struct counters_level *l = &c->level[i];

		close_fd(l->stat);
		close_fd(l->quota);
		close_fd(l->period);
		close_fd(l->mem_usage);
		close_fd(l->mem_limit);
		close_fd(l->mem_high);
	}
	close_fd(c->cpu_usage);
	close_fd(c->mem_stat);
	close_fd(c->mem_events);
	close_fd(c->blk);
	for (int i = 0; i < 3; i++)
		close_fd(c->psi[i]);
	close_fd(c->net);
	memset(c, 0, sizeof(*c));
}
