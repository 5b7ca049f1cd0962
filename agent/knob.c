#include "agent/knob.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/knob_net.h"
#include "agent/knob_text.h"

#define CONTENT_BYTES 8192

static const struct {
	enum knob_controller controller;
	const char *v1, *v2;
} knob_file[WIRE_KNOBS] = {
	[KNOB_CPU_QUOTA] = {KNOB_CPU, "cpu.cfs_quota_us", "cpu.max"},
	[KNOB_CPU_WEIGHT] = {KNOB_CPU, "cpu.shares", "cpu.weight"},
	[KNOB_MEMORY_HIGH] = {KNOB_MEMORY, "memory.limit_in_bytes", "memory.high"},
	[KNOB_IO_READ_BPS] = {KNOB_IO, "blkio.throttle.read_bps_device", "io.max"},
	[KNOB_IO_WRITE_BPS] = {KNOB_IO, "blkio.throttle.write_bps_device", "io.max"},
	[KNOB_IO_READ_IOPS] = {KNOB_IO, "blkio.throttle.read_iops_device", "io.max"},
	[KNOB_NET_RATE] = {KNOB_CPU, "tbf rate", "tbf rate"}, /* no file: a name for messages */
};

static bool is_io(enum wire_knob kind)
{
	return kind == KNOB_IO_READ_BPS || kind == KNOB_IO_WRITE_BPS || kind == KNOB_IO_READ_IOPS;
}

/* Guards compare the text: one cgroup has one, without empty, "." and ".." components. */
bool knob_path_is_sane(const char *path)
{
	const char *at = path;

	if (path[0] != '/' || strlen(path) >= WIRE_PATH)
		return false;
	while (*at == '/') {
		size_t n = strcspn(++at, "/");

		if (!n || (n == 1 && at[0] == '.') || (n == 2 && at[0] == '.' && at[1] == '.'))
			return false;
		at += n;
	}
	for (const char *c = path; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 127)
			return false;
	return true;
}

