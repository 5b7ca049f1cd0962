/*
 * What was measured and is not yet acknowledged: a first-in first-out store of
 * encoded batches, bounded by bytes and age.
 *
 * Records lie in segment files of a directory, each with checksums over its head
 * and its body, and survive a killed agent (not a power cut: nothing is synced).
 * Without a directory the segments are memory files and end with the process.
 * When full, the oldest segment goes and its windows are counted; a record that
 * fails its checksum is skipped and counted. Nothing found in the directory
 * stops the agent from starting.
 *
 * One record at a time is taken to be sent; it stays stored until it is settled.
 * The caller serialises; no call waits for anything but the file system.
 */
#ifndef SAGE_AGENT_SPOOL_H
#define SAGE_AGENT_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct spool;

struct spool_options {
	const char *dir;     /* made if missing, and what is above; NULL = memory only */
	size_t bytes;        /* bound on everything stored; at least SPOOL_LEAST_BYTES */
	uint64_t max_age_ns; /* wall clock; 0 = no bound */
	size_t max_record;   /* bytes of the largest record accepted */
};

#define SPOOL_LEAST_BYTES (64U << 10)

struct spool_stats {
	uint64_t records, windows, bytes; /* stored now */
	uint64_t recovered;               /* windows found at open */
	uint64_t dropped_full;    /* windows: too many bytes, too old, or the disk is full */
	uint64_t dropped_damaged; /* windows known lost to checksums; at least 1 per gap */
};

/* 0, -EBUSY (another process has the directory), -EINVAL, -ENOMEM or the file system's error. */
int spool_open(struct spool **out, const struct spool_options *o);

/* Files stay, memory goes. NULL is allowed. */
void spool_close(struct spool *s);

/* Append a record that holds `windows` windows. 0, or -errno with the windows counted dropped. */
int spool_push(struct spool *s, const void *record, size_t size, uint32_t windows);

/*
 * Take the oldest record: *record is the caller's to free. 0, -ENOENT (empty) or -ENOMEM.
 * Settle it before the next take.
 */
int spool_take(struct spool *s, void **record, size_t *size, uint32_t *windows);

enum spool_outcome {
	SPOOL_STORED,  /* acknowledged: remove it */
	SPOOL_REFUSED, /* will never be accepted: remove it, count it damaged */
	SPOOL_AGAIN    /* keep it; counted dropped if it was pushed out meanwhile */
};

void spool_settle(struct spool *s, enum spool_outcome outcome);

void spool_stats(const struct spool *s, struct spool_stats *out);

#endif
