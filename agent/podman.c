#include "agent/podman.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "agent/text.h"

#define PREFIX "/libpod-"
#define ID_DIGITS 64
#define GENERATIONS 16 /* between a process and its container's monitor, at most */
#define ARGUMENTS 4096

const char *podman_id(const char *path)
{
	const char *last = strrchr(path, '/');
	size_t prefix = strlen(PREFIX);

	if (!last || strncmp(last, PREFIX, prefix))
		return NULL;
	return strspn(last + prefix, "0123456789abcdef") == ID_DIGITS ? last + prefix : NULL;
}

static pid_t parent_of(pid_t pid)
{
	char path[32], status[2048];
	uint64_t parent = 0;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	if (text_read(path, status, sizeof(status)) > 0)
		text_key_u64(status, "PPid:", &parent);
	return (pid_t)parent;
}

/* The argument after `option`, NULL without; arguments end with a zero each. */
static const char *argument(const char *arguments, size_t size, const char *option)
{
	const char *end = arguments + size, *at = arguments;

	while (at < end && strcmp(at, option))
		at += strlen(at) + 1;
	at += at < end ? strlen(at) + 1 : 0;
	return at < end ? at : NULL;
}

static bool monitor_says(pid_t pid, const char *id, char name[WIRE_NAME])
{
	char path[32], arguments[ARGUMENTS];
	const char *watched, *given, *program;
	long size;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
	size = text_read(path, arguments, sizeof(arguments));
	if (size <= 0)
		return false;
	program = strrchr(arguments, '/');
	if (strcmp(program ? program + 1 : arguments, "conmon"))
		return false;
	watched = argument(arguments, (size_t)size, "-c");
	given = argument(arguments, (size_t)size, "-n");
	if (!watched || !given || !*given || strncmp(watched, id, ID_DIGITS))
		return false;
	snprintf(name, WIRE_NAME, "%.*s", WIRE_NAME - 1, given);
	return true;
}

bool podman_name(pid_t pid, const char *id, char name[WIRE_NAME])
{
	for (int i = 0; i < GENERATIONS && pid > 1; i++) {
		if (monitor_says(pid, id, name))
			return true;
		pid = parent_of(pid);
	}
	return false;
}
