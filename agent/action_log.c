#include "agent/action_log.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_BYTES (1 << 20)

static char *format(const struct wire_lease *l, const struct wire_lease_report *r)
{
	json_t *o = json_pack("{s:f, s:I, s:s, s:s, s:s, s:I, s:I, s:s, s:s}", "time",
		(double)r->at_ns / 1e9, "id", (json_int_t)r->id, "state",
		wire_lease_state_name(r->state), "path", l->path, "knob", wire_knob_name(l->knob),
		"old_value", (json_int_t)r->old_value, "value", (json_int_t)r->value, "reason",
		l->reason, "detail", r->detail);
	char *line = o ? json_dumps(o, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;

	json_decref(o);
	return line;
}

static int open_log(int dir)
{
	struct stat st;

	if (!fstatat(dir, "actions.log", &st, AT_SYMLINK_NOFOLLOW) && st.st_size >= MAX_BYTES)
		renameat(dir, "actions.log", dir, "actions.log.1");
	return openat(
		dir, "actions.log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
}

int action_log_write(int dir, const struct wire_lease *l, const struct wire_lease_report *r)
{
	char *line = format(l, r);
	int fd = line ? open_log(dir) : -1;
	int error = line ? fd < 0 ? -errno : 0 : -EINVAL;

	if (fd >= 0 && dprintf(fd, "%s\n", line) < 0)
		error = -errno;
	if (fd >= 0)
		close(fd);
	free(line);
	return error;
}
