/* The directories of the cgroup tree: a scan, and what inotify tells of them later. */
#include "agent/containers_state.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"

#define MAX_DEPTH 32
#define WATCH_MASK (IN_CREATE | IN_DELETE | IN_ONLYDIR | IN_DONT_FOLLOW)

/* ---- id -> node ----------------------------------------------------------- */

static uint32_t index_place(const struct containers *c, uint64_t id)
{
	uint32_t at = (uint32_t)((id * 0x9E3779B97F4A7C15ULL) >> 32) & (c->index_size - 1);

	while (c->index[at] != CONTAINERS_NONE && c->node[c->index[at]].id != id)
		at = (at + 1) & (c->index_size - 1);
	return at;
}

uint32_t containers_node(const struct containers *c, uint64_t id)
{
	return c->index[index_place(c, id)];
}

/* After a removal; births are cheap, deaths pay. */
void containers_index(struct containers *c)
{
	memset(c->index, 0xff, c->index_size * sizeof(*c->index));
	for (uint32_t n = 0; n < c->o.max_cgroups; n++) {
		if (c->node[n].id)
			c->index[index_place(c, c->node[n].id)] = n;
	}
}

/* ---- directories ------------------------------------------------------------ */

static void remove_node(struct containers *c, uint32_t n)
{
	struct node *node = &c->node[n];

	if (node->owner != CONTAINERS_NONE && c->node[node->owner].slot != CONTAINERS_NONE)
		containers_tell_left(c, node->id);
	/* Those inside lose their owner, and with it the way to be told of themselves. */
	for (uint32_t i = 0; i < c->o.max_cgroups; i++) {
		if (!c->node[i].id || c->node[i].owner != n)
			continue;
		if (i != n && node->slot != CONTAINERS_NONE)
			containers_tell_left(c, c->node[i].id);
		c->node[i].owner = CONTAINERS_NONE;
	}
	if (node->slot != CONTAINERS_NONE)
		containers_stop(c, node->slot);
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

/* The node of a directory, made when new; CONTAINERS_NONE when it is gone or the table full. */
static uint32_t take_node(
	struct containers *c, const char *directory, const char *path, uint64_t id, uint32_t above)
{
	struct cgroup_name name;
	uint32_t n = containers_node(c, id);
	struct node *node;

	if (n != CONTAINERS_NONE && !strcmp(c->node[n].path, path))
		return n;
	if (n != CONTAINERS_NONE) {
		remove_node(c, n); /* an inode number used again */
		containers_index(c);
	}
	for (n = 0; n < c->o.max_cgroups && c->node[n].id; n++)
		;
	if (n == c->o.max_cgroups) {
		c->outside++;
		return CONTAINERS_NONE;
	}
	node = &c->node[n];
	memset(node, 0, sizeof(*node));
	node->id = id;
	node->slot = CONTAINERS_NONE;
	snprintf(node->path, sizeof(node->path), "%s", path);
	node->owner = cgroup_name_parse(c->o.rules, path, &name) ? n : above;
	node->watch = add_watch(c, directory);
	c->index[index_place(c, id)] = n;
	if (node->owner != CONTAINERS_NONE && c->node[node->owner].slot != CONTAINERS_NONE)
		containers_tell_joined(c, id);
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
	if (n == CONTAINERS_NONE)
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
		containers_refuse(c, "cgroups", c->o.max_cgroups, c->outside - before);
}

void containers_rescan(struct containers *c)
{
	uint32_t outside = c->outside;
	bool removed = false;

	c->outside = 0;
	for (uint32_t n = 0; n < c->o.max_cgroups; n++)
		c->node[n].seen = false;
	scan(c, "", CONTAINERS_NONE, 0);
	count_outside(c, outside);
	for (uint32_t n = 0; n < c->o.max_cgroups; n++) {
		if (c->node[n].id && !c->node[n].seen) {
			remove_node(c, n);
			removed = true;
		}
	}
	if (removed)
		containers_index(c);
}

/* ---- births and deaths -------------------------------------------------------- */

static void remove_path(struct containers *c, const char *path)
{
	for (uint32_t n = 0; n < c->o.max_cgroups; n++) {
		if (c->node[n].id && !strcmp(c->node[n].path, path)) {
			remove_node(c, n);
			containers_index(c);
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
