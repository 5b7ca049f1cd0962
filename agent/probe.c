#include "agent/probe.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/log.h"

#define MAX_LINKS 32

struct probe {
	const char *name;
	struct bpf_object *object;
	struct bpf_link *link[MAX_LINKS];
	unsigned links;
	bool loaded;
	char refusal[256];
};

/* libbpf has one print callback for the process; this is the probe that is in a call. */
static struct probe *speaking;

/* The verifier's log is long; what a person needs is its last line that is no statistic. */
static void keep_refusal(struct probe *p, const char *text)
{
	const char *line = text;

	while (*line) {
		size_t size = strcspn(line, "\n");

		if (size > 4 && strncmp(line, "processed ", 10) != 0 &&
			!memmem(line, size, "PROG LOAD LOG", 13))
			snprintf(p->refusal, sizeof(p->refusal), "%.*s", (int)size, line);
		line += size;
		line += *line == '\n';
		if (strncmp(line, "processed ", 10) == 0)
			return;
	}
}

__attribute__((format(printf, 2, 0))) static int on_print(
	enum libbpf_print_level level, const char *format, va_list args)
{
	static char text[1 << 16];

	if (level == LIBBPF_DEBUG)
		return 0;
	vsnprintf(text, sizeof(text), format, args);
	log_debug("libbpf: %s", text);
	if (speaking && (!speaking->refusal[0] || strstr(text, "PROG LOAD LOG")))
		keep_refusal(speaking, text);
	return 0;
}

int probe_open(struct probe **out, const char *name, const void *begin, const void *end)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = name);
	struct probe *p = calloc(1, sizeof(*p));
	int err;

	if (!p)
		return -ENOMEM;
	p->name = name;
	libbpf_set_print(on_print);
	speaking = p;
	p->object = bpf_object__open_mem(
		begin, (size_t)((const char *)end - (const char *)begin), &opts);
	speaking = NULL;
	if (!p->object) {
		err = -errno;
		probe_close(p);
		return err;
	}
	*out = p;
	return 0;
}

/* Find a variable in the data section `suffix` of the object's BTF, and the map that holds it. */
static void *find_variable(
	const struct probe *p, const char *suffix, const char *name, size_t *size)
{
	const struct btf *btf = bpf_object__btf(p->object);
	int section = btf ? btf__find_by_name_kind(btf, suffix, BTF_KIND_DATASEC) : -ENOENT;
	const struct btf_var_secinfo *info;
	const struct btf_type *type;
	struct bpf_map *map;
	char *memory = NULL;
	size_t whole = 0;

	if (section < 0)
		return NULL;
	bpf_object__for_each_map(map, p->object)
	{
		const char *map_name = bpf_map__name(map);
		const char *dot = strchr(map_name, '.');

		if (dot && strcmp(dot, suffix) == 0)
			memory = (char *)bpf_map__initial_value(map, &whole);
	}
	if (!memory)
		return NULL;
	type = btf__type_by_id(btf, (unsigned)section);
	info = btf_var_secinfos(type);
	for (unsigned i = 0; i < btf_vlen(type); i++, info++) {
		const struct btf_type *var = btf__type_by_id(btf, info->type);

		if (strcmp(btf__name_by_offset(btf, var->name_off), name) != 0)
			continue;
		if ((size_t)info->offset + info->size > whole)
			return NULL;
		*size = info->size;
		return memory + info->offset;
	}
	return NULL;
}

int probe_set(struct probe *p, const char *variable, const void *value, size_t size)
{
	size_t have = 0;
	void *memory = find_variable(p, ".rodata", variable, &have);

	if (!memory)
		return -ENOENT;
	if (have != size || p->loaded)
		return -EINVAL;
	memcpy(memory, value, size);
	return 0;
}

void *probe_variable(const struct probe *p, const char *variable, size_t size)
{
	static const char *const section[] = {".bss", ".data"};

	for (size_t i = 0; i < sizeof(section) / sizeof(section[0]); i++) {
		size_t have = 0;
		void *memory = find_variable(p, section[i], variable, &have);

		if (memory)
			return have == size && p->loaded ? memory : NULL;
	}
	return NULL;
}

int probe_resize(struct probe *p, const char *name, uint32_t entries)
{
	struct bpf_map *map = bpf_object__find_map_by_name(p->object, name);

	return map ? bpf_map__set_max_entries(map, entries) : -ENOENT;
}

