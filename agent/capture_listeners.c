#include "agent/capture_listeners.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_NAMESPACES 4096
#define STATE_LISTEN 0x0a

/* Lines look like "  0: 0100007F:1F90 00000000:0000 0A ...". */
static void scan_table(const char *path, uint32_t netns,
	void (*each)(void *ctx, const struct rpc_listener *l), void *ctx)
{
	FILE *f = fopen(path, "re");
	char line[512];

	if (!f)
		return;
	while (fgets(line, sizeof(line), f)) {
		struct rpc_listener l = {.netns = netns};
		unsigned port, state;

		if (sscanf(line, " %*u: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x", &port, &state) != 2)
			continue;
		if (state != STATE_LISTEN || port > UINT16_MAX)
			continue;
		l.port = (uint16_t)port;
		each(ctx, &l);
	}
	fclose(f);
}

static bool remember(ino_t *seen, size_t *count, ino_t netns)
{
	for (size_t i = 0; i < *count; i++)
		if (seen[i] == netns)
			return false;
	if (*count == MAX_NAMESPACES)
		return false;
	seen[(*count)++] = netns;
	return true;
}

int capture_listeners_scan(
	const char *proc, void (*each)(void *ctx, const struct rpc_listener *l), void *ctx)
{
	static const char *const table[] = {"tcp", "tcp6"};
	ino_t seen[MAX_NAMESPACES];
	size_t count = 0;
	DIR *dir = opendir(proc);
	struct dirent *d;

	if (!dir)
		return -errno;
	while ((d = readdir(dir))) {
		char path[512];
		struct stat st;

		if (!isdigit((unsigned char)d->d_name[0]))
			continue;
		snprintf(path, sizeof(path), "%s/%s/ns/net", proc, d->d_name);
		if (stat(path, &st) || !remember(seen, &count, st.st_ino))
			continue;
		for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
			snprintf(path, sizeof(path), "%s/%s/net/%s", proc, d->d_name, table[i]);
			scan_table(path, (uint32_t)st.st_ino, each, ctx);
		}
	}
	closedir(dir);
	return 0;
}
