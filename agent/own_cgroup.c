#include "agent/own_cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Is this process in the list of that directory? */
static bool is_here(const char *directory)
{
	char file[PATH_MAX];
	int pid, own = (int)getpid();
	bool found = false;
	FILE *f;

	if (snprintf(file, sizeof(file), "%s/cgroup.procs", directory) >= (int)sizeof(file))
		return false;
	f = fopen(file, "re");
	if (!f)
		return false;
	while (!found && fscanf(f, "%d", &pid) == 1)
		found = pid == own; /* those outside our process namespace read as 0 */
	fclose(f);
	return found;
}

/* The path in the hierarchy of the cpu controller, else in the unified one. */
static void read_told(char path[WIRE_PATH])
{
	char line[WIRE_PATH + 64];
	FILE *f = fopen("/proc/self/cgroup", "re");

	snprintf(path, WIRE_PATH, "/");
	if (!f)
		return;
	while (fgets(line, sizeof(line), f)) {
		char *names = strchr(line, ':'), *at = names ? strchr(names + 1, ':') : NULL;
		bool cpu;

		if (!at)
			continue;
		*at++ = '\0';
		at[strcspn(at, "\n")] = '\0';
		cpu = !strcmp(names + 1, "cpu") || !strncmp(names + 1, "cpu,", 4) ||
		      strstr(names + 1, ",cpu");
		if (cpu || !names[1])
			snprintf(path, WIRE_PATH, "%.*s", WIRE_PATH - 1, at);
		if (cpu)
			break;
	}
	fclose(f);
}

/* Search below `directory` [PATH_MAX], which comes back longer where something was found. */
static bool search(char *directory)
{
	size_t length = strlen(directory);
	bool found = is_here(directory);
	struct dirent *entry;
	DIR *d = found ? NULL : opendir(directory);

	while (d && !found && (entry = readdir(d))) {
		if (entry->d_type != DT_DIR || entry->d_name[0] == '.' ||
			length + 1 + strlen(entry->d_name) >= PATH_MAX)
			continue;
		sprintf(directory + length, "/%s", entry->d_name);
		found = search(directory);
		if (!found)
			directory[length] = '\0';
	}
	if (d)
		closedir(d);
	return found;
}

int own_cgroup_find(const char *mount, char path[WIRE_PATH])
{
	char told[WIRE_PATH], full[PATH_MAX];
	size_t top = strlen(mount);

	read_told(told);
	if (snprintf(full, sizeof(full), "%s%s", mount, told) < (int)sizeof(full) &&
		!strstr(told, "/..") && is_here(full)) {
		memcpy(path, told, WIRE_PATH);
		return 0;
	}
	if (snprintf(full, sizeof(full), "%s", mount) >= (int)sizeof(full) || !search(full) ||
		strlen(full + top) >= WIRE_PATH)
		return -ENOENT;
	snprintf(path, WIRE_PATH, "%s", full[top] ? full + top : "/");
	return 0;
}
