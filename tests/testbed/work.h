/*
 * What a tier does for a request besides calling others: burn CPU, touch pages
 * of a mapped file, read the disk, and, once told to, wait for nothing good.
 * Any thread, each with its own random numbers.
 */
#ifndef SAGE_TESTBED_WORK_H
#define SAGE_TESTBED_WORK_H

#include <stdatomic.h>

#include "tests/testbed/random.h"
#include "tests/testbed/topology.h"

struct work {
	const struct service *service;
	unsigned char *map; /* [map_pages * 4096] */
	unsigned map_pages;
	int disk; /* opened O_DIRECT, or -1 */
	unsigned disk_blocks;
	_Atomic unsigned slow_permille; /* share of requests that take the slow path */
	_Atomic unsigned slow_us;       /* how long it waits there */
};

/*
 * Make the files the service works on in `directory` and map them, fully
 * charged to the caller's cgroup. Returns 0 or -errno.
 */
int work_open(struct work *w, const struct service *s, const char *directory);

void work_do(struct work *w, struct random *r);

/* Serve the line "slow SHARE WAIT_MS". Returns 0 or -EINVAL. */
int work_command(struct work *w, const char *line);

#endif
