#include "agent/containers.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/podman.h"
#include "agent/text.h"
#include "common/log.h"

#define NONE UINT32_MAX
#define RESCAN_NS (10 * 1000000000ULL)
#define MAX_DEPTH 32
#define WATCH_MASK (IN_CREATE | IN_DELETE | IN_ONLYDIR | IN_DONT_FOLLOW)

/* A cgroup directory. */
struct node {
	uint64_t id;    /* inode; 0 marks a free node */
	int watch;      /* inotify watch, -1 without */
	uint32_t owner; /* the named node it is or lies in; NONE outside of containers */
	uint32_t slot;  /* of a named node: its container once it had a process */
	bool seen;      /* by the scan under way */
	bool refused;   /* counted already: the container table was full */
	char path[WIRE_PATH];
};

struct containers {
	struct containers_options o;
	int inotify;
	struct node *node;      /* [o.max_cgroups] */
	uint32_t *index;        /* [index_size] open addressing by id, NONE = free */
	uint32_t index_size;    /* power of two, at least twice max_cgroups */
	struct container *slot; /* [o.max_containers] */
	int *perf_fd;           /* [o.max_containers][CPUs][PERF_EVENTS]; NULL unless o.perf */
	uint32_t slots;         /* slots ever used: none live at or above */
	uint64_t rescan_ns;     /* when the next rescan is due; 0 = at once */
	uint64_t refused;
	uint32_t outside; /* directories without a node: at the last rescan, and born since */
	bool full_told, watch_told, perf_told;
};

/* ---- id -> node ----------------------------------------------------------- */

static uint32_t index_place(const struct containers *c, uint64_t id)
{
	uint32_t at = (uint32_t)((id * 0x9E3779B97F4A7C15ULL) >> 32) & (c->index_size - 1);

	while (c->index[at] != NONE && c->node[c->index[at]].id != id)
		at = (at + 1) & (c->index_size - 1);
	return at;
}

static uint32_t find_node(const struct containers *c, uint64_t id)
{
	return c->index[index_place(c, id)];
}

/* After a removal; births are cheap, deaths pay. */
static void index_rebuild(struct containers *c)
{
	memset(c->index, 0xff, c->index_size * sizeof(*c->index));
	for (uint32_t n = 0; n < c->o.max_cgroups; n++) {
		if (c->node[n].id)
			c->index[index_place(c, c->node[n].id)] = n;
	}
}

/* ---- containers ------------------------------------------------------------- */

static void tell_joined(const struct containers *c, uint64_t id)
{
	if (c->o.joined)
		c->o.joined(c->o.ctx, id);
}

static void tell_left(const struct containers *c, uint64_t id)
{
	if (c->o.left)
		c->o.left(c->o.ctx, id);
}

static void refuse(struct containers *c, const char *what, uint32_t capacity, uint32_t by)
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
	return NONE;
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

	if (s == NONE) {
		if (!n->refused)
			refuse(c, "containers", c->o.max_containers, 1);
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
			tell_joined(c, c->node[i].id);
	}
	log_debug("container %s of %s: %s", k->name.container, k->name.service, k->path);
}

static void stop_container(struct containers *c, uint32_t slot)
{
	counters_close(&c->slot[slot].counters);
	perf_close(&c->slot[slot].perf);
	c->slot[slot].live = false;
}

/* ---- directories ------------------------------------------------------------ */

static void remove_node(struct containers *c, uint32_t n)
{
	struct node *node = &c->node[n];

	if (node->owner != NONE && c->node[node->owner].slot != NONE)
		tell_left(c, node->id);
	/* Those inside lose their owner, and with it the way to be told of themselves. */
	for (uint32_t i = 0; i < c->o.max_cgroups; i++) {
		if (!c->node[i].id || c->node[i].owner != n)
			continue;
		if (i != n && node->slot != NONE)
			tell_left(c, c->node[i].id);
		c->node[i].owner = NONE;
	}
	if (node->slot != NONE)
		stop_container(c, node->slot);
	if (node->watch >= 0)
		inotify_rm_watch(c->inotify, node->watch);
	node->id = 0;
}

static int add_watch(struct containers *c, const char *directory)
{
	int watch = c->inotify < 0 ? -1 : inotify_add_watch(c->inotify, directory, WATCH_MASK);

	if (watch < 0 && c->inotify >= 0 && errno == ENOSPC && !c->watch_told) {
		log_warning(
			"containers: %s: no more inotify watches, new containers may be seen up to "
			"10 s late; raise /proc/sys/fs/inotify/max_user_watches",
			directory);
		c->watch_told = true;
	}
	return watch;
}

/* The node of a directory, made when new; NONE when it is gone or the table full. */
static uint32_t take_node(
	struct containers *c, const char *directory, const char *path, uint64_t id, uint32_t above)
{
	struct cgroup_name name;
	uint32_t n = find_node(c, id);
	struct node *node;

