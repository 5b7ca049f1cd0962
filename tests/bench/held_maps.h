/*
 * How full the BPF maps are that a process holds, read from outside it. Hash tables are
 * counted; storage in sockets and tasks cannot be, so of it there is what the programs count
 * themselves. Main thread only; needs root.
 */
#ifndef SAGE_TESTS_BENCH_HELD_MAPS_H
#define SAGE_TESTS_BENCH_HELD_MAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define HELD_MAPS 24

struct held_map {
	char name[32];
	int fd;
	uint32_t capacity; /* 0: a counter of the programs */
	uint32_t offset;   /* of that counter in the map's one value */
	uint32_t value_size;
	bool lru; /* fills up by design, then forgets the oldest */
};

struct held_maps {
	struct held_map map[HELD_MAPS];
	size_t maps;
};

/* Find them. Maps past HELD_MAPS are left out. held_maps_close() on every path. */
void held_maps_open(struct held_maps *h, pid_t pid);
void held_maps_close(struct held_maps *h);

/* Entries in one of them now; negative errno when it cannot be read. */
int64_t held_maps_count(const struct held_map *m);

#endif
