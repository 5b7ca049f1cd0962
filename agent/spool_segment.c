#include "agent/spool_segment.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>
#include <xxhash.h>

#include "common/wire_codec.h"

/* "SAGR": a record starts here, also when what lay before it is damaged. */
#define MAGIC 0x52474153U
#define SETTLED_AT 4    /* offset of the settled byte, which no hash covers */
#define HASHED_AT 8     /* the head's hash covers from here ... */
#define HEAD_HASH_AT 32 /* ... to here */
#define SCAN_BYTES 65536U

static int errno_or_short(ssize_t done)
{
	return done < 0 ? -errno : -ENOSPC;
}

static void make_head(uint8_t head[SEGMENT_HEAD_BYTES], const void *body, uint32_t size,
	uint32_t windows, uint64_t time_ns)
{
	struct wire_writer w = {.data = head, .room = SEGMENT_HEAD_BYTES};

	wire_put_u32(&w, MAGIC);
	wire_put_u32(&w, 0);
	wire_put_u32(&w, size);
	wire_put_u32(&w, windows);
	wire_put_u64(&w, time_ns);
	wire_put_u64(&w, XXH3_64bits(body, size));
	wire_put_u64(&w, XXH3_64bits(head + HASHED_AT, HEAD_HASH_AT - HASHED_AT));
}

int segment_append(
	int fd, uint64_t end, const void *body, uint32_t size, uint32_t windows, uint64_t time_ns)
{
	uint8_t head[SEGMENT_HEAD_BYTES];
	struct iovec parts[2] = {{head, sizeof(head)}, {(void *)(uintptr_t)body, size}};
	ssize_t done;
	int error;

	make_head(head, body, size, windows, time_ns);
	done = pwritev(fd, parts, 2, (off_t)end);
	if (done == (ssize_t)(sizeof(head) + size))
		return 0;
	error = errno_or_short(done);
	if (ftruncate(fd, (off_t)end))
		return -errno;
	return error;
}

/* Is this a head? Its own hash decides. */
static bool read_head(const uint8_t *at, size_t max_record, struct segment_record *out)
{
	struct wire_reader r;

	wire_reader_init(&r, at, SEGMENT_HEAD_BYTES);
	if (wire_get_u32(&r) != MAGIC)
		return false;
	out->settled = wire_get_u32(&r) != 0;
	out->size = wire_get_u32(&r);
	out->windows = wire_get_u32(&r);
	out->time_ns = wire_get_u64(&r);
	out->body_hash = wire_get_u64(&r);
	return wire_get_u64(&r) == XXH3_64bits(at + HASHED_AT, HEAD_HASH_AT - HASHED_AT) &&
	       out->size <= max_record;
}

/* Look for a head inside one stretch of the file. */
static int scan(int fd, uint64_t from, uint64_t end, size_t max_record, uint8_t *buffer,
	struct segment_record *out)
{
	while (from + SEGMENT_HEAD_BYTES <= end) {
		ssize_t got = pread(fd, buffer, SCAN_BYTES, (off_t)from);

		if (got < SEGMENT_HEAD_BYTES)
			return got < 0 ? -errno : -ENOENT;
		for (ssize_t i = 0; i + SEGMENT_HEAD_BYTES <= got; i++) {
			out->at = from + (uint64_t)i;
			if (read_head(buffer + i, max_record, out) && segment_after(out) <= end)
				return 0;
		}
		from += (uint64_t)got - SEGMENT_HEAD_BYTES + 1;
	}
	return -ENOENT;
}

int segment_next(int fd, uint64_t from, uint64_t end, size_t max_record, struct segment_record *out,
	bool *skipped)
{
	uint8_t head[SEGMENT_HEAD_BYTES], *buffer;
	struct segment_record found = {.at = from};
	int error;

	*skipped = false;
	if (from >= end)
		return -ENOENT;
	if (pread(fd, head, sizeof(head), (off_t)from) == sizeof(head) &&
		read_head(head, max_record, &found) && segment_after(&found) <= end) {
		*out = found;
		return 0;
	}
	*skipped = true;
	buffer = malloc(SCAN_BYTES);
	if (!buffer)
		return -ENOMEM;
	error = scan(fd, from + 1, end, max_record, buffer, &found);
	free(buffer);
	if (!error)
		*out = found;
	return error;
}

int segment_body(int fd, const struct segment_record *r, void *body)
{
	ssize_t got = pread(fd, body, r->size, (off_t)(r->at + SEGMENT_HEAD_BYTES));

	if (got < 0)
		return -errno;
	if (got != (ssize_t)r->size || XXH3_64bits(body, r->size) != r->body_hash)
		return -EBADMSG;
	return 0;
}

int segment_mark_settled(int fd, const struct segment_record *r)
{
	const uint8_t yes = 1;
	ssize_t done = pwrite(fd, &yes, 1, (off_t)(r->at + SETTLED_AT));

	return done == 1 ? 0 : errno_or_short(done);
}

uint64_t segment_after(const struct segment_record *r)
{
	return r->at + SEGMENT_HEAD_BYTES + r->size;
}
