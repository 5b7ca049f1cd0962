/*
 * Any bytes as a recording: the files, separated by 0x1e. What can be read must be written
 * and read back as the same number of windows.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analyzer/recording.h"
#include "common/log.h"

#define SEPARATOR 0x1e

static const char *const file_name[] = {
	"graph.csv", "metrics.csv", "slo.csv", "placement.csv", "truth.csv"};

#define FILES (sizeof(file_name) / sizeof(*file_name))

static char dir[64];

static void clean_up(void)
{
	for (size_t i = 0; i < FILES; i++) {
		char path[128];

		snprintf(path, sizeof(path), "%s/%s", dir, file_name[i]);
		unlink(path);
	}
	rmdir(dir);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log_init("recording_fuzz", LOG_ERROR);
	snprintf(dir, sizeof(dir), "/dev/shm/sage-recording-fuzz-XXXXXX");
	if (!mkdtemp(dir))
		abort();
	atexit(clean_up);
	return 0;
}

/* The part of the data up to the next separator goes into one file. */
static void put_file(const char *name, const uint8_t **data, size_t *size)
{
	const uint8_t *end = *size ? memchr(*data, SEPARATOR, *size) : NULL;
	size_t length = end ? (size_t)(end - *data) : *size;
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	if (!f)
		abort();
	if (length)
		fwrite(*data, 1, length, f);
	fclose(f);
	*data += end ? length + 1 : length;
	*size -= end ? length + 1 : length;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct recording r, back;
	char why[256] = "";
	size_t windows;

	clean_up();
	if (recording_write(&(struct recording){0}, dir, why, sizeof(why)))
		abort();
	put_file(file_name[0], &data, &size);
	put_file(file_name[1], &data, &size);
	for (size_t i = 2; i < FILES && size; i++)
		put_file(file_name[i], &data, &size);
	if (recording_read(&r, dir, why, sizeof(why))) {
		if (!*why)
			abort();
		return 0;
	}
	windows = r.series.windows;
	if (recording_write(&r, dir, why, sizeof(why)))
		abort();
	recording_clear(&r);
	if (recording_read(&back, dir, why, sizeof(why)) || back.series.windows != windows)
		abort();
	recording_clear(&back);
	return 0;
}
