#include "tests/testbed/hog_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "tests/testbed/random.h"

#define THREADS 64
#define LARGE (1 << 20)
#define SMALL 4096
#define WAIT_NS 20000000ULL /* what a small read is to wait, at the median */
#define PROBES 9            /* small reads a decision is made from */
#define PAUSE_NS 10000000

static _Atomic int active; /* readers 0 .. active-1 read */
static int disk;
static off_t disk_bytes;

static int read_somewhere(struct random *r, void *block, size_t size)
{
	off_t at = (off_t)random_below(r, (unsigned)(disk_bytes / (off_t)size)) * (off_t)size;

	return pread(disk, block, size, at) < 0 ? -errno : 0;
}

static void rest(void)
{
	const struct timespec pause = {.tv_nsec = PAUSE_NS};

	nanosleep(&pause, NULL);
}

static void *reader(void *arg)
{
	int index = (int)(intptr_t)arg;
	void *block = aligned_alloc(SMALL, LARGE);
	struct random r;

	random_init(&r, (uint64_t)index + 1);
	while (block) {
		if (index >= active || read_somewhere(&r, block, LARGE))
			rest();
	}
	return NULL;
}

static int by_time(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* How long a small read waits among the large ones. Returns 0 or -errno. */
static int probe(struct random *r, uint64_t *median_ns)
{
	static _Alignas(SMALL) char block[SMALL];
	uint64_t waited[PROBES];

	for (int i = 0; i < PROBES; i++) {
		uint64_t start_ns = clock_monotonic_ns();
		int err = read_somewhere(r, block, SMALL);

		if (err)
			return err;
		waited[i] = clock_monotonic_ns() - start_ns;
		rest();
	}
	qsort(waited, PROBES, sizeof(*waited), by_time);
	*median_ns = waited[PROBES / 2];
	return 0;
}

static int start_readers(void)
{
	for (int i = 0; i < THREADS; i++) {
		pthread_t thread;
		int err = pthread_create(&thread, NULL, reader, (void *)(intptr_t)i);

		if (err)
			return -err;
	}
	return 0;
}

int hog_disk(const char *file)
{
	uint64_t median_ns;
	struct random r;
	struct stat st;
	int err;

	disk = open(file, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (disk < 0 || fstat(disk, &st))
		return -errno;
	disk_bytes = st.st_size;
	if (disk_bytes < LARGE)
		return -EINVAL;
	random_init(&r, THREADS + 1);
	err = start_readers();
	while (!err) {
		err = probe(&r, &median_ns);
		if (!err && median_ns < WAIT_NS && active < THREADS)
			active++;
		else if (!err && median_ns > 2 * WAIT_NS && active > 1)
			active--;
	}
	return err;
}
