/*
 * A segment file with any content: the spool opens, hands out only records whose
 * checksums hold, counts the rest, comes to an end, and still takes new records.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/spool.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Below the working directory: one fuzzer at a time there. */
static const char dir[] = "spool-fuzz-dir";

static void write_segment(const char *path, const uint8_t *data, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	close(fd);
}

/* Takes and settles everything; how many windows that was. */
static uint64_t empty(struct spool *s)
{
	uint64_t all = 0;
	uint32_t windows;
	void *record;
	size_t size;

	while (!spool_take(s, &record, &size, &windows)) {
		all += windows;
		free(record);
		spool_settle(s, SPOOL_STORED);
	}
	return all;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct spool_options o = {.dir = dir, .bytes = SPOOL_LEAST_BYTES, .max_record = 4096};
	struct spool_stats stats;
	struct spool *s;
	uint64_t stored;
	char path[128];

	if (mkdir(dir, 0700) && errno != EEXIST)
		abort();
	snprintf(path, sizeof(path), "%s/%016x.spool", dir, 1);
	write_segment(path, data, size);
	if (spool_open(&s, &o))
		abort();
	if (spool_push(s, "new", 3, 1))
		abort();
	stored = empty(s);
	spool_stats(s, &stats);
	if (stats.windows || !stored ||
		stats.recovered + 1 != stored + stats.dropped_full + stats.dropped_damaged)
		abort();
	spool_close(s);
	unlink(path);
	return 0;
}
