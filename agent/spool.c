#include "agent/spool.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/spool_segment.h"
#include "common/clock.h"
#include "common/directory.h"

/* What one dropped segment costs is at most this part of the spool. */
#define SEGMENTS 16
#define SUFFIX ".spool"

struct segment {
	uint64_t number; /* file name */
	uint64_t read;   /* offset of the first record not settled */
	uint64_t size;
	uint64_t windows, records; /* not settled */
	uint64_t newest_ns;
	int fd;
};

struct spool {
	struct spool_options o;
	int dir;                 /* -1 = memory only */
	struct segment *segment; /* [segments] oldest first */
	size_t segments, room;
	uint64_t next_number;
	struct {
		bool held, lost; /* lost: its segment was dropped meanwhile */
		struct segment_record record;
	} taken;
	uint64_t recovered, dropped_full, dropped_damaged;
};

static void file_name(char out[32], uint64_t number)
{
	snprintf(out, 32, "%016" PRIx64 SUFFIX, number);
}

static uint64_t total_bytes(const struct spool *s)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < s->segments; i++)
		bytes += s->segment[i].size;
	return bytes;
}

/* ---- segments -------------------------------------------------------- */

static struct segment *add_segment(struct spool *s, uint64_t number, int fd)
{
	struct segment *grown;

	if (s->segments == s->room) {
		grown = realloc(s->segment, (s->room + SEGMENTS) * sizeof(*grown));
		if (!grown)
			return NULL;
		s->segment = grown;
		s->room += SEGMENTS;
	}
	grown = &s->segment[s->segments++];
	*grown = (struct segment){.number = number, .fd = fd};
	if (number >= s->next_number)
		s->next_number = number + 1;
	return grown;
}

