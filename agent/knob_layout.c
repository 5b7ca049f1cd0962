#include <stdio.h>
#include <string.h>

#include "agent/cgroup.h"
#include "agent/knob.h"

_Static_assert(sizeof(((struct knob_layout *)0)->mount[0].dir) == CGROUP_MOUNT, "a mount fits");

static const enum cgroup_controller same[KNOB_CONTROLLERS] = {
	[KNOB_CPU] = CGROUP_CPU, [KNOB_MEMORY] = CGROUP_MEMORY, [KNOB_IO] = CGROUP_BLKIO};

/* In v2's cgroup.controllers. */
static const char *const v2_name[KNOB_CONTROLLERS] = {"cpu", "memory", "io"};

/* Is `name` a word of DIR/cgroup.controllers? */
static bool unified_has(const char *dir, const char *name)
{
	char path[CGROUP_MOUNT + 32], word[64];
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

int knob_layout_find(struct knob_layout *out, const char *mountinfo, const char *below)
{
	struct knob_layout l = {0};
	struct cgroup_tree tree;
	int error = cgroup_tree_find(&tree, mountinfo, below);

	if (error)
		return error;
	for (int c = 0; c < KNOB_CONTROLLERS; c++) {
		const char *dir = tree.mount[same[c]];

		/* What v1 does not hold is v2's. */
		l.mount[c].v2 = tree.v2 || !*dir;
		if (!*dir && *tree.unified && unified_has(tree.unified, v2_name[c]))
			dir = tree.unified;
		memcpy(l.mount[c].dir, dir, CGROUP_MOUNT);
	}
	*out = l;
	return 0;
}
