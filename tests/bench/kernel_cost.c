#include "tests/bench/kernel_cost.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/place.h"

int kernel_cost_clock(void)
{
	return bpf_enable_stats(BPF_STATS_RUN_TIME);
}

static bool field(const char *text, const char *key, uint64_t *out)
{
	const char *at = strstr(text, key);

	if (!at || (at > text && at[-1] != '\n'))
		return false;
	*out = strtoull(at + strlen(key), NULL, 10);
	return true;
}

static struct kernel_program *find(struct kernel_cost *c, uint32_t id)
{
	for (size_t i = 0; i < c->programs; i++)
		if (c->program[i].id == id)
			return &c->program[i];
	return NULL;
}

static void add_program(struct kernel_cost *c, uint32_t id)
{
	struct bpf_prog_info info = {0};
	uint32_t size = sizeof(info);
	int fd;

	if (find(c, id))
		return;
	if (c->programs == KERNEL_COST_PROGRAMS) {
		c->refused++;
		return;
	}
	fd = bpf_prog_get_fd_by_id(id);
	if (fd < 0)
		return;
	if (!bpf_obj_get_info_by_fd(fd, &info, &size)) {
		struct kernel_program *p = &c->program[c->programs++];

		*p = (struct kernel_program){
			.id = id, .runs = info.run_cnt, .ns = info.run_time_ns};
		snprintf(p->name, sizeof(p->name), "%.15s", info.name);
	}
	close(fd);
}

static void add_map(struct kernel_cost *c, uint32_t id, uint64_t bytes)
{
	for (size_t i = 0; i < c->maps; i++)
		if (c->map[i] == id)
			return;
	if (c->maps == KERNEL_COST_MAPS) {
		c->refused++;
		return;
	}
	c->map[c->maps++] = id;
	c->map_bytes += bytes;
}

void kernel_cost_read(struct kernel_cost *c, pid_t pid)
{
	char path[PLACE_PATH], text[2048];
	uint64_t id, bytes;
	struct dirent *e;
	DIR *d;

	*c = (struct kernel_cost){0};
	snprintf(path, sizeof(path), "/proc/%d/fdinfo", pid);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		snprintf(path, sizeof(path), "/proc/%d/fdinfo/%.20s", pid, e->d_name);
		place_read(path, text, sizeof(text));
		if (field(text, "prog_id:", &id))
			add_program(c, (uint32_t)id);
		else if (field(text, "map_id:", &id) && field(text, "memlock:", &bytes))
			add_map(c, (uint32_t)id, bytes);
	}
	if (d)
		closedir(d);
}

void kernel_cost_subtract(struct kernel_cost *later, const struct kernel_cost *earlier)
{
	for (size_t i = 0; i < earlier->programs; i++) {
		struct kernel_program *p = find(later, earlier->program[i].id);

		if (!p)
			continue;
		p->runs -= earlier->program[i].runs;
		p->ns -= earlier->program[i].ns;
	}
}
