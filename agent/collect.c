#include "agent/collect.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/capture.h"
#include "agent/containers.h"
#include "agent/host.h"
#include "agent/probe.h"
#include "agent/sched.h"
#include "agent/window.h"
#include "common/clock.h"
#include "common/log.h"

#define CGROUPS_PER_CONTAINER 4 /* slices, pods and what containers make inside */

struct collector {
	struct collect_options o;
	struct cgroup_tree tree;
	struct containers *containers;
	struct sched *sched;     /* NULL when refused */
	struct capture *capture; /* NULL when refused */
	struct host host;
	struct window window;
	struct sched_counters *last; /* [max_containers] sums at the last window */
	struct sched_counters *sum;  /* [max_containers] sums now */
	uint64_t read_ns;            /* monotonic, of the last window */
	uint64_t sched_refused;
	int subsys, sched_error, capture_error;
};

/* ---- the scheduler's counters, per container -------------------------------- */

static void joined(void *ctx, uint64_t cgroup_id)
{
	struct collector *c = ctx;

	if (c->sched && sched_enter(c->sched, cgroup_id))
		c->sched_refused++;
}

static uint64_t less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static struct sched_counters counters_less(struct sched_counters a, const struct sched_counters *b)
{
	a.runq_ns = less(a.runq_ns, b->runq_ns);
	a.iowait_ns = less(a.iowait_ns, b->iowait_ns);
	a.switches = less(a.switches, b->switches);
	a.reclaimed = less(a.reclaimed, b->reclaimed);
	return a;
}

/* What a leaving cgroup had counted must not count against the sum of those that stay. */
static void left(void *ctx, uint64_t cgroup_id)
{
	struct collector *c = ctx;
	struct sched_counters gone;
	uint32_t slot;

	if (!c->sched)
		return;
	slot = containers_find(c->containers, cgroup_id);
	if (slot != CONTAINERS_NONE && !sched_read(c->sched, cgroup_id, &gone))
		c->last[slot] = counters_less(c->last[slot], &gone);
	sched_leave(c->sched, cgroup_id);
}

static void add_sched(void *ctx, uint64_t cgroup_id, uint32_t slot)
{
	struct collector *c = ctx;
	struct sched_counters one;

	if (sched_read(c->sched, cgroup_id, &one))
		return;
	c->sum[slot].runq_ns += one.runq_ns;
	c->sum[slot].iowait_ns += one.iowait_ns;
	c->sum[slot].switches += one.switches;
	c->sum[slot].reclaimed += one.reclaimed;
}

static void read_sched(struct collector *c)
{
	if (!c->sched)
		return;
	memset(c->sum, 0, c->o.max_containers * sizeof(*c->sum));
	containers_each_id(c->containers, add_sched, c);
}

static void fill_sched(struct collector *c, uint32_t slot, uint64_t elapsed_ns, float *metric)
{
	struct sched_counters by = counters_less(c->sum[slot], &c->last[slot]);
	double elapsed = (double)elapsed_ns;

	c->last[slot] = c->sum[slot];
	metric[METRIC_CPU_RUNQ] = (float)((double)by.runq_ns / elapsed);
	metric[METRIC_BLK_WAIT] = (float)((double)by.iowait_ns / elapsed);
	if (!c->tree.v2 && sched_sees_reclaim(c->sched))
		metric[METRIC_MEM_RECLAIM_PAGES] = (float)((double)by.reclaimed * 1e9 / elapsed);
}

/* ---- one window ---------------------------------------------------------------- */

static void add_edge(void *ctx, const struct capture_edge *e)
{
	struct collector *c = ctx;

	window_add_edge(&c->window, c->containers, e);
}

static void read_calls(struct collector *c)
{
	int err = capture_read(c->capture, add_edge, c);

	if (err && err != c->capture_error)
		log_warning("capture: reading the kernel's tables: %s; calls of this window are "
			    "missing",
			strerror(-err));
	c->capture_error = err;
	if (!err)
		window_finish(&c->window);
}

