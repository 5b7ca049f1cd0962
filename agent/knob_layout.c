#include <errno.h>
#include <mntent.h>
#include <stdio.h>
#include <string.h>

#include "agent/knob.h"

/* The name of a controller in v1's mount options and in v2's cgroup.controllers. */
static const char *const v1_name[KNOB_CONTROLLERS] = {"cpu", "memory", "blkio"};
static const char *const v2_name[KNOB_CONTROLLERS] = {"cpu", "memory", "io"};

static void set_mount(struct knob_layout *l, int controller, const char *dir, bool v2)
{
	int n = snprintf(l->mount[controller].dir, sizeof(l->mount[controller].dir), "%s", dir);

	if (n >= (int)sizeof(l->mount[controller].dir))
		l->mount[controller].dir[0] = '\0';
	l->mount[controller].v2 = v2;
}

/* Is `name` a word of DIR/cgroup.controllers? */
static bool unified_has(const char *dir, const char *name)
{
	char path[512], word[64];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "%s/cgroup.controllers", dir);
	f = fopen(path, "re");
	if (!f)
		return false;
	while (!found && fscanf(f, "%63s", word) == 1)
		found = !strcmp(word, name);
	fclose(f);
	return found;
}

int knob_layout_read(struct knob_layout *out, const char *mounts)
{
	struct knob_layout l = {0};
	char unified[sizeof(l.mount[0].dir)] = "", buffer[4096];
	struct mntent m;
	FILE *f = setmntent(mounts, "re");

	if (!f)
		return -errno;
	while (getmntent_r(f, &m, buffer, sizeof(buffer))) {
		if (!strcmp(m.mnt_type, "cgroup2") && !*unified)
			snprintf(unified, sizeof(unified), "%s", m.mnt_dir);
		if (strcmp(m.mnt_type, "cgroup"))
			continue;
		for (int c = 0; c < KNOB_CONTROLLERS; c++)
			if (!*l.mount[c].dir && hasmntopt(&m, v1_name[c]))
				set_mount(&l, c, m.mnt_dir, false);
	}
	endmntent(f);
	/* What v1 does not hold is v2's; identity is v2's even without its cpu controller. */
	for (int c = 0; c < KNOB_CONTROLLERS && *unified; c++)
		if (!*l.mount[c].dir && (c == KNOB_CPU || unified_has(unified, v2_name[c])))
			set_mount(&l, c, unified, true);
	if (!*l.mount[KNOB_CPU].dir)
		return -ENOENT;
	*out = l;
	return 0;
}
