#include "common/identity.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nettle/base16.h>
#include <nettle/hmac.h>
#include <nettle/memops.h>

#define HEAD 2 /* version and kind */

_Static_assert(IDENTITY_SEAL == HEAD + SHA256_DIGEST_SIZE, "the seal stands between them");

/* Tells a derived key from the seal of a message. */
static const char purpose[] = "sage agent ";

static int parse_key(const char *line, struct identity_key *out)
{
	struct base16_decode_ctx hex;
	uint8_t byte[BASE16_DECODE_LENGTH(IDENTITY_HEX)];
	size_t size = sizeof(byte), digits = strcspn(line, "\r\n");

	base16_decode_init(&hex);
	if (digits != 2 * IDENTITY_KEY || !base16_decode_update(&hex, &size, byte, digits, line) ||
		size != IDENTITY_KEY || !base16_decode_final(&hex))
		return -EBADMSG;
	memcpy(out->byte, byte, IDENTITY_KEY);
	explicit_bzero(byte, sizeof(byte));
	return 0;
}

int identity_read(const char *file, struct identity_key *out)
{
	char line[IDENTITY_HEX + 2] = "";
	FILE *f = fopen(file, "re");
	int error;

	if (!f)
		return -errno;
	setvbuf(f, NULL, _IONBF, 0); /* no copy of the key is left in a buffer */
	if (!fgets(line, sizeof(line), f))
		line[0] = 0;
	error = ferror(f) ? -EIO : parse_key(line, out);
	fclose(f);
	explicit_bzero(line, sizeof(line));
	return error;
}

void identity_print(const struct identity_key *key, char out[IDENTITY_HEX])
{
	base16_encode_update(out, IDENTITY_KEY, key->byte);
	out[2 * IDENTITY_KEY] = 0;
}

void identity_derive(const struct identity_key *master, const char *agent, struct identity_key *out)
{
	struct hmac_sha256_ctx hmac;

	hmac_sha256_set_key(&hmac, IDENTITY_KEY, master->byte);
	hmac_sha256_update(&hmac, strlen(purpose), (const uint8_t *)purpose);
	hmac_sha256_update(&hmac, strlen(agent), (const uint8_t *)agent);
	hmac_sha256_digest(&hmac, IDENTITY_KEY, out->byte);
	explicit_bzero(&hmac, sizeof(hmac));
}

static void make_seal(const struct identity_key *key, const void *message, size_t size,
	uint8_t seal[SHA256_DIGEST_SIZE])
{
	struct hmac_sha256_ctx hmac;

	hmac_sha256_set_key(&hmac, IDENTITY_KEY, key->byte);
	hmac_sha256_update(&hmac, size, message);
	hmac_sha256_digest(&hmac, SHA256_DIGEST_SIZE, seal);
	explicit_bzero(&hmac, sizeof(hmac));
}

int identity_seal(const struct identity_key *key, const void *message, size_t size, void **out,
	size_t *sealed_size)
{
	uint8_t *sealed = malloc(IDENTITY_SEAL + size);

	if (!sealed)
		return -ENOMEM;
	sealed[0] = WIRE_VERSION;
	sealed[1] = WIRE_SEALED;
	make_seal(key, message, size, sealed + HEAD);
	memcpy(sealed + IDENTITY_SEAL, message, size);
	*out = sealed;
	*sealed_size = IDENTITY_SEAL + size;
	return 0;
}

const void *identity_unwrap(const void *sealed, size_t size, size_t *message_size)
{
	if (wire_kind(sealed, size) != WIRE_SEALED || size < IDENTITY_SEAL)
		return NULL;
	*message_size = size - IDENTITY_SEAL;
	return (const uint8_t *)sealed + IDENTITY_SEAL;
}

int identity_check(const struct identity_key *master, const void *sealed, size_t size)
{
	struct identity_key key;
	struct wire_agent agent;
	uint8_t seal[SHA256_DIGEST_SIZE];
	size_t message_size;
	const void *message = identity_unwrap(sealed, size, &message_size);
	int error;

	if (!message)
		return -ENOKEY;
	error = wire_sender(message, message_size, &agent);
	if (error)
		return error;
	identity_derive(master, agent.name, &key);
	make_seal(&key, message, message_size, seal);
	explicit_bzero(&key, sizeof(key));
	return memeql_sec(seal, (const uint8_t *)sealed + HEAD, sizeof(seal)) ? 0 : -EKEYREJECTED;
}