int probe_skip(struct probe *p, const char *name)
{
	struct bpf_program *program = bpf_object__find_program_by_name(p->object, name);

	return program ? bpf_program__set_autoload(program, false) : -ENOENT;
}

int probe_jump(struct probe *p, const char *map, const char *name)
{
	struct bpf_program *program = bpf_object__find_program_by_name(p->object, name);
	int table = probe_map(p, map), fd = program ? bpf_program__fd(program) : -ENOENT;
	uint32_t first = 0;

	if (table < 0 || fd < 0)
		return -ENOENT;
	bpf_program__set_autoattach(program, false);
	return bpf_map_update_elem(table, &first, &fd, BPF_ANY);
}

int probe_share(struct probe *p, const struct probe *other, const char *name)
{
	struct bpf_map *map = bpf_object__find_map_by_name(p->object, name);
	int fd = probe_map(other, name);

	if (!map || fd < 0)
		return -ENOENT;
	return bpf_map__reuse_fd(map, fd);
}

/*
 * Put the kernel's memory of .data and .bss where libbpf kept their initial values; it
 * does that by itself only for skeletons. libbpf unmaps it with the object.
 */
static int map_variables(struct probe *p)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, p->object)
	{
		const char *dot = strchr(bpf_map__name(map), '.');
		size_t size = 0;
		void *memory;

		if (!dot || (strcmp(dot, ".bss") != 0 && strcmp(dot, ".data") != 0))
			continue;
		memory = (void *)(uintptr_t)bpf_map__initial_value(map, &size);
		if (!memory)
			return -ENOENT;
		memory = mmap(memory, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			bpf_map__fd(map), 0);
		if (memory == MAP_FAILED)
			return -errno;
	}
	return 0;
}

/* Megabytes, to be read page by page: once for all questions in a row. */
static struct btf *kernel_btf;

static const struct btf *kernel_types(void)
{
	if (!kernel_btf)
		kernel_btf = btf__load_vmlinux_btf();
	return kernel_btf;
}

void probe_kernel_done(void)
{
	btf__free(kernel_btf);
	kernel_btf = NULL;
}

int probe_load(struct probe *p)
{
	int err;

	probe_kernel_done(); /* libbpf reads a copy of its own */
	speaking = p;
	err = bpf_object__load(p->object);
	speaking = NULL;
	if (!err)
		err = map_variables(p);
	p->loaded = err == 0;
	return err;
}

static bool is_iterator(const struct bpf_program *program)
{
	return bpf_program__expected_attach_type(program) == BPF_TRACE_ITER;
}

int probe_attach(struct probe *p)
{
	struct bpf_program *program;

	bpf_object__for_each_program(program, p->object)
	{
		struct bpf_link *link;

		if (!bpf_program__autoload(program) || !bpf_program__autoattach(program) ||
			is_iterator(program))
			continue;
		if (p->links == MAX_LINKS)
			return -E2BIG;
		speaking = p;
		link = bpf_program__attach(program);
		speaking = NULL;
		if (!link)
			return -errno;
		p->link[p->links++] = link;
	}
	return 0;
}

int probe_attach_one(struct probe *p, const char *name, struct probe_link **out)
{
	struct bpf_program *program = bpf_object__find_program_by_name(p->object, name);
	struct bpf_link *link = program ? bpf_program__attach(program) : NULL;

	if (!program)
		return -ENOENT;
	if (!link)
		return -errno;
	*out = (struct probe_link *)link;
	return 0;
}

int probe_attach_file(struct probe *p, const char *name, const char *path, uint64_t offset,
	bool at_return, struct probe_link **out)
{
	LIBBPF_OPTS(bpf_uprobe_opts, opts, .retprobe = at_return);
	struct bpf_program *program = bpf_object__find_program_by_name(p->object, name);
	struct bpf_link *link;

	if (!program)
		return -ENOENT;
	link = bpf_program__attach_uprobe_opts(program, -1, path, offset, &opts);
	if (!link)
		return -errno;
	*out = (struct probe_link *)link;
	return 0;
}

void probe_detach(struct probe_link *link)
{
	if (link)
		bpf_link__destroy((struct bpf_link *)link);
}

const char *probe_refusal(const struct probe *p)
{
	return p->refusal;
}

int probe_map(const struct probe *p, const char *name)
{
	struct bpf_map *map = bpf_object__find_map_by_name(p->object, name);

	return map ? bpf_map__fd(map) : -ENOENT;
}

