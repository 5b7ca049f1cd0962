#include "agent/perf.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/rate.h"

static const struct {
	uint32_t type;
	uint64_t config;
} events[PERF_EVENTS] = {
	[PERF_CYCLES] = {PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES},
	[PERF_INSTRUCTIONS] = {PERF_TYPE_HARDWARE, PERF_COUNT_HW_INSTRUCTIONS},
	[PERF_LLC_REFERENCES] = {PERF_TYPE_HARDWARE, PERF_COUNT_HW_CACHE_REFERENCES},
	[PERF_LLC_MISSES] = {PERF_TYPE_HARDWARE, PERF_COUNT_HW_CACHE_MISSES},
	[PERF_SWITCHES] = {PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CONTEXT_SWITCHES},
	[PERF_FAULTS] = {PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS},
};

/* What read() gives of a group, events in the order they were opened. */
struct group {
	uint64_t count, enabled_ns, running_ns;
	uint64_t value[PERF_EVENTS];
};

static int open_event(enum perf_event e, int cgroup, int cpu, int leader)
{
	struct perf_event_attr attr = {.size = sizeof(attr),
		.type = events[e].type,
		.config = events[e].config,
		.read_format = PERF_FORMAT_GROUP | PERF_FORMAT_TOTAL_TIME_ENABLED |
			       PERF_FORMAT_TOTAL_TIME_RUNNING};
	long fd = syscall(SYS_perf_event_open, &attr, cgroup, cpu, leader,
		PERF_FLAG_PID_CGROUP | PERF_FLAG_FD_CLOEXEC);

	return fd < 0 ? -errno : (int)fd;
}

unsigned perf_cpus(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_CONF);

	return cpus > 0 ? (unsigned)cpus : 1;
}

bool perf_has_hardware(void)
{
	struct perf_event_attr attr = {.size = sizeof(attr),
		.type = events[PERF_CYCLES].type,
		.config = events[PERF_CYCLES].config};
	long fd = syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);

	if (fd >= 0)
		close((int)fd);
	return fd >= 0;
}

/* A group on one CPU. Its first event leads it; 0, or why none could. */
static int open_group(int *fd, int cgroup, int cpu)
{
	int leader = -1, err = 0;

	for (int e = 0; e < PERF_EVENTS; e++) {
		fd[e] = open_event((enum perf_event)e, cgroup, cpu, leader);
		if (fd[e] >= 0 && leader < 0)
			leader = fd[e];
		if (fd[e] < 0 && leader < 0)
			err = fd[e];
	}
	return leader < 0 ? err : 0;
}

int perf_open(struct perf *p, int *fd, const struct cgroup_tree *t, const char *path)
{
	int cgroup, err = 0;

	*p = (struct perf){0};
	cgroup = cgroup_open_file(t, CGROUP_PERF, path, ".");
	if (cgroup < 0)
		return cgroup;
	p->fd = fd;
	p->cpus = perf_cpus();
	memset(fd, -1, p->cpus * PERF_EVENTS * sizeof(*fd));
	for (unsigned cpu = 0; cpu < p->cpus && !err; cpu++) {
		err = open_group(fd + cpu * PERF_EVENTS, cgroup, (int)cpu);
		if (err == -ENODEV && cpu) /* this CPU is off */
			err = 0;
	}
	close(cgroup);
	if (err)
		perf_close(p);
	return err;
}

static int leader_of(const int *fd)
{
	for (int e = 0; e < PERF_EVENTS; e++) {
		if (fd[e] >= 0)
			return fd[e];
	}
	return -1;
}

/*
 * Add one CPU's counts since the start to `sum`, and which events they are to `counted`. False
 * when they are not known: the group was wanted there and never had its turn.
 */
static bool add_group(const int *fd, uint64_t sum[PERF_EVENTS], bool counted[PERF_EVENTS])
{
	int leader = leader_of(fd);
	struct group g;
	unsigned at = 0;

	if (leader < 0)
		return true; /* a CPU that is off */
	if (read(leader, &g, sizeof(g)) < (ssize_t)(sizeof(g) - sizeof(g.value)) ||
		(g.enabled_ns && !g.running_ns))
		return false;
	for (int e = 0; e < PERF_EVENTS && at < g.count; e++) {
		double scale = g.enabled_ns ? (double)g.enabled_ns / (double)g.running_ns : 0;

		if (fd[e] < 0)
			continue;
		sum[e] += (uint64_t)((double)g.value[at++] * scale);
		counted[e] = true;
	}
	return true;
}

void perf_read(struct perf *p, uint64_t elapsed_ns, float *metric)
{
	uint64_t sum[PERF_EVENTS] = {0}, by[PERF_EVENTS];
	bool counted[PERF_EVENTS] = {0};
	static const struct {
		enum perf_event event;
		enum container_metric metric;
	} rates[] = {
		{PERF_CYCLES, METRIC_CPU_CYCLES},
		{PERF_LLC_REFERENCES, METRIC_CPU_LLC_REFERENCES},
		{PERF_LLC_MISSES, METRIC_CPU_LLC_MISSES},
		{PERF_SWITCHES, METRIC_CPU_SWITCHES},
		{PERF_FAULTS, METRIC_MEM_FAULTS},
	};

	if (!p->fd)
		return;
	for (unsigned cpu = 0; cpu < p->cpus; cpu++) {
		if (!add_group(p->fd + cpu * PERF_EVENTS, sum, counted)) {
			p->primed = false; /* nothing to take the next difference from */
			return;
		}
	}
	for (int e = 0; e < PERF_EVENTS; e++)
		by[e] = rate_grown(&p->last[e], sum[e]); /* scaled counts may step back a little */
	for (size_t i = 0; p->primed && i < sizeof(rates) / sizeof(*rates); i++) {
		if (counted[rates[i].event])
			metric[rates[i].metric] = rate_per_second(by[rates[i].event], elapsed_ns);
	}
	if (p->primed && counted[PERF_INSTRUCTIONS] && by[PERF_CYCLES])
		metric[METRIC_CPU_IPC] =
			(float)((double)by[PERF_INSTRUCTIONS] / (double)by[PERF_CYCLES]);
	p->primed = true;
}

void perf_close(struct perf *p)
{
	for (unsigned i = 0; p->fd && i < p->cpus * PERF_EVENTS; i++) {
		if (p->fd[i] >= 0)
			close(p->fd[i]);
	}
	*p = (struct perf){0};
}
