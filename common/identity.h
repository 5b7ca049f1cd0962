/*
 * Who an agent is, proved: each message sealed with a key of that agent's own.
 *
 * With TLS alone whoever holds one agent's certificate can speak for every node, as nng does
 * not tell the analyzer whose certificate it saw. So the analyzer has one master key, each
 * agent the key derived from it and from the agent's name, and a message carries its
 * HMAC-SHA-256 (RFC 2104, by nettle). A seal proves who wrote a message, not when: TLS keeps
 * others from recording it, sequence numbers keep a batch from counting twice.
 *
 * Pure functions, any thread. docs/protocol.md has the bytes.
 */
#ifndef SAGE_COMMON_IDENTITY_H
#define SAGE_COMMON_IDENTITY_H

#include <stddef.h>
#include <stdint.h>

#include "common/wire.h"

#define IDENTITY_KEY 32
#define IDENTITY_HEX (2 * IDENTITY_KEY + 1)
#define IDENTITY_SEAL 34 /* bytes a seal adds to a message */

struct identity_key {
	uint8_t byte[IDENTITY_KEY];
};

/* The first line of a file, 64 hex digits. Returns 0, -errno, or -EBADMSG for another line. */
int identity_read(const char *file, struct identity_key *out);

void identity_print(const struct identity_key *key, char out[IDENTITY_HEX]);

/* The key of an agent. */
void identity_derive(
	const struct identity_key *master, const char *agent, struct identity_key *out);

/* Put a seal before a message. *out is the caller's. Returns 0 or -ENOMEM. */
int identity_seal(const struct identity_key *key, const void *message, size_t size, void **out,
	size_t *sealed_size);

/* The message under a seal, inside of it and not yet checked; NULL when there is no seal. */
const void *identity_unwrap(const void *sealed, size_t size, size_t *message_size);

/*
 * Was a message sealed by the agent it names? 0, -ENOKEY (no seal), -EKEYREJECTED (with
 * another key) or -EBADMSG (neither batch nor poll under it).
 */
int identity_check(const struct identity_key *master, const void *sealed, size_t size);

#endif