static void fill_losses(struct collector *c, uint64_t loss[WIRE_LOSSES])
{
	if (c->capture)
		capture_losses(c->capture, loss);
	if (c->sched)
		loss[LOSS_PROBE_MISSED] += sched_missed(c->sched);
	loss[LOSS_EDGE_TABLE_FULL] += c->window.edges_refused;
	loss[LOSS_OPERATION_TABLE_FULL] += c->window.operations_refused;
	loss[LOSS_CONTAINER_TABLE_FULL] += containers_refused(c->containers) + c->sched_refused;
}

struct wire_window *collect_window(struct collector *c, uint64_t start_ns, uint64_t duration_ns)
{
	uint64_t now_ns = clock_monotonic_ns(), elapsed_ns = now_ns - c->read_ns;

	c->read_ns = now_ns;
	containers_refresh(c->containers, now_ns);
	window_begin(&c->window, start_ns, duration_ns);
	read_sched(c);
	for (uint32_t slot = 0; slot < containers_slots(c->containers); slot++) {
		struct container *k = containers_at(c->containers, slot);
		struct wire_container *to;
		float *metric;

		if (!k->live)
			continue;
		to = window_add_container(&c->window, slot, k);
		if (c->o.names)
			kubernetes_name(c->o.names, k->name.container, to->service, to->name);
		metric = to->metric;
		counters_read(&k->counters, clock_monotonic_ns(), metric);
		perf_read(&k->perf, elapsed_ns, metric);
		if (c->sched)
			fill_sched(c, slot, elapsed_ns, metric);
	}
	host_read(&c->host, now_ns, c->window.wire.host);
	if (c->capture)
		read_calls(c);
	fill_losses(c, c->window.wire.loss);
	return &c->window.wire;
}

/* ---- support --------------------------------------------------------------------- */

static void support_sched(const struct collector *c, collect_line *line, void *ctx)
{
	char why[128];

	if (!c->sched) {
		snprintf(why, sizeof(why), "no: %s", strerror(-c->sched_error));
		line(ctx, "run queue, I/O wait", why,
			"cpu_runq_ratio and blk_wait_ratio are absent");
		return;
	}
	line(ctx, "run queue, I/O wait", "BTF tracepoints sched_switch, sched_wakeup",
		"a wait is counted when it ends");
	if (!c->tree.v2)
		line(ctx, "reclaim",
			sched_sees_reclaim(c->sched) ? "BTF tracepoints of vmscan"
						     : "no: this kernel has no vmscan tracepoints",
			"background reclaim (kswapd) has no container");
}

static void support_perf(const struct collector *c, collect_line *line, void *ctx)
{
	if (!c->o.perf)
		line(ctx, "perf events", "no: off; --perf-events counts them",
			"cycles, instructions, last-level cache, context switches, page faults");
	else if (!perf_has_hardware())
		line(ctx, "perf events", "per cgroup, software ones only: no PMU here",
			"cycles, instructions and last-level cache are absent");
	else
		line(ctx, "perf events", "per cgroup", "");
}

static void support_cgroup(const struct collector *c, collect_line *line, void *ctx)
{
	char how[CGROUP_MOUNT + 64];
	bool psi = c->tree.v2 && !access("/proc/pressure/cpu", R_OK);

	snprintf(how, sizeof(how), "cgroup %s at %s", c->tree.v2 ? "v2" : "v1",
		cgroup_tree_root(&c->tree));
	line(ctx, "containers", how, "");
	line(ctx, "births", containers_fd(c->containers) < 0 ? "a scan every 10 s" : "inotify", "");
	if (c->tree.v2)
		line(ctx, "reclaim", "memory.stat", "");
	line(ctx, "pressure (PSI)",
		psi          ? "cgroup *.pressure"
		: c->tree.v2 ? "no: the kernel was booted without psi=1"
			     : "no: cgroup v1 has none",
		psi ? "" : "psi_*_ratio are absent");
	support_perf(c, line, ctx);
}

void collect_support(const struct collector *c, collect_line *line, void *ctx)
{
	char why[128];

	support_cgroup(c, line, ctx);
	support_sched(c, line, ctx);
	if (c->capture) {
		capture_support(c->capture, line, ctx);
		return;
	}
	snprintf(why, sizeof(why), "no: %s", strerror(-c->capture_error));
	line(ctx, "calls", why, "no edges, no latencies");
}

/* ---- open, close ------------------------------------------------------------------- */

