#include "tests/bench/held_maps.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/kernel_cost.h"

#define KEY_MAX 256
#define COUNTER "connections_open" /* sockets that have a record */

static bool is_hash(uint32_t type)
{
	return type == BPF_MAP_TYPE_HASH || type == BPF_MAP_TYPE_PERCPU_HASH ||
	       type == BPF_MAP_TYPE_LRU_HASH || type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
}

/* Where a variable lies in the section of that name. */
static int find_variable(uint32_t btf_id, const char *section, const char *name, uint32_t *offset)
{
	struct btf *btf = btf__load_from_kernel_by_id(btf_id);
	int id = btf ? btf__find_by_name_kind(btf, section, BTF_KIND_DATASEC) : -ENOENT;
	const struct btf_type *type;
	int err = -ENOENT;

	type = id > 0 ? btf__type_by_id(btf, (uint32_t)id) : NULL;
	for (unsigned i = 0; type && err && i < btf_vlen(type); i++) {
		const struct btf_var_secinfo *v = btf_var_secinfos(type) + i;
		const struct btf_type *variable = btf__type_by_id(btf, v->type);

		if (strcmp(btf__name_by_offset(btf, variable->name_off), name))
			continue;
		*offset = v->offset;
		err = 0;
	}
	btf__free(btf);
	return err;
}

static bool describe(struct held_map *m, const struct bpf_map_info *info)
{
	size_t length = strlen(info->name);

	m->value_size = info->value_size;
	if (is_hash(info->type) && info->key_size <= KEY_MAX) {
		snprintf(m->name, sizeof(m->name), "map %s", info->name);
		m->capacity = info->max_entries;
		m->lru = info->type == BPF_MAP_TYPE_LRU_HASH ||
			 info->type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
		return true;
	}
	if (info->type != BPF_MAP_TYPE_ARRAY || length < 4 ||
		strcmp(info->name + length - 4, ".bss") ||
		find_variable(info->btf_id, ".bss", COUNTER, &m->offset))
		return false;
	snprintf(m->name, sizeof(m->name), COUNTER);
	return true;
}

static void add(struct held_maps *h, uint32_t id)
{
	struct held_map m = {.fd = bpf_map_get_fd_by_id(id)};
	struct bpf_map_info info = {0};
	uint32_t size = sizeof(info);

	if (m.fd < 0)
		return;
	if (h->maps < HELD_MAPS && !bpf_obj_get_info_by_fd(m.fd, &info, &size) &&
		describe(&m, &info))
		h->map[h->maps++] = m;
	else
		close(m.fd);
}

void held_maps_open(struct held_maps *h, pid_t pid)
{
	static struct kernel_cost cost;

	*h = (struct held_maps){0};
	kernel_cost_read(&cost, pid);
	for (size_t i = 0; i < cost.maps; i++)
		add(h, cost.map[i]);
}

void held_maps_close(struct held_maps *h)
{
	while (h->maps)
		close(h->map[--h->maps].fd);
}

static int64_t read_counter(const struct held_map *m)
{
	uint32_t zero = 0, count = 0;
	char *value = malloc(m->value_size);
	int err = !value ? -ENOMEM : bpf_map_lookup_elem(m->fd, &zero, value) ? -errno : 0;

	if (!err)
		memcpy(&count, value + m->offset, sizeof(count));
	free(value);
	return err ? (int64_t)err : (int64_t)count;
}

/* A key that goes while it is the last one seen starts the walk anew: hence the bound. */
int64_t held_maps_count(const struct held_map *m)
{
	char key[KEY_MAX], next[KEY_MAX];
	uint32_t count = 0;
	bool more;

	if (!m->capacity)
		return read_counter(m);
	more = !bpf_map_get_next_key(m->fd, NULL, next);
	while (more && count < m->capacity) {
		count++;
		memcpy(key, next, sizeof(key));
		more = !bpf_map_get_next_key(m->fd, key, next);
	}
	return count;
}
