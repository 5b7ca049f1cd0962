/*
 * Every decoder against every input. The first byte says how to read the rest: as
 * a message, or as a batch's body, which is packed here because nobody guesses
 * a checksum. What decodes must encode again, and that must decode to the same
 * bytes.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/identity.h"
#include "common/wire.h"
#include "common/wire_codec.h"
#include "tests/unit/wire_unfold.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Encoding, decoding and encoding again must not change a byte. */
static void same(const void *a, size_t a_size, const void *b, size_t b_size)
{
	if (a_size != b_size || memcmp(a, b, a_size) != 0)
		abort();
}

static void try_batch(const void *data, size_t size)
{
	struct wire_batch b, again;
	void *first, *second;
	size_t first_size, second_size;

	if (wire_decode_batch(data, size, &b))
		return;
	wire_unfold(&b);
	if (!wire_encode_batch(&b, &first, &first_size)) {
		if (wire_decode_batch(first, first_size, &again))
			abort();
		wire_unfold(&again);
		if (wire_encode_batch(&again, &second, &second_size))
			abort();
		same(first, first_size, second, second_size);
		wire_batch_close(&again);
		free(first);
		free(second);
	}
	wire_batch_close(&b);
}

static void try_poll(const void *data, size_t size)
{
	struct wire_poll p, again;
	void *first;
	size_t first_size;

	if (wire_decode_poll(data, size, &p))
		return;
	if (wire_encode_poll(&p, &first, &first_size) ||
		wire_decode_poll(first, first_size, &again))
		abort();
	wire_poll_close(&again);
	wire_poll_close(&p);
	free(first);
}

static void try_leases(const void *data, size_t size)
{
	struct wire_leases l, again;
	void *first;
	size_t first_size;

	if (wire_decode_leases(data, size, &l))
		return;
	if (wire_encode_leases(&l, &first, &first_size) ||
		wire_decode_leases(first, first_size, &again))
		abort();
	wire_leases_close(&again);
	wire_leases_close(&l);
	free(first);
}

/* A refusal says in one way what it says; what is sealed is looked at before its seal is. */
static void try_strangers(const void *data, size_t size)
{
	struct identity_key key = {0};
	char why[WIRE_NAME];
	void *again;
	size_t again_size;

	identity_check(&key, data, size);
	if (wire_decode_refusal(data, size, why))
		return;
	if (wire_encode_refusal(why, &again, &again_size))
		abort();
	free(again);
}

static void try_body(uint8_t version, const void *data, size_t size)
{
	static const uint8_t boot_id[16];
	struct wire_writer w = {0};
	void *message;
	size_t message_size;

	wire_put_u8(&w, version);
	wire_put_u8(&w, WIRE_BATCH);
	wire_put_text(&w, "fuzz", 5);
	wire_put_bytes(&w, boot_id, sizeof(boot_id));
	wire_put_u64(&w, 1);
	wire_put_deflated(&w, data, size);
	if (wire_writer_take(&w, &message, &message_size))
		return;
	try_batch(message, message_size);
	free(message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wire_ack ack;

	if (!size)
		return 0;
	if (data[0] & 1) {
		try_body(data[0] & 4   ? WIRE_VERSION_CONNECTIONS
			 : data[0] & 2 ? WIRE_VERSION_OPERATIONS
				       : WIRE_VERSION,
			data + 1, size - 1);
		return 0;
	}
	data++;
	size--;
	wire_kind(data, size);
	wire_decode_ack(data, size, &ack);
	try_batch(data, size);
	try_poll(data, size);
	try_leases(data, size);
	try_strangers(data, size);
	return 0;
}
