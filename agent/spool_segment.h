/*
 * One segment of the spool: a file of records, appended at its end and read
 * from its start. docs/protocol.md has the bytes. Used by spool.c alone.
 */
#ifndef SAGE_AGENT_SPOOL_SEGMENT_H
#define SAGE_AGENT_SPOOL_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEGMENT_HEAD_BYTES 40 /* of a record */

/* A record's head, as found. */
struct segment_record {
	uint64_t at;      /* offset of its head in the segment */
	uint64_t time_ns; /* wall clock when it was pushed */
	uint64_t body_hash;
	uint32_t size, windows;
	bool settled;
};

/* Append a record at `end` in one write; 0 or -errno with the file as it was. */
int segment_append(
	int fd, uint64_t end, const void *body, uint32_t size, uint32_t windows, uint64_t time_ns);

/*
 * The first sound head at or after `from`, below `end`. *skipped says whether bytes
 * that are no record lay before it. 0, -ENOENT (none) or -errno.
 */
int segment_next(int fd, uint64_t from, uint64_t end, size_t max_record, struct segment_record *out,
	bool *skipped);

/* Read and check the body: 0, -EBADMSG (damaged) or -errno. */
int segment_body(int fd, const struct segment_record *r, void *body);

/* Remember in the file that a record is done with. */
int segment_mark_settled(int fd, const struct segment_record *r);

/* Offset after a record. */
uint64_t segment_after(const struct segment_record *r);

#endif
