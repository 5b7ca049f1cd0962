#include "agent/run.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "agent/control.h"
#include "agent/privilege.h"
#include "agent/report.h"
#include "agent/run_answer.h"
#include "agent/run_state.h"
#include "agent/tick.h"
#include "common/clock.h"
#include "common/log.h"

#define REPORTS 32
#define MAX_PODS 1024 /* on this node; kubelet starts 110 unless told otherwise */

/* ---- one window ------------------------------------------------------------------ */

static void print_window(const struct wire_window *w)
{
	json_t *window = report_window(w);

	json_dumpf(window, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(12));
	putchar('\n');
	json_decref(window);
}

static void ship(struct agent *a, struct wire_window *w)
{
	int err;

	w->loss[LOSS_WINDOW_LATE] += a->late;
	err = uplink_push(a->uplink, w);
	if (err && err != a->push_error)
		log_warning("window not queued: %s; counted, going on", strerror(-err));
	a->push_error = err;
}

/*
 * The tick says how many intervals have passed: more than one when the machine
 * or the agent was held up, and then one longer window stands for all of them.
 */
static void end_window(struct agent *a)
{
	uint64_t interval_ns = a->o->interval_ms * 1000000ULL, end_ns, intervals;
	bool first = !a->ticks;

	intervals = tick_read(&a->tick, &end_ns);
	if (!intervals)
		return;
	a->ticks += intervals;
	a->late += first ? 0 : intervals - 1;
	a->window = collect_window(
		a->collector, end_ns - intervals * interval_ns, intervals * interval_ns);
	if (first)
		return; /* began somewhere inside its interval */
	a->windows++;
	ship(a, a->window);
	if (a->o->once) {
		print_window(a->window);
		a->stopping = true;
	}
}

/* ---- leases ------------------------------------------------------------------------ */

static void pass_reports(struct agent *a)
{
	struct wire_lease_report report[REPORTS];
	size_t n;

	while (a->actuator && (n = actuator_reports(a->actuator, report, REPORTS)))
		uplink_report(a->uplink, report, n);
}

static void take_leases(struct agent *a)
{
	struct wire_leases leases;
	int error = 0;

	if (!uplink_take_leases(a->uplink, &leases))
		return;
	if (a->actuator)
		error = actuator_set(a->actuator, &leases, clock_monotonic_ns());
	if (error == -ESTALE && error != a->lease_error)
		log_warning("leases of an older analyzer term ignored");
	else if (error && error != a->lease_error)
		log_error("leases not taken: %s; those held end when their time is up",
			strerror(-error));
	a->lease_error = error;
	wire_leases_close(&leases);
}

static int wait_ms(struct agent *a)
{
	uint64_t now_ns = clock_monotonic_ns(), next_ns;

	next_ns = a->actuator ? actuator_tick(a->actuator, now_ns) : UINT64_MAX;
	pass_reports(a);
	if (next_ns == UINT64_MAX)
		return -1;
	return next_ns <= now_ns ? 1 : (int)((next_ns - now_ns) / 1000000 % 60000 + 1);
}

/* ---- the loop ------------------------------------------------------------------------ */

static void on_collector(struct agent *a)
{
	collect_events(a->collector);
}

static void on_kubernetes(struct agent *a)
{
	kubernetes_events(a->kubernetes);
}

static void on_control(struct agent *a)
{
	control_events(a->control);
}

static void on_signal(struct agent *a)
{
	struct signalfd_siginfo info;

	if (read(a->signals, &info, sizeof(info)) == sizeof(info))
		log_info("%s: stopping", strsignal((int)info.ssi_signo));
	a->stopping = true;
}

static int watch(struct agent *a, int fd, void (*handler)(struct agent *a))
{
	struct watch *w = &a->watch[a->watches];
	struct epoll_event e = {.events = EPOLLIN, .data.ptr = w};

	if (fd < 0)
		return 0;
	w->handler = handler;
	a->watches++;
	return epoll_ctl(a->epoll, EPOLL_CTL_ADD, fd, &e) ? -errno : 0;
}

static int loop(struct agent *a)
{
	struct epoll_event e[RUN_WATCHES];

	while (!a->stopping) {
		int n = epoll_wait(a->epoll, e, RUN_WATCHES, wait_ms(a));

		if (n < 0 && errno != EINTR)
			return -errno;
		for (int i = 0; i < n; i++)
			((struct watch *)e[i].data.ptr)->handler(a);
	}
	return 0;
}

/* ---- start and stop -------------------------------------------------------------------- */

static int loop_failed(int err)
{
	if (err)
		log_error("main loop: %s; cannot go on", strerror(-err));
	return err;
}

static int open_loop(struct agent *a)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	/* Before any thread starts, so that all inherit it. */
	if (sigprocmask(SIG_BLOCK, &set, NULL))
		return -errno;
	a->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	a->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (a->signals < 0 || a->epoll < 0)
		return -errno;
	return tick_open(&a->tick, a->o->interval_ms);
}

