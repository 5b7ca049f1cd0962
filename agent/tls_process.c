#include "agent/tls_process.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define MOST_PIDS (1 << 22) /* what a 64-bit kernel allows */

struct known {
	uint16_t scan; /* in which it was last there */
	uint8_t age;   /* scans it has been there, as far as they matter */
};

struct tls_processes {
	DIR *proc;
	struct known *known; /* [MOST_PIDS], of which only the pages in use take memory */
	uint16_t scan;
	struct tls_mapping mapping;
	char path[PATH_MAX], link[96], program[PATH_MAX];
};

int tls_processes_open(struct tls_processes **out)
{
	struct tls_processes *p = calloc(1, sizeof(*p));
	int err = -ENOMEM;

	if (p)
		p->known = calloc(MOST_PIDS, sizeof(*p->known));
	if (p && p->known) {
		p->proc = opendir("/proc");
		err = p->proc ? 0 : -errno;
	}
	if (err) {
		tls_processes_close(p);
		return err;
	}
	*out = p;
	return 0;
}

/* Whether it is a process's turn: at ages 0, 1, 3, 7, 15, 31, and then at its share of scans. */
static bool is_due(struct tls_processes *p, long pid)
{
	struct known *k = &p->known[pid];
	bool due;

	if (k->scan != (uint16_t)(p->scan - 1))
		k->age = 0; /* was not there a scan ago: another process of that number */
	k->scan = p->scan;
	if (k->age == TLS_PROCESS_SCANS)
		return (p->scan + pid) % TLS_PROCESS_SCANS == 0;
	due = (k->age & (k->age + 1)) == 0;
	k->age++;
	return due;
}

static bool is_library(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && strncmp(slash + 1, "libssl", 6) == 0;
}

/* "7f..-7f.. r-xp 00001000 08:01 1234   /usr/lib/libssl.so.3"; false for what is of no interest. */
static bool parse_line(struct tls_processes *p, long pid, const char *line)
{
	unsigned long from, to, inode;
	unsigned major, minor;
	char allowed[5];
	int at = 0;

	if (sscanf(line, "%lx-%lx %4s %*x %x:%x %lu %n", &from, &to, allowed, &major, &minor,
		    &inode, &at) != 6 ||
		!at || allowed[2] != 'x' || line[at] != '/')
		return false;
	snprintf(p->path, sizeof(p->path), "%.*s", (int)strcspn(line + at, "\n"), line + at);
	if (strcmp(p->path, p->program) != 0 && !is_library(p->path))
		return false;
	snprintf(p->link, sizeof(p->link), "/proc/%ld/map_files/%lx-%lx", pid, from, to);
	p->mapping = (struct tls_mapping){
		.device = makedev(major, minor), .inode = inode, .path = p->path, .link = p->link};
	return true;
}

static void look(struct tls_processes *p, long pid,
	void (*each)(void *ctx, const struct tls_mapping *m), void *ctx)
{
	char path[64], line[PATH_MAX + 128];
	uint64_t last = 0;
	ssize_t size;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%ld/exe", pid);
	size = readlink(path, p->program, sizeof(p->program) - 1);
	if (size <= 0)
		return; /* a kernel thread, or gone */
	p->program[size] = 0;
	snprintf(path, sizeof(path), "/proc/%ld/maps", pid);
	f = fopen(path, "re");
	if (!f)
		return;
	while (fgets(line, sizeof(line), f)) {
		if (!parse_line(p, pid, line) || p->mapping.inode == last)
			continue;
		last = p->mapping.inode;
		each(ctx, &p->mapping);
	}
	fclose(f);
}

void tls_processes_scan(
	struct tls_processes *p, void (*each)(void *ctx, const struct tls_mapping *m), void *ctx)
{
	struct dirent *d;

	p->scan++;
	rewinddir(p->proc);
	while ((d = readdir(p->proc)) != NULL) {
		char *end;
		long pid = strtol(d->d_name, &end, 10);

		if (*end || pid <= 0 || pid >= MOST_PIDS || pid == getpid())
			continue;
		if (is_due(p, pid))
			look(p, pid, each, ctx);
	}
}

void tls_processes_close(struct tls_processes *p)
{
	if (!p)
		return;
	if (p->proc)
		closedir(p->proc);
	free(p->known);
	free(p);
}
