/*
 * The bytes under common/wire.h: a growing writer and a bounded reader.
 *
 * Both remember their first failure, so a caller writes or reads a whole message
 * and looks once: a writer that failed ignores what follows, a reader that ran
 * past its end returns zeros. Integers are little-endian or, where named varint,
 * seven bits per byte, lowest first. One thread uses a reader or writer at a time.
 */
#ifndef SAGE_COMMON_WIRE_CODEC_H
#define SAGE_COMMON_WIRE_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wire_agent;

struct wire_writer {
	uint8_t *data; /* owned until wire_writer_close() or wire_writer_take() */
	size_t size, room;
	int error; /* 0 or the first -errno */
};

void wire_writer_close(struct wire_writer *w);

/* Hand the bytes to the caller (free() them), or return the first error. */
int wire_writer_take(struct wire_writer *w, void **out, size_t *size);

void wire_put_u8(struct wire_writer *w, uint8_t v);
void wire_put_u32(struct wire_writer *w, uint32_t v);
void wire_put_u64(struct wire_writer *w, uint64_t v);
void wire_put_varint(struct wire_writer *w, uint64_t v);
void wire_put_signed(struct wire_writer *w, int64_t v); /* zigzag varint */
void wire_put_bytes(struct wire_writer *w, const void *data, size_t size);

/* Length and bytes of a string held in `room` bytes; -EINVAL without its zero. */
void wire_put_text(struct wire_writer *w, const char *text, size_t room);

/* A length, then `data` compressed to the end of the message. */
void wire_put_deflated(struct wire_writer *w, const void *data, size_t size);

/* Version and kind; what every message starts with. */
void wire_put_head(struct wire_writer *w, uint8_t kind);

struct wire_reader {
	const uint8_t *at, *end; /* borrowed */
	bool bad;                /* something was missing or out of bounds */
};

void wire_reader_init(struct wire_reader *r, const void *data, size_t size);
size_t wire_reader_left(const struct wire_reader *r);

uint8_t wire_get_u8(struct wire_reader *r);
uint32_t wire_get_u32(struct wire_reader *r);
uint64_t wire_get_u64(struct wire_reader *r);
uint64_t wire_get_varint(struct wire_reader *r);
int64_t wire_get_signed(struct wire_reader *r);

/* A varint that may not pass `max`. */
uint64_t wire_get_bounded(struct wire_reader *r, uint64_t max);

/* `size` bytes inside the message, or NULL. */
const uint8_t *wire_get_bytes(struct wire_reader *r, size_t size);

/* The opposite of wire_put_text(): fits `room` with its zero and holds no other. */
void wire_get_text(struct wire_reader *r, char *out, size_t room);

/* The opposite of wire_put_deflated(): *out is the caller's. 0, -EBADMSG, -ENOMEM. */
int wire_get_inflated(struct wire_reader *r, uint8_t **out, size_t *size);

/* Whether messages of a kind may have this version. */
bool wire_is_version(uint8_t version, uint8_t kind);

/* Refuses another version or kind by setting `bad`. Gives the version. */
uint8_t wire_get_head(struct wire_reader *r, uint8_t kind);

/* Name and boot id: what follows the head of a batch and of a poll. */
void wire_put_agent(struct wire_writer *w, const struct wire_agent *a);
void wire_get_agent(struct wire_reader *r, struct wire_agent *a);

#endif
