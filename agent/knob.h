/*
 * One knob of one cgroup: find its file, read it, write it, compare.
 *
 * A knob hides where and how a limit is kept (cgroup v1 or v2, which hierarchy, which
 * format) behind one integer in the unit of enum wire_knob, -1 meaning "no limit". Beside
 * the integer it gives the file's own text, so that undoing restores what stood there to
 * the letter and not what our unit rounds it to.
 *
 * The target is resolved once, beneath the mount and without following symbolic links, and
 * then used by open directory descriptor: a cgroup that was removed and made again under
 * the same name answers -ENODEV, it is never written by mistake.
 *
 * One thread. Errors are negative errno; outputs are untouched on failure.
 */
#ifndef SAGE_AGENT_KNOB_H
#define SAGE_AGENT_KNOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/wire.h"

#define KNOB_TEXT 128
#define KNOB_DEVICE 24
#define KNOB_FILE 48

enum knob_controller { KNOB_CPU, KNOB_MEMORY, KNOB_IO, KNOB_CONTROLLERS };

/* Where the controllers are mounted. cgroup ids are inodes below mount[KNOB_CPU]. */
struct knob_layout {
	struct {
		char dir[256]; /* "" = not there */
		bool v2;
	} mount[KNOB_CONTROLLERS];
};

/* The layout cgroup_tree_find() finds, with the same arguments and returns. */
int knob_layout_find(struct knob_layout *out, const char *mountinfo, const char *below);

struct knob {
	enum wire_knob kind;
	bool v2;
	bool raise_only;          /* lowering this one could kill or fail: v1 memory, memory.max */
	int identity;             /* directory in the cpu hierarchy; owned */
	int dir;                  /* directory that holds the file; owned */
	int netlink;              /* KNOB_NET_RATE: socket in the container's namespace; owned */
	char file[KNOB_FILE];     /* "cpu.cfs_quota_us" */
	char device[KNOB_DEVICE]; /* I/O: "254:0"; link: number of the interface; else "" */
	uint64_t inode;           /* of `identity` */
};

struct knob_value {
	int64_t value;
	char text[KNOB_TEXT]; /* what to write to get exactly this back */
};

/*
 * Open a knob. `cgroup_id` is the inode of the directory, or of one of its children when
 * the path is that of a container's group: either proves that this is still the cgroup the
 * analyzer saw. `device` picks the I/O device or link; "" = the one with a limit, else the
 * busiest. Returns 0, -ENOENT (no such cgroup), -ESTALE (another inode), -EOPNOTSUPP (no
 * such controller, file or device here), -EINVAL (malformed path).
 */
int knob_open(struct knob *k, const struct knob_layout *l, const char *path, uint64_t cgroup_id,
	enum wire_knob kind, const char *device);

/*
 * Use the file a predecessor used, whichever would be chosen now: raising memory.max past
 * memory.high makes that the tighter one. -EOPNOTSUPP: the knob has no such file here.
 */
int knob_take_file(struct knob *k, const char *file);

/*
 * Absolute, bounded, with one way only to write it (no empty, "." or ".." component) and
 * without control characters: it is compared as text, printed and journaled.
 */
bool knob_path_is_sane(const char *path);

/* Safe on a knob that failed to open, and twice. */
void knob_close(struct knob *k);

int knob_read(const struct knob *k, struct knob_value *out);
int knob_write(const struct knob *k, int64_t value);
int knob_restore(const struct knob *k, const char *text);

/*
 * Would writing `value` call the OOM killer? Only memory.max of v2 does: it is first asked to
 * reclaim what is above (memory.reclaim, Linux 5.19 and later). False where usage is unknown.
 */
bool knob_would_kill(const struct knob *k, int64_t value);

/* Equal but for the rounding a kernel does (pages, milli-cores, shares). */
bool knob_same(enum wire_knob kind, int64_t a, int64_t b);

/* <0, 0, >0: a grants less, the same, more than b; "no limit" is the most. */
int knob_compare(enum wire_knob kind, int64_t a, int64_t b);

#endif
