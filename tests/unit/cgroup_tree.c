#include "cgroup_tree.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *full(
	const struct cgroup_tree *t, enum knob_controller c, const char *path, const char *file)
{
	static char out[1024];

	snprintf(out, sizeof(out), "%s%s/%s", t->layout.mount[c].dir, path, file);
	return out;
}

static void name_paths(struct cgroup_tree *t)
{
	snprintf(t->top, sizeof(t->top), "/sage-acting-%d", (int)getpid());
	snprintf(t->pod, sizeof(t->pod), "%s/pod", t->top);
	snprintf(t->app, sizeof(t->app), "%s/app", t->pod);
}

static uint64_t inode(const struct cgroup_tree *t, const char *path)
{
	struct stat st;

	return stat(full(t, KNOB_CPU, path, ""), &st) ? 0 : st.st_ino;
}

static bool make_paths(struct cgroup_tree *t)
{
	const char *paths[] = {t->top, t->pod, t->app};

	for (int c = 0; c < KNOB_CONTROLLERS; c++)
		for (size_t i = 0; i < 3 && *t->layout.mount[c].dir; i++)
			mkdir(full(t, (enum knob_controller)c, paths[i], ""), 0755);
	t->pod_id = inode(t, t->pod);
	t->app_id = inode(t, t->app);
	return t->app_id != 0;
}

static bool is_on(struct cgroup_tree *t, bool v2)
{
	memset(t, 0, sizeof(*t));
	name_paths(t);
	if (knob_layout_find(&t->layout, "/proc/self/mountinfo", NULL))
		return false;
	for (int c = 0; c < KNOB_CONTROLLERS; c++)
		if (!*t->layout.mount[c].dir || t->layout.mount[c].v2 != v2)
			return false;
	return true;
}

bool cgroup_tree_real(struct cgroup_tree *t)
{
	return is_on(t, false) && make_paths(t);
}

/* A v2 directory hands controllers down only when told to. */
static bool hand_down(const struct cgroup_tree *t, const char *path)
{
	static const char words[] = "+cpu +memory +io";
	int fd = open(full(t, KNOB_CPU, path, "cgroup.subtree_control"), O_WRONLY);
	bool ok = fd >= 0 && write(fd, words, strlen(words)) == (ssize_t)strlen(words);

	if (fd >= 0)
		close(fd);
	return ok;
}

bool cgroup_tree_real_v2(struct cgroup_tree *t)
{
	return is_on(t, true) && make_paths(t) && hand_down(t, "") && hand_down(t, t->top) &&
	       hand_down(t, t->pod);
}

bool cgroup_tree_any(struct cgroup_tree *t)
{
	return cgroup_tree_real(t) || cgroup_tree_real_v2(t);
}

void cgroup_tree_plain(struct cgroup_tree *t)
{
	const char *paths[] = {NULL, NULL};

	memset(t, 0, sizeof(*t));
	name_paths(t);
	snprintf(t->plain, sizeof(t->plain), "/tmp/sage-acting-XXXXXX");
	if (!mkdtemp(t->plain))
		abort();
	for (int c = 0; c < KNOB_CONTROLLERS; c++) {
		snprintf(t->layout.mount[c].dir, sizeof(t->layout.mount[c].dir), "%s", t->plain);
		t->layout.mount[c].v2 = true;
	}
	make_paths(t);
	paths[0] = t->pod;
	paths[1] = t->app;
	for (size_t i = 0; i < 2; i++) {
		cgroup_tree_put(t, KNOB_CPU, paths[i], "cpu.max", "max 100000\n");
		cgroup_tree_put(t, KNOB_CPU, paths[i], "cpu.weight", "100\n");
		cgroup_tree_put(t, KNOB_CPU, paths[i], "memory.high", "max\n");
		cgroup_tree_put(t, KNOB_CPU, paths[i], "memory.max", "max\n");
		cgroup_tree_put(t, KNOB_CPU, paths[i], "io.max", "");
		cgroup_tree_put(t, KNOB_CPU, paths[i], "io.stat",
			"7:0 rbytes=10 wbytes=20 rios=1\n254:0 rbytes=4096 wbytes=0 rios=1 "
			"wios=0\n");
	}
}

void cgroup_tree_remove(struct cgroup_tree *t)
{
	static const char *const files[] = {"cpu.max", "cpu.weight", "memory.high", "memory.max",
		"memory.current", "memory.reclaim", "io.max", "io.stat"};
	const char *paths[] = {t->app, t->pod, t->top};

	for (size_t i = 0; i < 3; i++)
		for (int c = 0; c < KNOB_CONTROLLERS; c++) {
			for (size_t f = 0; *t->plain && f < sizeof(files) / sizeof(*files); f++)
				unlink(full(t, (enum knob_controller)c, paths[i], files[f]));
			if (*t->layout.mount[c].dir)
				rmdir(full(t, (enum knob_controller)c, paths[i], ""));
		}
	if (*t->plain)
		rmdir(t->plain);
}

void cgroup_tree_put(const struct cgroup_tree *t, enum knob_controller c, const char *path,
	const char *file, const char *text)
{
	int fd = open(full(t, c, path, file), O_WRONLY | O_TRUNC | (*t->plain ? O_CREAT : 0), 0644);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text)) {
		perror(full(t, c, path, file));
		abort();
	}
	close(fd);
}

const char *cgroup_tree_get(
	const struct cgroup_tree *t, enum knob_controller c, const char *path, const char *file)
{
	static char text[4096];
	int fd = open(full(t, c, path, file), O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
	if (n > 0 && text[n - 1] == '\n')
		text[n - 1] = '\0';
	return text;
}

void cgroup_tree_put_quota(const struct cgroup_tree *t, const char *path, int us)
{
	bool v2 = t->layout.mount[KNOB_CPU].v2;
	char text[32];

	snprintf(text, sizeof(text), !v2 ? "%d" : us < 0 ? "max 100000" : "%d 100000", us);
	cgroup_tree_put(t, KNOB_CPU, path, v2 ? "cpu.max" : "cpu.cfs_quota_us", text);
}

int cgroup_tree_quota(const struct cgroup_tree *t, const char *path)
{
	bool v2 = t->layout.mount[KNOB_CPU].v2;
	const char *text = cgroup_tree_get(t, KNOB_CPU, path, v2 ? "cpu.max" : "cpu.cfs_quota_us");

	return *text == 'm' ? -1 : atoi(text);
}