static int open_tree(struct collector *c)
{
	int err = cgroup_tree_find(&c->tree, "/proc/self/mountinfo", c->o.cgroup_below);

	if (err) {
		log_error("no cgroup hierarchy with the cpu controller in "
			  "/proc/self/mountinfo%s%s: %s; "
			  "mount cgroup2 or point --cgroup at the host's /sys/fs/cgroup",
			c->o.cgroup_below ? " below " : "",
			c->o.cgroup_below ? c->o.cgroup_below : "", strerror(-err));
		return err;
	}
	c->subsys = c->tree.v2 ? -1 : probe_kernel_enum("cgroup_subsys_id", "cpu_cgrp_id");
	return 0;
}

static void open_probes(struct collector *c)
{
	/* In the kernel a server's edge with self time takes two places. */
	struct capture_options options = {.max_edges = 2 * c->o.max_edges,
		.max_operations = c->o.max_operations,
		.max_connections = c->o.max_connections,
		.cgroup_subsys = c->subsys,
		.strategy = c->o.strategy,
		.tls = c->o.tls,
		.tls_sent_only = c->o.tls_sent_only,
		.no_dns = c->o.no_dns};

	memcpy(options.dns_port, c->o.dns_port, sizeof(options.dns_port));
	if (c->o.no_bpf) {
		c->sched_error = c->capture_error = -EPERM; /* said by privilege_check() */
		return;
	}
	if (!c->tree.v2 && c->subsys < 0) {
		c->sched_error = c->capture_error = -ENOTSUP;
		log_warning(
			"no kernel BTF at /sys/kernel/btf/vmlinux: no latencies and no scheduler "
			"metrics; use a kernel with CONFIG_DEBUG_INFO_BTF");
		return;
	}
	c->sched_error =
		sched_open(&c->sched, c->subsys, c->o.max_containers * CGROUPS_PER_CONTAINER);
	c->capture_error = capture_open(&c->capture, &options);
	if (c->capture_error)
		log_warning("capture: %s%s cannot be used here; going on with counters only: no "
			    "latencies%s",
			c->o.strategy ? "strategy " : "no strategy",
			c->o.strategy ? c->o.strategy : "",
			c->o.strategy ? "; leave --strategy out for the best of this kernel" : "");
}

static int open_tables(struct collector *c)
{
	struct containers_options options = {.tree = &c->tree,
		.rules = &c->o.rules,
		.max_containers = c->o.max_containers,
		.max_cgroups = c->o.max_containers * CGROUPS_PER_CONTAINER,
		.perf = c->o.perf,
		.joined = joined,
		.left = left,
		.ctx = c};
	int err = window_open(&c->window, c->o.max_containers, c->o.max_edges, c->o.max_operations);

	c->last = calloc(c->o.max_containers, sizeof(*c->last));
	c->sum = calloc(c->o.max_containers, sizeof(*c->sum));
	if (!err && (!c->last || !c->sum))
		err = -ENOMEM;
	if (!err)
		err = containers_open(&c->containers, &options);
	if (err)
		log_error("tables for %u containers and %u edges: %s; give --max-containers or "
			  "--max-edges less",
			c->o.max_containers, c->o.max_edges, strerror(-err));
	return err;
}

int collect_open(struct collector **out, const struct collect_options *o)
{
	struct collector *c = calloc(1, sizeof(*c));
	int err;

	if (!c)
		return -ENOMEM;
	c->o = *o;
	host_open(&c->host);
	err = open_tree(c);
	if (!err) {
		open_probes(c);
		err = open_tables(c);
	}
	probe_kernel_done();
	if (err) {
		collect_close(c);
		return err;
	}
	collect_window(c, 0, 1); /* the levels from which the first window's rates start */
	*out = c;
	return 0;
}

int collect_fd(const struct collector *c)
{
	return containers_fd(c->containers);
}

void collect_events(struct collector *c)
{
	containers_events(c->containers);
}

void collect_close(struct collector *c)
{
	if (!c)
		return;
	containers_close(c->containers);
	capture_close(c->capture);
	sched_close(c->sched);
	host_close(&c->host);
	window_close(&c->window);
	free(c->last);
	free(c->sum);
	free(c);
}
