/*
 * sage-testbed: the real small application that Sage is shown and tested on.
 *
 *   sage-testbed up --topology FILE     start it; ends, and removes all, on Ctrl-C; when a
 *                                       part fails, its log stays
 *   sage-testbed fault KIND SERVICE     apply a fault until Ctrl-C or for --seconds
 *   sage-testbed watch                  the load generator's record, second by second
 *   sage-testbed down                   remove what a killed run left behind
 */
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "tests/testbed/fault.h"
#include "tests/testbed/launch.h"
#include "tests/testbed/links.h"
#include "tests/testbed/record.h"
#include "tests/testbed/site.h"

struct options {
	const char *name, *topology, *seed;
	double seconds;
	int words;
	const char *word[3];
};

static const struct argp_option option_table[] = {
	{"name", 'n', "NAME", 0, "Name of the instance; two with different names can run", 0},
	{"topology", 't', "FILE", 0, "Topology to start", 0},
	{"seed", 's', "N", 0, "Seed of the load generator", 0},
	{"seconds", 'd', "N", 0, "How long a fault stays, or a watch lasts", 0},
	{0},
};

static error_t parse_option(int key, char *value, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'n':
		o->name = value;
		return 0;
	case 't':
		o->topology = value;
		return 0;
	case 's':
		o->seed = value;
		return 0;
	case 'd':
		o->seconds = strtod(value, NULL);
		return 0;
	case ARGP_KEY_ARG:
		if (o->words == 3)
			argp_usage(state);
		o->word[o->words++] = value;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_usage(state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	if (ftw->level == 0)
		return 0; /* the directory itself carries the lock */
	return remove(path) ? -1 : 0;
}

static int remove_all_but_logs(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	if (strcmp(path + ftw->base, "log") != 0)
		remove_entry(path, st, type, ftw); /* a directory with a log in it stays */
	return 0;
}

/* Remove processes, cgroups, namespaces and files of this or an earlier run. */
static void clean(const struct site *s, bool keep_logs)
{
	char root[SITE_PATH];
	int err;

	snprintf(root, sizeof(root), "/%s", s->name);
	err = cgroups_remove(&s->cgroups, root);
	if (err)
		log_warning("cgroup %s: not removed: %s", root, strerror(-err));
	links_remove(s);
	nftw(s->directory, keep_logs ? remove_all_but_logs : remove_entry, 16,
		FTW_DEPTH | FTW_PHYS);
}

/* Own the instance as long as the descriptor is open. */
static int lock_site(const struct site *s)
{
	int fd;

	if (mkdir(s->directory, 0755) && errno != EEXIST)
		return -errno;
	fd = open(s->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		close(fd);
		return -EBUSY;
	}
	return fd;
}

static int copy_topology(const struct site *s, const char *from)
{
	char to[SITE_PATH], block[4096];
	FILE *in = fopen(from, "re"), *out;
	size_t n;
	int err = 0;

	snprintf(to, sizeof(to), "%.200s/topology.conf", s->directory);
	out = fopen(to, "we");
	if (!in || !out)
		err = -EIO;
	while (!err && (n = fread(block, 1, sizeof(block), in)))
		if (fwrite(block, 1, n, out) != n)
			err = -EIO;
	if (in)
		fclose(in);
	if (out && fclose(out))
		err = -EIO;
	return err;
}

/*
 * The application comes before all else on this machine, the analyzer's training
 * included: a fault is to be the only thing that slows it.
 */
static int make_root(const struct site *s)
{
	char root[SITE_PATH];
	int err;

	snprintf(root, sizeof(root), "/%s", s->name);
	err = cgroups_make(&s->cgroups, root);
	if (!err)
		err = cgroups_prefer(&s->cgroups, root);
	if (err)
		log_error("cgroup %s: cannot be made: %s: is this root, are the hierarchies "
			  "writable?",
			root, strerror(-err));
	return err;
}

/* Last first: those that are called stand below their callers. */
static int start_all(const struct site *s, const char *seed, pid_t *pid)
{
	unsigned count = (unsigned)s->topology.services;
	int err = make_root(s);

	if (!err)
		err = links_make(s);
	for (unsigned i = count; i-- > 0 && !err;) {
		pid[i] = launch_service(s, i);
		err = pid[i] < 0 ? pid[i] : 0;
	}
	for (unsigned i = count; i-- > 0 && !err;)
		err = launch_wait(s, i);
	if (!err) {
		pid[count] = launch_loadgen(s, seed);
		err = pid[count] < 0 ? pid[count] : 0;
	}
	return err;
}

static const char *name_of_pid(const struct site *s, const pid_t *pid, pid_t which)
{
	for (unsigned i = 0; i < s->topology.services; i++)
		if (pid[i] == which)
			return s->topology.service[i].name;
	return pid[s->topology.services] == which ? "load generator" : NULL;
}

/* Until told to stop (0) or a part of the application ends (-ECHILD). */
static int supervise(const struct site *s, const pid_t *pid, const sigset_t *signals)
{
	for (;;) {
		int number = sigwaitinfo(signals, NULL);
		pid_t child;

		if (number == SIGINT || number == SIGTERM)
			return 0;
		while ((child = waitpid(-1, NULL, WNOHANG)) > 0) {
			const char *name = name_of_pid(s, pid, child);

			if (!name)
				continue;
			log_error("%s ended by itself; see %s/*/log", name, s->directory);
			return -ECHILD;
		}
	}
}

static void block_signals(sigset_t *signals)
{
	sigemptyset(signals);
	sigaddset(signals, SIGINT);
	sigaddset(signals, SIGTERM);
	sigaddset(signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, signals, NULL);
}

static int up(struct site *s, const struct options *o)
{
	pid_t pid[TOPOLOGY_SERVICES + 1] = {0};
	sigset_t signals;
	int lock, err;

	if (!o->topology || site_load(s, o->topology))
		return 2;
	lock = lock_site(s);
	if (lock < 0) {
		log_error("%s: %s: is an application of this name running?", s->directory,
			strerror(-lock));
		return 1;
	}
	block_signals(&signals);
	clean(s, false);
	err = copy_topology(s, o->topology);
	if (!err)
		err = start_all(s, o->seed, pid);
	if (!err) {
		printf("up: %zu services\n", s->topology.services);
		fflush(stdout);
		err = supervise(s, pid, &signals);
	}
	clean(s, err);
	rmdir(s->directory);
	close(lock);
	return err ? 1 : 0;
}

static int down(const struct site *s)
{
	int lock = lock_site(s);

	if (lock < 0) {
		log_error("%s: %s: stop `sage-testbed up` instead", s->directory, strerror(-lock));
		return 1;
	}
	clean(s, false);
	rmdir(s->directory);
	close(lock);
	return 0;
}

static int find_kind(const char *name)
{
	for (int i = 0; i < FAULT_KINDS; i++)
		if (!strcmp(fault_name[i], name))
			return i;
	return -1;
}

static void wait_for_end(const sigset_t *signals, double seconds)
{
	uint64_t end_ns = clock_monotonic_ns() + (uint64_t)(seconds * 1e9);

	for (;;) {
		uint64_t now_ns = clock_monotonic_ns();
		uint64_t left_ns = end_ns > now_ns ? end_ns - now_ns : 0;
		struct timespec left = {.tv_sec = (time_t)(left_ns / 1000000000),
			.tv_nsec = (long)(left_ns % 1000000000)};
		int number = sigtimedwait(signals, NULL, &left);

		if (number == SIGINT || number == SIGTERM || !left_ns)
			return;
	}
}

static int run_fault(struct site *s, const struct options *o)
{
	const struct service *service;
	struct fault f;
	sigset_t signals;
	int kind, err;

	if (o->words != 3 || site_load(s, NULL))
		return 2;
	kind = find_kind(o->word[1]);
	service = topology_find(&s->topology, o->word[2]);
	if (kind < 0 || !service || !fault_fits(s, (enum fault_kind)kind, service)) {
		log_error("fault %s at %s: no such fault or service, or they do not fit",
			o->word[1], o->word[2]);
		return 2;
	}
	block_signals(&signals);
	err = fault_apply(&f, s, (enum fault_kind)kind, service);
	if (!err) {
		printf("%s at %s\n", o->word[1], o->word[2]);
		fflush(stdout);
		wait_for_end(&signals, o->seconds);
		err = fault_undo(&f, s);
	}
	if (err)
		log_error("fault %s at %s: %s", o->word[1], o->word[2], strerror(-err));
	return err ? 1 : 0;
}

static int watch(const struct site *s, const struct options *o)
{
	const struct timespec pause = {.tv_sec = 1};
	char path[SITE_PATH];
	uint64_t second = clock_wall_ns() / 1000000000;
	uint64_t end = second + (uint64_t)o->seconds;

	site_file(s, SITE_USER, "load.csv", path);
	printf("%8s %8s %8s %8s %9s %9s\n", "rate", "done", "errors", "dropped", "p50 ms",
		"p99 ms");
	for (; second < end; second += 2) {
		struct record_second sum;
		int found = 0;

		while (found < 2 && clock_wall_ns() / 1000000000 < second + 5) {
			nanosleep(&pause, NULL);
			found = record_read(path, (double)second, (double)second + 2, &sum);
		}
		if (found <= 0) {
			log_error("%s: no record: is the application up?", path);
			return 1;
		}
		printf("%8.1f %8lu %8lu %8lu %9.2f %9.2f\n", sum.rate, sum.done, sum.errors,
			sum.dropped, (double)hist_quantile_ns(&sum.latency, 0.5) * 1e-6,
			(double)hist_quantile_ns(&sum.latency, 0.99) * 1e-6);
		fflush(stdout);
	}
	return 0;
}

int main(int argc, char **argv)
{
	const struct argp parser = {option_table, parse_option, "up|fault KIND SERVICE|watch|down",
		"The small application Sage is shown on.", NULL, NULL, NULL};
	struct options o = {.name = "sage-testbed", .seed = "1", .seconds = 3600};
	struct site s;

	log_init("sage-testbed", LOG_INFO);
	argp_parse(&parser, argc, argv, 0, NULL, &o);
	if (site_open(&s, o.name))
		return 1;
	if (!strcmp(o.word[0], "up"))
		return up(&s, &o);
	if (!strcmp(o.word[0], "down"))
		return down(&s);
	if (!strcmp(o.word[0], "fault"))
		return run_fault(&s, &o);
	if (!strcmp(o.word[0], "watch"))
		return watch(&s, &o);
	log_error("'%s': up, fault, watch or down is wanted", o.word[0]);
	return 2;
}
