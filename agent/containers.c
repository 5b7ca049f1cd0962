#include "agent/containers_state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "agent/podman.h"
#include "agent/text.h"
#include "common/log.h"

#define RESCAN_NS (10 * 1000000000ULL)

void containers_tell_joined(const struct containers *c, uint64_t id)
{
	if (c->o.joined)
		c->o.joined(c->o.ctx, id);
}

void containers_tell_left(const struct containers *c, uint64_t id)
{
	if (c->o.left)
		c->o.left(c->o.ctx, id);
}

void containers_refuse(struct containers *c, const char *what, uint32_t capacity, uint32_t by)
{
	c->refused += by;
	if (!c->full_told)
		log_warning(
			"containers: more than %u %s: the rest is not seen; raise --max-containers",
			capacity, what);
	c->full_told = true;
}

static uint32_t free_slot(struct containers *c)
{
	for (uint32_t s = 0; s < c->o.max_containers; s++) {
		if (!c->slot[s].live)
			return s;
	}
	return CONTAINERS_NONE;
}

/* A namespace shared by a whole pod is shown by the first of its containers only. */
static bool net_is_taken(const struct containers *c, uint64_t inode, const struct container *by)
{
	for (uint32_t s = 0; s < c->slots; s++) {
		const struct container *other = &c->slot[s];

		if (other != by && other->live && other->net_inode == inode)
			return true;
	}
	return false;
}

static void set_net(struct containers *c, struct container *k, pid_t pid)
{
	k->pid = pid;
	k->net_inode = counters_set_net(&k->counters, pid);
	if (k->net_inode && net_is_taken(c, k->net_inode, k)) {
		counters_set_net(&k->counters, 0);
		k->net_inode = 0;
	}
}

/* Where the layout gave but an id, the name its owner gave it, for both: there is no pod. */
static void name_by_monitor(struct container *k)
{
	const char *id = podman_id(k->path);
	size_t digits = strlen(k->name.container);

	if (!id || strncmp(k->name.container, id, digits) ||
		strcmp(k->name.service, k->name.container))
		return;
	if (podman_name(k->pid, id, k->name.container))
		memcpy(k->name.service, k->name.container, WIRE_NAME);
}

static void open_perf(struct containers *c, uint32_t slot)
{
	struct container *k = &c->slot[slot];
	int err;

	if (!c->perf_fd)
		return;
	err = perf_open(&k->perf, c->perf_fd + (size_t)slot * perf_cpus() * PERF_EVENTS, c->o.tree,
		k->path);
	if (err && !c->perf_told)
		log_warning("perf events of %s: %s; absent for such containers%s", k->path,
			strerror(-err), err == -EMFILE ? "; raise the limit of open files" : "");
	c->perf_told |= err != 0;
}

static void start_container(struct containers *c, uint32_t owner, pid_t pid)
{
	struct node *n = &c->node[owner];
	uint32_t s = free_slot(c);
	struct container *k;

	if (s == CONTAINERS_NONE) {
		if (!n->refused)
			containers_refuse(c, "containers", c->o.max_containers, 1);
		n->refused = true;
		return;
	}
	k = &c->slot[s];
	memset(k, 0, sizeof(*k));
	if (!cgroup_name_parse(c->o.rules, n->path, &k->name))
		return;
	k->live = true;
	k->cgroup_id = n->id;
	memcpy(k->path, n->path, sizeof(k->path));
	counters_open(&k->counters, c->o.tree, n->path);
	open_perf(c, s);
	if (s >= c->slots)
		c->slots = s + 1;
	n->slot = s;
	set_net(c, k, pid);
	name_by_monitor(k);
	for (uint32_t i = 0; i < c->o.max_cgroups; i++) {
		if (c->node[i].id && c->node[i].owner == owner)
			containers_tell_joined(c, c->node[i].id);
	}
	log_debug("container %s of %s: %s", k->name.container, k->name.service, k->path);
}

void containers_stop(struct containers *c, uint32_t slot)
{
	counters_close(&c->slot[slot].counters);
	perf_close(&c->slot[slot].perf);
	c->slot[slot].live = false;
}

/* ---- what has a process -------------------------------------------------------- */

