/*
 * The highest batch sequence stored, per boot of an agent.
 *
 * Whoever keeps the windows keeps the durable value; this remembers it, asking
 * once per boot id. Bounded: the longest-known goes first and is asked for again.
 * The intake's thread owns it.
 */
#ifndef SAGE_ANALYZER_HIGHWATER_H
#define SAGE_ANALYZER_HIGHWATER_H

#include <stdint.h>

#include "common/wire.h"

#define HIGHWATER_MAX 16384

struct highwater_entry;

struct highwater {
	struct highwater_entry *all; /* uthash head */
	uint64_t (*durable)(void *ctx, const struct wire_agent *a);
	void *ctx;
};

/* `durable` may be NULL: then everything starts at 0. */
void highwater_init(
	struct highwater *h, uint64_t (*durable)(void *, const struct wire_agent *), void *ctx);

/* Where the value of this boot stands, to read and to raise; NULL = no memory. */
uint64_t *highwater_of(struct highwater *h, const struct wire_agent *a);

void highwater_clear(struct highwater *h);

#endif
