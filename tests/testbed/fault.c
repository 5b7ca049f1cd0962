#include "tests/testbed/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "tests/testbed/control.h"
#include "tests/testbed/filler.h"
#include "tests/testbed/launch.h"
#include "tests/testbed/links.h"
#include "tests/testbed/spawn.h"

#define MEASURE_S 8
/* A pod with less cannot feed an antagonist and its service: that would be an outage. */
#define ANTAGONIST_QUOTA 0.12
#define QUOTA_ROOM 1.35  /* quota left, as a multiple of what is used */
#define QUOTA_MIN 0.01   /* cores */
#define QUOTA_STEP 0.75  /* of what was left, when that was not felt */
#define RATE_ROOM 1.3    /* bandwidth left, likewise */
#define MEMORY_SHARE 0.6 /* of the working set that no longer fits */
#define HOG_MB 256       /* more than most disks cache */
#define LOSS_SHARE 0.04
#define SLOW_BUSY 0.55 /* share of time the slow path's lock is held */
#define SLOW_MS 30.0
#define SURGE_LOAD 1.35 /* of the front's quota that a surge takes */
#define SURGE_MIN 1.8
#define SURGE_MAX 4.0

const char *const fault_name[FAULT_KINDS] = {
	"antagonist",
	"quota",
	"memory",
	"disk",
	"bandwidth",
	"loss",
	"code",
	"surge",
};

const char *const fault_resource[FAULT_KINDS] = {
	"cpu",
	"cpu",
	"memory",
	"disk",
	"network",
	"network",
	"code",
	"workload",
};

bool fault_is_fixable(enum fault_kind kind)
{
	return kind == FAULT_ANTAGONIST || kind == FAULT_QUOTA || kind == FAULT_MEMORY ||
	       kind == FAULT_DISK;
}

bool fault_fits(const struct site *s, enum fault_kind kind, const struct service *service)
{
	bool tier = service->kind == KIND_TIER;

	switch (kind) {
	case FAULT_ANTAGONIST:
		return service->quota >= ANTAGONIST_QUOTA;
	case FAULT_MEMORY:
		return tier && service->work_mb > 0;
	case FAULT_DISK:
		return tier && service->reads > 0;
	case FAULT_CODE:
		return tier;
	case FAULT_SURGE:
		return service == &s->topology.service[0];
	default:
		return true;
	}
}

/* Requests per second that reach a service, from the topology and the mean rate. */
static double request_rate(const struct topology *t, const struct service *service)
{
	double rate = service == t->service ? t->rate : 0;

	for (size_t i = 0; i < t->services; i++) {
		const struct service *from = &t->service[i];

		for (size_t k = 0; k < from->calls; k++) {
			const struct service_call *c = &from->call[k];
			double weight = 0;

			if (&t->service[c->callee] != service)
				continue;
			for (size_t j = 0; j < from->calls; j++)
				if (from->call[j].step == c->step)
					weight += from->call[j].pick;
			rate += request_rate(t, from) *
				(c->pick > 0 ? c->pick / weight : c->chance);
		}
	}
	return rate;
}

/* What a service uses of a resource per second, from two readings of its counters. */
struct usage {
	uint64_t cpu_ns, sent, received;
};

static int read_usage(const struct site *s, const struct service *service, struct usage *u)
{
	char path[SITE_PATH];
	int err = cgroups_cpu_ns(
		&s->cgroups, site_container(s, service->name, "app", path), &u->cpu_ns);

	return err ? err
		   : links_bytes(s, topology_index(&s->topology, service), &u->sent, &u->received);
}

static int measure(const struct site *s, const struct service *service, struct usage *per_second)
{
	const struct timespec span = {.tv_sec = MEASURE_S};
	struct usage before, after;
	int err = read_usage(s, service, &before);

	if (err)
		return err;
	nanosleep(&span, NULL);
	err = read_usage(s, service, &after);
	if (err)
		return err;
	per_second->cpu_ns = (after.cpu_ns - before.cpu_ns) / MEASURE_S;
	per_second->sent = (after.sent - before.sent) / MEASURE_S;
	per_second->received = (after.received - before.received) / MEASURE_S;
	return 0;
}

/* Start the neighbour in the pod: busy, or reading a file. */
static int start_hog(struct fault *f, const struct site *s, char *file)
{
	char program[SITE_PATH + 16], sidecar[SITE_PATH];
	char *argv[] = {program, file, NULL};
	const struct spawn how = {
		.cgroups = &s->cgroups,
		.cgroup = site_container(s, f->service->name, "sidecar", sidecar),
	};
	pid_t pid;

	snprintf(program, sizeof(program), "%s/sage-hog", s->tools);
	pid = spawn_start(&how, argv);
	if (pid < 0)
		return pid;
	f->hog = pid;
	return 0;
}

static int apply_antagonist(struct fault *f, const struct site *s)
{
	return start_hog(f, s, NULL);
}

static int cut_quota(struct fault *f, const struct site *s, double cores)
{
	char pod[SITE_PATH];

	f->cores = cores < QUOTA_MIN ? QUOTA_MIN : cores;
	return cgroups_set_quota(&s->cgroups, site_pod(s, f->service->name, pod), f->cores);
}

