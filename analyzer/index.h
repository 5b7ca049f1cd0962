/*
 * Numbers found by key: a hash index over things that live in somebody else's
 * array (entities by name, columns by entity and metric).
 *
 * The index holds hashes and numbers only; whether a number really is the one
 * looked for is asked of the caller. Nothing is ever removed. One thread at a
 * time; readers may share it while nobody adds.
 */
#ifndef SAGE_ANALYZER_INDEX_H
#define SAGE_ANALYZER_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INDEX_NONE UINT32_MAX

struct index;

/* Does `number` in the caller's array have this key? */
typedef bool (*index_match)(const void *owner, uint32_t number, const void *key);

/* NULL is an empty index. */
uint32_t index_find(const struct index *x, uint64_t hash, index_match match, const void *owner,
	const void *key);

/* Add a number whose key is not in there yet; makes *x when NULL. Returns 0 or -ENOMEM. */
int index_add(struct index **x, uint64_t hash, uint32_t number);

void index_free(struct index *x);

#endif
