/*
 * What survives a restart, in one file of the data directory.
 *
 * Batches of agents are stored, and the agents' sequences moved on, in one
 * transaction before the batches are acknowledged. When all of its windows have become rows
 * of the recording, the rows are written and the batch forgotten, again in one
 * transaction. So every acknowledged window is in here exactly once, as a
 * batch or as part of a row, whenever the process is killed. (A power cut may
 * take back the last moments: the file is synced at checkpoints.)
 *
 * All functions may be called by any thread; calls are made one at a time
 * inside. Errors: -ENOMEM, -ENOSPC (disk full), -EBADMSG (what was read is damaged),
 * -EIO for anything else the database says (logged where it happens).
 */
#ifndef SAGE_ANALYZER_STORE_H
#define SAGE_ANALYZER_STORE_H

#include <jansson.h>

#include "analyzer/recording.h"
#include "common/wire.h"

struct store;

/* Open or make DIR/sage.db. On failure one line in `why`; -EBUSY: another process has it. */
int store_open(struct store **out, const char *dir, char *why, size_t why_size);
void store_close(struct store *s);

/* ---- batches ---------------------------------------------------------- */

/* A batch as it came, whose windows end at or before until_ns. */
struct store_batch {
	const struct wire_agent *agent;
	uint64_t sequence, until_ns;
	const void *body;
	size_t size;
	int64_t id; /* out; 0: this sequence (or a later one) of this boot is stored already */
};

/* Keep all of them, or none, in one transaction. */
int store_batches(struct store *s, struct store_batch *b, size_t n);

/* The highest sequence stored for this boot of this agent; 0 = none. */
uint64_t store_last_sequence(struct store *s, const struct wire_agent *a);

/*
 * The first batch after `after` that is not yet in rows, in the order they came. Returns 0 with
 * *id and *body (free()), or -ENOENT after the last.
 */
int store_next_batch(struct store *s, int64_t after, int64_t *id, void **body, size_t *size);

/* ---- rows ------------------------------------------------------------- */

/*
 * Keep one row of the recording (replacing it) and the graph as it is now, and forget
 * batches up to `merged` whose windows ended at or before settled_ns.
 */
int store_row(struct store *s, const struct recording *r, size_t row, int64_t merged,
	uint64_t settled_ns);

/* The newest `keep` rows that start in [from_s, to_s), and the graph, into a fresh recording. */
int store_rows(struct store *s, struct recording *r, double from_s, double to_s, size_t keep);

/* ---- documents and models --------------------------------------------- */

/* JSON by kind ("incident", "slos", "act") and number. */
int store_put(struct store *s, const char *kind, int64_t id, double at_s, const json_t *body);
json_t *store_get(struct store *s, const char *kind, int64_t id);      /* NULL: none */
json_t *store_newest(struct store *s, const char *kind, size_t limit); /* array, newest first */
int64_t store_last_id(struct store *s, const char *kind);              /* 0 = none yet */

/* A trained model; the newest five are kept. */
int store_put_model(struct store *s, int64_t version, double at_s, const json_t *about,
	const void *blob, size_t size);

/* The newest one: 0 with all outputs set (free() and json_decref() them), or -ENOENT. */
int store_newest_model(
	struct store *s, int64_t *version, json_t **about, void **blob, size_t *size);

/* ---- bounds ----------------------------------------------------------- */

/* Forget what is older than before_s, then the oldest rows until the data fits max_bytes. */
int store_trim(struct store *s, double before_s, uint64_t max_bytes);

uint64_t store_bytes(struct store *s);

#endif