static int apply_quota(struct fault *f, const struct site *s)
{
	struct usage use;
	int err = measure(s, f->service, &use);

	return err ? err : cut_quota(f, s, (double)use.cpu_ns * 1e-9 * QUOTA_ROOM);
}

static int apply_memory(struct fault *f, const struct site *s)
{
	char pod[SITE_PATH];
	int64_t used;
	int err;

	site_pod(s, f->service->name, pod);
	err = cgroups_memory_used(&s->cgroups, pod, &used);
	if (err)
		return err;
	used -= (int64_t)(f->service->work_mb * MEMORY_SHARE * (1 << 20));
	return cgroups_set_memory(&s->cgroups, pod, used);
}

/* On the same disk as what the service reads. */
static char *hog_file(const struct fault *f, const struct site *s, char *to)
{
	return site_file(s, f->service->name, "hog", to);
}

static int apply_disk(struct fault *f, const struct site *s)
{
	char path[SITE_PATH];
	int fd = filler_make(hog_file(f, s, path), HOG_MB);

	if (fd < 0)
		return fd;
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	close(fd);
	return start_hog(f, s, path);
}

static int apply_bandwidth(struct fault *f, const struct site *s)
{
	struct usage use;
	int err = measure(s, f->service, &use);

	if (err)
		return err;
	return links_set_rate(s, topology_index(&s->topology, f->service),
		(uint64_t)((double)use.sent * RATE_ROOM) + 1000,
		(uint64_t)((double)use.received * RATE_ROOM) + 1000);
}

static int apply_loss(struct fault *f, const struct site *s)
{
	return links_set_loss(s, topology_index(&s->topology, f->service), LOSS_SHARE);
}

static int control(const struct site *s, const char *service, const char *line)
{
	char path[SITE_PATH];

	return control_send(site_file(s, service, "control", path), line);
}

static int apply_code(struct fault *f, const struct site *s)
{
	double share = SLOW_BUSY / (request_rate(&s->topology, f->service) * SLOW_MS / 1000);
	char line[64];

	snprintf(line, sizeof(line), "slow %.4f %.1f", share < 1 ? share : 1, SLOW_MS);
	return control(s, f->service->name, line);
}

static int apply_surge(struct fault *f, const struct site *s)
{
	struct usage use;
	char line[64];
	double factor;
	int err = measure(s, f->service, &use);

	if (err)
		return err;
	factor = f->service->quota * SURGE_LOAD / ((double)use.cpu_ns * 1e-9);
	factor = factor < SURGE_MIN ? SURGE_MIN : factor < SURGE_MAX ? factor : SURGE_MAX;
	snprintf(line, sizeof(line), "rate %.2f", factor);
	return control(s, SITE_USER, line);
}

int fault_apply(
	struct fault *f, const struct site *s, enum fault_kind kind, const struct service *service)
{
	static int (*const apply[FAULT_KINDS])(struct fault *, const struct site *) = {
		[FAULT_ANTAGONIST] = apply_antagonist,
		[FAULT_QUOTA] = apply_quota,
		[FAULT_MEMORY] = apply_memory,
		[FAULT_DISK] = apply_disk,
		[FAULT_BANDWIDTH] = apply_bandwidth,
		[FAULT_LOSS] = apply_loss,
		[FAULT_CODE] = apply_code,
		[FAULT_SURGE] = apply_surge,
	};

	*f = (struct fault){.kind = kind, .service = service};
	return apply[kind](f, s);
}

int fault_tighten(struct fault *f, const struct site *s)
{
	return f->kind == FAULT_QUOTA ? cut_quota(f, s, f->cores * QUOTA_STEP) : -ENOTSUP;
}

static int stop_hog(struct fault *f, const struct site *s)
{
	char sidecar[SITE_PATH];

	cgroups_kill(&s->cgroups, site_container(s, f->service->name, "sidecar", sidecar));
	if (f->hog)
		waitpid(f->hog, NULL, 0);
	f->hog = 0;
	return 0;
}

static int undo_disk(struct fault *f, const struct site *s)
{
	char path[SITE_PATH];
	int err = stop_hog(f, s);

	unlink(hog_file(f, s, path));
	return err;
}

int fault_undo(struct fault *f, const struct site *s)
{
	unsigned index = topology_index(&s->topology, f->service);

	switch (f->kind) {
	case FAULT_ANTAGONIST:
		return stop_hog(f, s);
	case FAULT_QUOTA:
	case FAULT_MEMORY:
		return launch_limit(s, f->service);
	case FAULT_DISK:
		return undo_disk(f, s);
	case FAULT_BANDWIDTH:
		return links_set_rate(s, index, 0, 0);
	case FAULT_LOSS:
		return links_set_loss(s, index, 0);
	case FAULT_CODE:
		return control(s, f->service->name, "slow 0 0");
	case FAULT_SURGE:
		return control(s, SITE_USER, "rate 1");
	default:
		return -EINVAL;
	}
}