static int create_segment(struct spool *s, struct segment **out)
{
	char name[32];
	int fd;

	file_name(name, s->next_number);
	if (s->dir < 0)
		fd = memfd_create("sage-spool", MFD_CLOEXEC);
	else
		fd = openat(s->dir, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	*out = add_segment(s, s->next_number, fd);
	if (*out)
		return 0;
	close(fd);
	return -ENOMEM;
}

static void remove_oldest(struct spool *s)
{
	char name[32];

	close(s->segment[0].fd);
	file_name(name, s->segment[0].number);
	if (s->dir >= 0)
		unlinkat(s->dir, name, 0);
	s->segments--;
	memmove(s->segment, s->segment + 1, s->segments * sizeof(*s->segment));
}

/* Make room: all that is left in the oldest segment is lost, save what is being sent. */
static void drop_oldest(struct spool *s)
{
	uint64_t windows = s->segment[0].windows;

	if (s->taken.held && !s->taken.lost) {
		windows -= s->taken.record.windows;
		s->taken.lost = true;
	}
	s->dropped_full += windows;
	remove_oldest(s);
}

/* Everything readable in the oldest segment is settled; what it still owes was damaged. */
static void finish_oldest(struct spool *s)
{
	struct segment *g = &s->segment[0];

	s->dropped_damaged += g->windows;
	if (s->segments > 1 || ftruncate(g->fd, 0)) {
		remove_oldest(s);
		return;
	}
	g->read = g->size = g->windows = g->records = 0;
}

/* ---- opening --------------------------------------------------------- */

/* Count what a found segment holds. */
static void survey(struct spool *s, struct segment *g)
{
	struct segment_record r;
	uint64_t at = 0;
	bool skipped;
	int error;

	do {
		error = segment_next(g->fd, at, g->size, s->o.max_record, &r, &skipped);
		s->dropped_damaged += skipped;
		s->recovered += skipped;
		if (error)
			break;
		at = segment_after(&r);
		g->newest_ns = r.time_ns;
		if (r.settled)
			continue;
		g->windows += r.windows;
		g->records++;
		s->recovered += r.windows;
	} while (at < g->size);
	/* a torn tail would take in the head of what is appended next */
	if (error && !ftruncate(g->fd, (off_t)at))
		g->size = at;
}

static int recover_file(struct spool *s, uint64_t number)
{
	struct segment *g;
	struct stat st;
	char name[32];
	int fd;

	file_name(name, number);
	fd = openat(s->dir, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		s->dropped_damaged++;
		s->recovered++;
		if (fd >= 0)
			close(fd);
		if (number >= s->next_number)
			s->next_number = number + 1;
		return 0;
	}
	g = add_segment(s, number, fd);
	if (!g) {
		close(fd);
		return -ENOMEM;
	}
	g->size = (uint64_t)st.st_size;
	survey(s, g);
	return 0;
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Numbers of all segment files, ascending; *out is the caller's. */
static int list_files(int dir, uint64_t **out, size_t *found)
{
	uint64_t *number = NULL, *grown;
	size_t n = 0, room = 0;
	int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *entry;
	char name[32];

	if (!list)
		return -errno;
	while ((entry = readdir(list))) {
		uint64_t value = strtoull(entry->d_name, NULL, 16);

		file_name(name, value);
		if (strcmp(name, entry->d_name) != 0)
			continue;
		if (n == room) {
			room = room ? 2 * room : SEGMENTS;
			grown = realloc(number, room * sizeof(*number));
			if (!grown) {
				free(number);
				closedir(list);
				return -ENOMEM;
			}
			number = grown;
		}
		number[n++] = value;
	}
	closedir(list);
	if (n)
		qsort(number, n, sizeof(*number), by_number);
	*out = number;
	*found = n;
	return 0;
}

static int recover(struct spool *s)
{
	uint64_t *number = NULL;
	size_t n = 0;
	int error = list_files(s->dir, &number, &n);

	for (size_t i = 0; i < n && !error; i++)
		error = recover_file(s, number[i]);
	free(number);
	while (!error && s->segments && total_bytes(s) > s->o.bytes)
		drop_oldest(s);
	return error;
}

static int open_dir(struct spool *s)
{
	int error = directory_make(s->o.dir, 0700);

	if (error)
		return error;
	s->dir = open(s->o.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dir < 0)
		return -errno;
	if (flock(s->dir, LOCK_EX | LOCK_NB))
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	return recover(s);
}

int spool_open(struct spool **out, const struct spool_options *o)
{
	struct spool *s;
	int error;

	if (o->bytes < SPOOL_LEAST_BYTES || !o->max_record)
		return -EINVAL;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->o = *o;
	s->dir = -1;
	error = o->dir ? open_dir(s) : 0;
	s->o.dir = NULL; /* borrowed for the call only */
	if (error) {
		spool_close(s);
		return error;
	}
	*out = s;
	return 0;
}

void spool_close(struct spool *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->segments; i++)
		close(s->segment[i].fd);
	if (s->dir >= 0)
		close(s->dir);
	free(s->segment);
	free(s);
}

/* ---- in and out ------------------------------------------------------ */

static bool too_old(const struct spool *s, uint64_t time_ns, uint64_t now)
{
	return s->o.max_age_ns && now > time_ns && now - time_ns > s->o.max_age_ns;
}

static int append(struct spool *s, const void *record, size_t size, uint32_t windows, uint64_t now)
{
	struct segment *g = s->segments ? &s->segment[s->segments - 1] : NULL;
	int error = 0;

	if (!g || g->size >= s->o.bytes / SEGMENTS)
		error = create_segment(s, &g);
	if (!error)
		error = segment_append(g->fd, g->size, record, (uint32_t)size, windows, now);
	if (error)
		return error;
	g->size += SEGMENT_HEAD_BYTES + size;
	g->windows += windows;
	g->records++;
	g->newest_ns = now;
	return 0;
}

int spool_push(struct spool *s, const void *record, size_t size, uint32_t windows)
{
	uint64_t now = clock_wall_ns(), need = size + SEGMENT_HEAD_BYTES;
	int error = -E2BIG;

	if (size <= s->o.max_record && need <= s->o.bytes) {
		while (s->segments && (total_bytes(s) + need > s->o.bytes ||
					      too_old(s, s->segment[0].newest_ns, now)))
			drop_oldest(s);
		error = append(s, record, size, windows, now);
	}
	if (error)
		s->dropped_full += windows;
	return error;
}

static void settle_record(struct spool *s, const struct segment_record *r)
{
	struct segment *g = &s->segment[0];

	/* should the mark fail, a restart sends it again and the analyzer knows it */
	segment_mark_settled(g->fd, r);
	g->windows -= r->windows;
	g->records--;
	g->read = segment_after(r);
	if (g->read == g->size)
		finish_oldest(s);
}

/* Read a record's body; when it cannot be sent, settle it and count why. */
static int load(struct spool *s, const struct segment_record *r, void **out, uint64_t now)
{
	void *body;
	int error;

	if (too_old(s, r->time_ns, now)) {
		s->dropped_full += r->windows;
		settle_record(s, r);
		return -ESTALE;
	}
	body = malloc(r->size ? r->size : 1);
	if (!body)
		return -ENOMEM;
	error = segment_body(s->segment[0].fd, r, body);
	if (!error) {
		*out = body;
		return 0;
	}
	free(body);
	s->dropped_damaged += r->windows;
	settle_record(s, r);
	return error;
}

/* Step to the oldest record not settled; segments without one are finished on the way. */
static int find_oldest(struct spool *s, struct segment_record *r)
{
	bool skipped;

	while (s->segments) {
		struct segment *g = &s->segment[0];

		if (segment_next(g->fd, g->read, g->size, s->o.max_record, r, &skipped)) {
			if (s->segments == 1 && !g->size)
				return -ENOENT;
			finish_oldest(s);
		} else if (r->settled) {
			g->read = segment_after(r);
		} else {
			return 0;
		}
	}
	return -ENOENT;
}

int spool_take(struct spool *s, void **record, size_t *size, uint32_t *windows)
{
	uint64_t now = clock_wall_ns();
	struct segment_record r;
	int error;

	assert(!s->taken.held);
	do {
		error = find_oldest(s, &r);
		if (error)
			return error;
		error = load(s, &r, record, now);
		if (error == -ENOMEM)
			return error;
	} while (error);
	s->taken.held = true;
	s->taken.lost = false;
	s->taken.record = r;
	*size = r.size;
	*windows = r.windows;
	return 0;
}

void spool_settle(struct spool *s, enum spool_outcome outcome)
{
	const struct segment_record *r = &s->taken.record;

	assert(s->taken.held);
	s->taken.held = false;
	if (outcome == SPOOL_REFUSED)
		s->dropped_damaged += r->windows;
	if (s->taken.lost) {
		if (outcome == SPOOL_AGAIN)
			s->dropped_full += r->windows;
	} else if (outcome != SPOOL_AGAIN) {
		settle_record(s, r);
	}
}

void spool_stats(const struct spool *s, struct spool_stats *out)
{
	bool adrift = s->taken.held && s->taken.lost;

	*out = (struct spool_stats){.bytes = total_bytes(s),
		.records = adrift,
		.windows = adrift ? s->taken.record.windows : 0,
		.recovered = s->recovered,
		.dropped_full = s->dropped_full,
		.dropped_damaged = s->dropped_damaged};
	for (size_t i = 0; i < s->segments; i++) {
		out->records += s->segment[i].records;
		out->windows += s->segment[i].windows;
	}
}