static int drain(int fd)
{
	char text[256];
	ssize_t size;

	do
		size = read(fd, text, sizeof(text));
	while (size > 0 || (size < 0 && (errno == EINTR || errno == EAGAIN)));
	return size < 0 ? -errno : 0;
}

int probe_iterate(struct probe *p, const char *name, const char *map)
{
	struct bpf_program *program = bpf_object__find_program_by_name(p->object, name);
	union bpf_iter_link_info info;
	LIBBPF_OPTS(bpf_iter_attach_opts, opts); /* zeroes the padding, which libbpf checks */
	struct bpf_link *link;
	int map_fd = probe_map(p, map);
	int fd, err;

	if (!program)
		return -ENOENT;
	if (map_fd < 0)
		return map_fd;
	memset(&info, 0,
		sizeof(info)); /* all of the union: the kernel refuses what it does not know */
	info.map.map_fd = (unsigned)map_fd;
	opts.link_info = &info;
	opts.link_info_len = sizeof(info);
	link = bpf_program__attach_iter(program, &opts);
	if (!link)
		return -errno;
	fd = bpf_iter_create(bpf_link__fd(link));
	err = fd < 0 ? -errno : drain(fd);
	if (fd >= 0)
		close(fd);
	bpf_link__destroy(link);
	return err;
}

uint64_t probe_missed(const struct probe *p)
{
	struct bpf_program *program;
	uint64_t missed = 0;

	bpf_object__for_each_program(program, p->object)
	{
		struct bpf_prog_info info = {0};
		unsigned size = sizeof(info);
		int fd = bpf_program__fd(program);

		if (fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &size) == 0)
			missed += info.recursion_misses;
	}
	return missed;
}

void probe_close(struct probe *p)
{
	if (!p)
		return;
	for (unsigned i = 0; i < p->links; i++)
		bpf_link__destroy(p->link[i]);
	bpf_object__close(p->object);
	free(p);
}

int probe_map_lookup(int map, const void *key, void *value)
{
	return bpf_map_lookup_elem(map, key, value);
}

int probe_map_update(int map, const void *key, const void *value)
{
	return bpf_map_update_elem(map, key, value, BPF_ANY);
}

int probe_map_delete(int map, const void *key)
{
	return bpf_map_delete_elem(map, key);
}

int probe_map_next(int map, const void *key, void *next)
{
	return bpf_map_get_next_key(map, key, next);
}

static int kernel_type(const char *name, unsigned kind)
{
	const struct btf *btf = kernel_types();

	return btf ? btf__find_by_name_kind(btf, name, kind) : -ENOENT;
}

bool probe_kernel_has_tracepoint(const char *name)
{
	char type[128];

	snprintf(type, sizeof(type), "btf_trace_%s", name);
	return kernel_type(type, BTF_KIND_TYPEDEF) > 0;
}

bool probe_kernel_has_function(const char *name)
{
	return kernel_type(name, BTF_KIND_FUNC) > 0;
}

bool probe_kernel_has_entry(const char *function)
{
	const struct bpf_insn nothing[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K}, {.code = BPF_JMP | BPF_EXIT}};
	LIBBPF_OPTS(bpf_prog_load_opts, o, .expected_attach_type = BPF_TRACE_FENTRY);
	int type = kernel_type(function, BTF_KIND_FUNC);
	int program, link;

	if (type < 0)
		return false;
	o.attach_btf_id = (uint32_t)type;
	program = bpf_prog_load(BPF_PROG_TYPE_TRACING, "sage_try", "GPL", nothing, 2, &o);
	link = program < 0 ? program : bpf_raw_tracepoint_open(NULL, program);
	if (link >= 0)
		close(link);
	if (program >= 0)
		close(program);
	return link >= 0;
}

int probe_kernel_enum(const char *type, const char *name)
{
	int id = kernel_type(type, BTF_KIND_ENUM), value = -ENOENT;

	if (id > 0) {
		const struct btf *btf = kernel_types();
		const struct btf_type *t = btf__type_by_id(btf, (unsigned)id);
		const struct btf_enum *e = btf_enum(t);

		for (int i = 0; i < btf_vlen(t); i++) {
			if (!strcmp(btf__str_by_offset(btf, e[i].name_off), name))
				value = e[i].val;
		}
	}
	return value;
}