	if (n != NONE && !strcmp(c->node[n].path, path))
		return n;
	if (n != NONE) {
		remove_node(c, n); /* an inode number used again */
		index_rebuild(c);
	}
	for (n = 0; n < c->o.max_cgroups && c->node[n].id; n++)
		;
	if (n == c->o.max_cgroups) {
		c->outside++;
		return NONE;
	}
	node = &c->node[n];
	memset(node, 0, sizeof(*node));
	node->id = id;
	node->slot = NONE;
	snprintf(node->path, sizeof(node->path), "%s", path);
	node->owner = cgroup_name_parse(c->o.rules, path, &name) ? n : above;
	node->watch = add_watch(c, directory);
	c->index[index_place(c, id)] = n;
	if (node->owner != NONE && c->node[node->owner].slot != NONE)
		tell_joined(c, id);
	return n;
}

/* Enter a directory and everything below; watched before it is read, so no birth is missed. */
static void scan(struct containers *c, const char *path, uint32_t above, unsigned depth)
{
	char directory[PATH_MAX], child[WIRE_PATH];
	struct dirent *d;
	struct stat st;
	uint32_t n;
	DIR *dir;

	snprintf(directory, sizeof(directory), "%s%s", cgroup_tree_root(c->o.tree), path);
	if (depth > MAX_DEPTH || lstat(directory, &st) || !S_ISDIR(st.st_mode))
		return;
	n = take_node(c, directory, path, st.st_ino, above);
	if (n == NONE)
		return;
	c->node[n].seen = true;
	dir = opendir(directory);
	while (dir && (d = readdir(dir))) {
		int length = snprintf(child, sizeof(child), "%s/%s", path, d->d_name);

		if (d->d_type == DT_DIR && d->d_name[0] != '.' && length > 0 &&
			(size_t)length < sizeof(child))
			scan(c, child, c->node[n].owner, depth + 1);
	}
	if (dir)
		closedir(dir);
}

/* Those refused by a scan count once, however often they are seen again. */
static void count_outside(struct containers *c, uint32_t before)
{
	if (c->outside > before)
		refuse(c, "cgroups", c->o.max_cgroups, c->outside - before);
}

static void rescan(struct containers *c)
{
	uint32_t outside = c->outside;
	bool removed = false;

	c->outside = 0;
	for (uint32_t n = 0; n < c->o.max_cgroups; n++)
		c->node[n].seen = false;
	scan(c, "", NONE, 0);
	count_outside(c, outside);
	for (uint32_t n = 0; n < c->o.max_cgroups; n++) {
		if (c->node[n].id && !c->node[n].seen) {
			remove_node(c, n);
			removed = true;
		}
	}
	if (removed)
		index_rebuild(c);
}

/* ---- births and deaths -------------------------------------------------------- */

static void remove_path(struct containers *c, const char *path)
{
	for (uint32_t n = 0; n < c->o.max_cgroups; n++) {
		if (c->node[n].id && !strcmp(c->node[n].path, path)) {
			remove_node(c, n);
			index_rebuild(c);
			return;
		}
	}
}

static void handle_event(struct containers *c, const struct inotify_event *e)
{
	char path[WIRE_PATH];
	uint32_t n, outside = c->outside;
	int length;

	if (e->mask & IN_Q_OVERFLOW)
		c->rescan_ns = 0;
	if (!(e->mask & IN_ISDIR) || !e->len)
		return;
	for (n = 0; n < c->o.max_cgroups; n++) {
		if (c->node[n].id && c->node[n].watch == e->wd)
			break;
	}
	if (n == c->o.max_cgroups)
		return;
	length = snprintf(path, sizeof(path), "%s/%s", c->node[n].path, e->name);
	if (length < 0 || (size_t)length >= sizeof(path))
		return;
	if (e->mask & IN_DELETE)
		remove_path(c, path);
	else
		scan(c, path, c->node[n].owner, 0);
	count_outside(c, outside);
}

void containers_events(struct containers *c)
{
	char buffer[8192] __attribute__((aligned(__alignof__(struct inotify_event))));
	ssize_t n;

	while (c->inotify >= 0 && (n = read(c->inotify, buffer, sizeof(buffer))) > 0) {
		for (ssize_t at = 0; at < n;) {
			const struct inotify_event *e = (const void *)(buffer + at);

			handle_event(c, e);
			at += (ssize_t)(sizeof(*e) + e->len);
		}
	}
}

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

		if (!n->id || n->owner == NONE || c->node[n->owner].slot != NONE)
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
		rescan(c);
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
	index_rebuild(c);
	scan(c, "", NONE, 0);
	count_outside(c, 0);
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
	uint32_t n = cgroup_id ? find_node(c, cgroup_id) : NONE;

	if (n == NONE || c->node[n].owner == NONE)
		return CONTAINERS_NONE;
	return c->node[c->node[n].owner].slot;
}

void containers_each_id(const struct containers *c,
	void (*each)(void *ctx, uint64_t cgroup_id, uint32_t slot), void *ctx)
{
	for (uint32_t i = 0; i < c->o.max_cgroups; i++) {
		const struct node *n = &c->node[i];

		if (n->id && n->owner != NONE && c->node[n->owner].slot != NONE)
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
			stop_container(c, s);
	}
	if (c->inotify >= 0)
		close(c->inotify);
	free(c->node);
	free(c->index);
	free(c->slot);
	free(c->perf_fd);
	free(c);
}