/* Open mount + path as a directory, staying beneath the mount. Returns it or -errno. */
static int open_beneath(const char *mount, const char *path)
{
	struct open_how how = {
		.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	int root, fd;

	if (!*mount)
		return -EOPNOTSUPP;
	root = open(mount, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return -errno;
	fd = (int)syscall(SYS_openat2, root, path + 1, &how, sizeof(how));
	if (fd < 0)
		fd = -errno;
	close(root);
	return fd;
}

static bool has_child(int dir, uint64_t inode)
{
	int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *e;
	bool found = false;

	if (!d) {
		if (copy >= 0)
			close(copy);
		return false;
	}
	while (!found && (e = readdir(d)))
		found = e->d_ino == inode && e->d_type == DT_DIR && e->d_name[0] != '.';
	closedir(d);
	return found;
}

static int open_identity(struct knob *k, const char *mount, const char *path, uint64_t cgroup_id)
{
	struct stat st;

	k->identity = open_beneath(mount, path);
	if (k->identity < 0)
		return k->identity;
	if (fstat(k->identity, &st))
		return -errno;
	if (st.st_ino != cgroup_id && !has_child(k->identity, cgroup_id))
		return -ESTALE;
	k->inode = st.st_ino;
	return 0;
}

/* A file that is missing below an open directory: the cgroup was removed. */
static int explain(int error)
{
	return error == ENOENT ? -ENODEV : -error;
}

/* Read a small file of the knob's directory whole. */
static int read_file(int dir, const char *file, char *out, size_t size)
{
	int fd = openat(dir, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	size_t have = 0;
	ssize_t n;

	if (fd < 0)
		return explain(errno);
	while (have < size - 1 && (n = read(fd, out + have, size - 1 - have)) != 0) {
		if (n < 0) {
			int error = -errno;

			close(fd);
			return error;
		}
		have += (size_t)n;
	}
	close(fd);
	out[have] = '\0';
	return 0;
}

static int write_file(int dir, const char *file, const char *text)
{
	int fd = openat(dir, file, O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOFOLLOW);
	size_t size = strlen(text);
	ssize_t n;
	int error = 0;

	if (fd < 0)
		return explain(errno);
	n = write(fd, text, size);
	if (n < 0)
		error = -errno;
	else if ((size_t)n != size)
		error = -EIO;
	close(fd);
	return error;
}

/*
 * On v2 the hard limit is the one that squeezes when it is below memory.high, and then it
 * is the one to raise. It is never lowered: that would call the OOM killer.
 */
static int choose_memory_file(struct knob *k)
{
	char content[KNOB_TEXT];
	struct knob_value high, max;

	if (!k->v2) {
		k->raise_only = true;
		return 0;
	}
	if (knob_read(k, &high) || read_file(k->dir, "memory.max", content, sizeof(content)) ||
		knob_text_parse(k->kind, true, content, "", 0, &max))
		return 0;
	if (knob_compare(k->kind, max.value, high.value) >= 0)
		return 0;
	snprintf(k->file, sizeof(k->file), "memory.max");
	k->raise_only = true;
	return 0;
}

int knob_take_file(struct knob *k, const char *file)
{
	bool max = !strcmp(file, "memory.max");

	if (!strcmp(file, k->file))
		return 0;
	if (k->kind != KNOB_MEMORY_HIGH || !k->v2 || (!max && strcmp(file, "memory.high")))
		return -EOPNOTSUPP;
	snprintf(k->file, sizeof(k->file), "%s", file);
	k->raise_only = max;
	return 0;
}

static int choose_device(struct knob *k, const char *device)
{
	static const char *const stat_v1 = "blkio.throttle.io_service_bytes", *const stat_v2 =
										      "io.stat";
	char content[CONTENT_BYTES];
	int error;

	if (*device) {
		snprintf(k->device, sizeof(k->device), "%s", device);
		return 0;
	}
	error = read_file(k->dir, k->file, content, sizeof(content));
	if (error)
		return error;
	if (knob_text_limited(k->kind, k->v2, content, k->device))
		return 0;
	error = read_file(k->dir, k->v2 ? stat_v2 : stat_v1, content, sizeof(content));
	if (error)
		return error;
	return knob_text_busiest(k->v2, content, k->device) ? 0 : -EOPNOTSUPP;
}

static int open_file(
	struct knob *k, const struct knob_layout *l, const char *path, const char *device)
{
	enum knob_controller c = knob_file[k->kind].controller;

	k->v2 = l->mount[c].v2;
	snprintf(k->file, sizeof(k->file), "%s",
		k->v2 ? knob_file[k->kind].v2 : knob_file[k->kind].v1);
	k->dir = c == KNOB_CPU ? fcntl(k->identity, F_DUPFD_CLOEXEC, 3)
			       : open_beneath(l->mount[c].dir, path);
	if (k->dir == -ENOENT)
		return -EOPNOTSUPP;
	if (k->dir < 0)
		return c == KNOB_CPU ? -errno : k->dir;
	if (k->kind == KNOB_NET_RATE)
		return knob_net_open(k, device);
	if (faccessat(k->dir, k->file, F_OK, 0))
		return -EOPNOTSUPP;
	if (k->kind == KNOB_MEMORY_HIGH)
		return choose_memory_file(k);
	return is_io(k->kind) ? choose_device(k, device) : 0;
}

int knob_open(struct knob *k, const struct knob_layout *l, const char *path, uint64_t cgroup_id,
	enum wire_knob kind, const char *device)
{
	int error;

	*k = (struct knob){.kind = kind, .identity = -1, .dir = -1, .netlink = -1};
	if ((unsigned)kind >= WIRE_KNOBS || !knob_path_is_sane(path) ||
		strlen(device) >= KNOB_DEVICE)
		return -EINVAL;
	error = open_identity(k, l->mount[KNOB_CPU].dir, path, cgroup_id);
	if (!error)
		error = open_file(k, l, path, device);
	if (error)
		knob_close(k);
	return error;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void knob_close(struct knob *k)
{
	close_fd(&k->identity);
	close_fd(&k->dir);
	close_fd(&k->netlink);
}

/* v1 keeps the CPU period in a file of its own, v2 in cpu.max. */
static int read_period(const struct knob *k, uint64_t *out)
{
	char content[KNOB_TEXT];
	int error;

	*out = 0;
	if (k->kind != KNOB_CPU_QUOTA)
		return 0;
	error = read_file(
		k->dir, k->v2 ? "cpu.max" : "cpu.cfs_period_us", content, sizeof(content));
	if (error)
		return error;
	if (k->v2)
		return knob_text_period(content, out);
	*out = strtoull(content, NULL, 10);
	return *out ? 0 : -EBADMSG;
}

int knob_read(const struct knob *k, struct knob_value *out)
{
	char content[CONTENT_BYTES];
	uint64_t period_us;
	int error;

	if (k->kind == KNOB_NET_RATE)
		return knob_net_read(k, out);
	error = read_period(k, &period_us);
	if (!error)
		error = read_file(k->dir, k->file, content, sizeof(content));
	if (error)
		return error;
	return knob_text_parse(k->kind, k->v2, content, k->device, period_us, out);
}

int knob_write(const struct knob *k, int64_t value)
{
	char text[KNOB_TEXT];
	uint64_t period_us;
	int error;

	if (k->kind == KNOB_NET_RATE)
		return knob_net_write(k, value);
	error = read_period(k, &period_us);
	if (!error)
		error = knob_text_format(k->kind, k->v2, value, k->device, period_us, text);
	if (error)
		return error;
	return write_file(k->dir, k->file, text);
}

int knob_restore(const struct knob *k, const char *text)
{
	if (k->kind == KNOB_NET_RATE)
		return knob_net_restore(k, text);
	return write_file(k->dir, k->file, text);
}

bool knob_would_kill(const struct knob *k, int64_t value)
{
	char content[KNOB_TEXT], text[KNOB_TEXT];
	struct knob_value used;

	if (!k->v2 || strcmp(k->file, "memory.max") || value < 0)
		return false;
	for (int tries = 0; tries < 2; tries++) {
		if (read_file(k->dir, "memory.current", content, sizeof(content)) ||
			knob_text_parse(k->kind, true, content, "", 0, &used) ||
			used.value <= value)
			return false;
		snprintf(text, sizeof(text), "%lld", (long long)(used.value - value));
		if (tries || write_file(k->dir, "memory.reclaim", text))
			break;
	}
	return true;
}

bool knob_same(enum wire_knob kind, int64_t a, int64_t b)
{
	/* Rounding: memory to pages (up to 64 KiB), CPU and links to their internal units. */
	int64_t slack = kind == KNOB_MEMORY_HIGH                            ? 65536
			: kind == KNOB_CPU_QUOTA || kind == KNOB_CPU_WEIGHT ? 1
			: kind == KNOB_NET_RATE                             ? b / 1000 + 1
									    : 0;

	if (a < 0 || b < 0)
		return a < 0 && b < 0;
	return a - b <= slack && b - a <= slack;
}

int knob_compare(enum wire_knob kind, int64_t a, int64_t b)
{
	if (knob_same(kind, a, b))
		return 0;
	if (a < 0 || b < 0)
		return a < 0 ? 1 : -1;
	return a < b ? -1 : 1;
}
