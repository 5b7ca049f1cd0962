/*
 * What the actuator has changed and must undo, on disk before it is done.
 *
 * An append-only text file: one record a line, each with a checksum, synced before
 * journal_begin() returns. On open it is read back: changes that were begun and not ended are
 * pending. A damaged line is skipped and counted. The file is rewritten (new file, sync,
 * rename) when it has grown, so it stays bounded by the number of pending changes.
 *
 * One owner at a time, by a lock on the directory's `lock` file; one thread.
 */
#ifndef SAGE_AGENT_JOURNAL_H
#define SAGE_AGENT_JOURNAL_H

#include "agent/knob.h"

#define JOURNAL_MAX WIRE_MAX_LEASES

struct journal_change {
	uint64_t id;
	uint64_t cgroup_id;
	enum wire_knob knob;
	int64_t old_value, value; /* before, and ours */
	char device[KNOB_DEVICE];
	char file[KNOB_FILE];     /* "" in records of before it was kept */
	char old_text[KNOB_TEXT]; /* what knob_restore() takes */
	char path[WIRE_PATH];
};

struct journal {
	int dir, lock, file; /* owned */
	uint64_t bytes;      /* size of the file */
	uint64_t epoch;      /* highest seen */
	uint64_t damaged;    /* lines skipped at open */
	size_t changes;
	struct journal_change *change; /* [changes] of JOURNAL_MAX; begun and not ended; owned */
};

/* Open or make. Returns 0, -EBUSY (locked), -ENOMEM, or the file system's error. */
int journal_open(struct journal *j, const char *dir);
void journal_close(struct journal *j);

/* Durable when they return 0. journal_begin: -ENOSPC when JOURNAL_MAX are pending. */
int journal_begin(struct journal *j, const struct journal_change *c);
int journal_end(struct journal *j, uint64_t id);
int journal_epoch(struct journal *j, uint64_t epoch);

#endif