/* The first process of a cgroup, 0 when it has none or is gone. */
static pid_t first_pid(const struct containers *c, const char *path)
{
	int fd = cgroup_open_file(c->o.tree, CGROUP_CPU, path, "cgroup.procs");
	char text[32];
	uint64_t pid = 0;

	if (text_pread(fd, text, sizeof(text)) > 0)
		text_u64(text, &pid);
	if (fd >= 0)
		close(fd);
	return (pid_t)pid;
}

static void look_for_processes(struct containers *c)
{
	for (uint32_t i = 0; i < c->o.max_cgroups; i++) {
		struct node *n = &c->node[i];
		pid_t pid;

		if (!n->id || n->owner == CONTAINERS_NONE ||
			c->node[n->owner].slot != CONTAINERS_NONE)
			continue;
		pid = first_pid(c, n->path);
		if (pid)
			start_container(c, n->owner, pid);
	}
}

/* A container restarted in the same cgroup has a new process and network namespace. */
static void look_for_restarts(struct containers *c)
{
	for (uint32_t s = 0; s < c->slots; s++) {
		struct container *k = &c->slot[s];
		char proc[32];

		if (!k->live)
			continue;
		snprintf(proc, sizeof(proc), "/proc/%d", k->pid);
		if (!k->pid || access(proc, F_OK))
			set_net(c, k, first_pid(c, k->path));
	}
}

void containers_refresh(struct containers *c, uint64_t now_ns)
{
	containers_events(c);
	if (now_ns >= c->rescan_ns) {
		containers_rescan(c);
		look_for_restarts(c);
		c->rescan_ns = now_ns + RESCAN_NS;
	}
	look_for_processes(c);
}

/* ---- open, read, close ---------------------------------------------------------- */

int containers_open(struct containers **out, const struct containers_options *o)
{
	struct containers *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->o = *o;
	c->index_size = 16;
	while (c->index_size < 2 * o->max_cgroups)
		c->index_size *= 2;
	c->node = calloc(o->max_cgroups, sizeof(*c->node));
	c->index = malloc(c->index_size * sizeof(*c->index));
	c->slot = calloc(o->max_containers, sizeof(*c->slot));
	c->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (o->perf)
		c->perf_fd = calloc(
			(size_t)o->max_containers * perf_cpus() * PERF_EVENTS, sizeof(*c->perf_fd));
	if (!c->node || !c->index || !c->slot || (o->perf && !c->perf_fd)) {
		containers_close(c);
		return -ENOMEM;
	}
	if (c->inotify < 0)
		log_warning("containers: inotify: %s: new containers are seen up to 10 s late",
			strerror(errno));
	containers_index(c);
	containers_rescan(c);
	look_for_processes(c);
	*out = c;
	return 0;
}

int containers_fd(const struct containers *c)
{
	return c->inotify;
}

uint32_t containers_slots(const struct containers *c)
{
	return c->slots;
}

struct container *containers_at(struct containers *c, uint32_t slot)
{
	return &c->slot[slot];
}

uint32_t containers_find(const struct containers *c, uint64_t cgroup_id)
{
	uint32_t n = cgroup_id ? containers_node(c, cgroup_id) : CONTAINERS_NONE;

	if (n == CONTAINERS_NONE || c->node[n].owner == CONTAINERS_NONE)
		return CONTAINERS_NONE;
	return c->node[c->node[n].owner].slot;
}

void containers_each_id(const struct containers *c,
	void (*each)(void *ctx, uint64_t cgroup_id, uint32_t slot), void *ctx)
{
	for (uint32_t i = 0; i < c->o.max_cgroups; i++) {
		const struct node *n = &c->node[i];

		if (n->id && n->owner != CONTAINERS_NONE &&
			c->node[n->owner].slot != CONTAINERS_NONE)
			each(ctx, n->id, c->node[n->owner].slot);
	}
}

uint64_t containers_refused(const struct containers *c)
{
	return c->refused;
}

void containers_close(struct containers *c)
{
	if (!c)
		return;
	for (uint32_t s = 0; c->slot && s < c->slots; s++) {
		if (c->slot[s].live)
			containers_stop(c, s);
	}
	if (c->inotify >= 0)
		close(c->inotify);
	free(c->node);
	free(c->index);
	free(c->slot);
	free(c->perf_fd);
	free(c);
}