static void open_actuator(struct agent *a)
{
	struct actuator_options o = {.state_dir = a->o->state_dir,
		.mode = a->o->mode,
		.allow = a->o->allow,
		.cgroup_below = a->o->collect.cgroup_below};
	int err;

	actuator_limits_default(&o.limits);
	err = actuator_open(&a->actuator, &o);
	if (err)
		log_warning("actions: state directory %s: %s; going on without acting; %s",
			a->o->state_dir, strerror(-err),
			err == -EBUSY ? "another agent uses it, give --state another"
				      : "give --state a directory that can be written");
}

static int open_uplink(struct agent *a)
{
	struct uplink_options o = {.url = a->o->analyzer,
		.node = a->o->node,
		.spool_dir = a->o->spool_dir,
		.spool_bytes = a->o->spool_bytes,
		.spool_max_age_ns = a->o->spool_hours * 3600000000000ULL,
		.mode = (uint8_t)a->o->mode,
		.tls = a->o->tls,
		.key_file = a->o->key_file};

	return uplink_open(&a->uplink, &o);
}

/* In a cluster containers are called as their pods say; without one, as their cgroups do. */
static void open_kubernetes(struct agent *a)
{
	struct kubernetes_options o = {0};
	int err;

	if (!kubernetes_in_cluster(&o))
		return;
	o.node = a->o->node;
	o.max_pods = MAX_PODS;
	err = kubernetes_open(&a->kubernetes, &o);
	if (err)
		log_warning("kubernetes: %s: %s; going on with the names of cgroups", o.server,
			strerror(-err));
}

static int open_control(struct agent *a)
{
	int err = control_open(&a->control, a->o->control, run_answer, a);

	if (err == -EADDRINUSE)
		log_error("%s: another agent answers there, or it is no socket; stop that agent "
			  "or give --control another path",
			a->o->control);
	else if (err)
		log_warning(
			"%s: %s; going on without answering commands; give --control a path in a "
			"directory that can be written",
			a->o->control, strerror(-err));
	return err == -EADDRINUSE ? err : 0;
}

/* Everything that needs all capabilities first, then what starts threads. */
static int open_parts(struct agent *a)
{
	struct collect_options collect = a->o->collect;
	int err = open_control(a);

	if (err)
		return err;
	open_kubernetes(a);
	collect.names = a->kubernetes;
	collect.no_bpf = !privilege_check();
	err = collect_open(&a->collector, &collect);
	if (err)
		return err;
	open_actuator(a);
	malloc_trim(0); /* what lies between what stays */
	privilege_drop(a->o->mode == ACTUATOR_ENFORCE, a->o->collect.tls);
	return open_uplink(a);
}

static int watch_parts(struct agent *a)
{
	int err = watch(a, a->signals, on_signal);

	if (!err)
		err = watch(a, tick_fd(&a->tick), end_window);
	if (!err)
		err = watch(a, collect_fd(a->collector), on_collector);
	if (!err && a->kubernetes)
		err = watch(a, kubernetes_fd(a->kubernetes), on_kubernetes);
	if (!err && a->control)
		err = watch(a, control_fd(a->control), on_control);
	if (!err)
		err = watch(a, uplink_fd(a->uplink), take_leases);
	return err;
}

/* Actions are taken back first, so that the analyzer still hears of it. */
static void stop(struct agent *a)
{
	if (a->actuator && a->uplink) {
		actuator_release(a->actuator, clock_monotonic_ns());
		pass_reports(a);
	}
	actuator_close(a->actuator);
	uplink_close(a->uplink);
	control_close(a->control);
	collect_close(a->collector);
	kubernetes_close(a->kubernetes);
	tick_close(&a->tick);
	if (a->signals >= 0)
		close(a->signals);
	if (a->epoll >= 0)
		close(a->epoll);
}

/*
 * Loading the probes takes the kernel's BTF, some MB at a time. glibc would learn from the
 * first one freed to keep such pieces on the heap, where they stay; each its own mapping goes
 * back when it is freed.
 */
static void return_large_memory(void)
{
	mallopt(M_MMAP_THRESHOLD, 128 * 1024);
	mallopt(M_TRIM_THRESHOLD, 256 * 1024);
}

int run(const struct run_options *o)
{
	struct agent a = {.o = o, .epoll = -1, .signals = -1, .tick = {.fd = -1}};
	int err = loop_failed(open_loop(&a));

	a.started_ns = clock_monotonic_ns();
	return_large_memory();
	privilege_raise_files();
	if (!err)
		err = open_parts(&a);
	if (!err)
		err = loop_failed(watch_parts(&a));
	if (!err) {
		log_info("node %s: watching, mode %s, window %u ms", o->node,
			actuator_mode_name(o->mode), o->interval_ms);
		err = loop_failed(loop(&a));
	}
	stop(&a);
	fflush(NULL);
	_exit(err ? 1 : 0); /* nng's threads may still wait for an answer that never comes */
}
