#include "tests/testbed/work.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "tests/testbed/filler.h"

#define PAGE 4096
#define DISK_MB 32

static int open_map(struct work *w, const char *directory)
{
	unsigned megabytes = (unsigned)w->service->work_mb;
	size_t size = (size_t)megabytes << 20;
	volatile unsigned char sum = 0;
	char path[512];
	void *map;
	int fd;

	if (!megabytes)
		return 0;
	snprintf(path, sizeof(path), "%s/working-set", directory);
	fd = filler_make(path, megabytes);
	if (fd < 0)
		return fd;
	map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (map == MAP_FAILED)
		return -errno;
	/* No read-ahead: once reclaimed, every page costs its own major fault. */
	madvise(map, size, MADV_RANDOM);
	w->map = map;
	w->map_pages = (unsigned)(size / PAGE);
	for (size_t at = 0; at < size; at += PAGE)
		sum = (unsigned char)(sum + w->map[at]);
	return 0;
}

static int open_disk(struct work *w, const char *directory)
{
	char path[512];
	int fd;

	w->disk = -1;
	if (w->service->reads <= 0)
		return 0;
	snprintf(path, sizeof(path), "%s/disk", directory);
	fd = filler_make(path, DISK_MB);
	if (fd < 0)
		return fd;
	/* It is read past the page cache; what writing left there must not pass for memory in use.
	 */
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	close(fd);
	w->disk = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	w->disk_blocks = DISK_MB * ((1 << 20) / PAGE);
	return w->disk < 0 ? -errno : 0;
}

int work_open(struct work *w, const struct service *s, const char *directory)
{
	int err;

	*w = (struct work){.service = s, .disk = -1};
	err = open_map(w, directory);
	return err ? err : open_disk(w, directory);
}

/* Use that much CPU time of this thread, however long it takes. */
static void burn(double us)
{
	uint64_t end = clock_read_ns(CLOCK_THREAD_CPUTIME_ID) + (uint64_t)(us * 1000);
	volatile uint64_t x = 1;

	do
		for (int i = 0; i < 2000; i++)
			x = x * 2862933555777941757ULL + 3037000493ULL;
	while (clock_read_ns(CLOCK_THREAD_CPUTIME_ID) < end);
}

static void touch(struct work *w, struct random *r)
{
	volatile unsigned char sum = 0;

	for (int i = 0; i < (int)w->service->pages; i++)
		sum = (unsigned char)(sum + w->map[(size_t)random_below(r, w->map_pages) * PAGE]);
}

static void read_disk(struct work *w, struct random *r)
{
	_Alignas(PAGE) char block[PAGE];

	for (int i = 0; i < (int)w->service->reads; i++)
		if (pread(w->disk, block, PAGE, (off_t)random_below(r, w->disk_blocks) * PAGE) < 0)
			return;
}

/* A code path that holds a lock while it waits for something outside: no resource is short. */
static void take_slow_path(struct work *w, struct random *r)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	unsigned us = atomic_load_explicit(&w->slow_us, memory_order_relaxed);
	struct timespec wait = {.tv_sec = us / 1000000, .tv_nsec = (long)(us % 1000000) * 1000};

	if (random_unit(r) * 1000 >= atomic_load_explicit(&w->slow_permille, memory_order_relaxed))
		return;
	pthread_mutex_lock(&lock);
	nanosleep(&wait, NULL);
	pthread_mutex_unlock(&lock);
}

void work_do(struct work *w, struct random *r)
{
	if (w->service->cpu_us > 0)
		burn(w->service->cpu_us * (0.7 + 0.6 * random_unit(r)));
	if (w->map)
		touch(w, r);
	if (w->disk >= 0)
		read_disk(w, r);
	take_slow_path(w, r);
}

int work_command(struct work *w, const char *line)
{
	double share, wait_ms;

	if (sscanf(line, "slow %lf %lf", &share, &wait_ms) != 2)
		return -EINVAL;
	if (!(share >= 0 && share <= 1 && wait_ms >= 0 && wait_ms <= 10000))
		return -EINVAL;
	atomic_store(&w->slow_us, (unsigned)(wait_ms * 1000));
	atomic_store(&w->slow_permille, (unsigned)(share * 1000));
	return 0;
}
