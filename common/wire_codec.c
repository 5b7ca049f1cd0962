#include "common/wire_codec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "common/wire.h"

/* Level 4 takes half the time and 7 % more bytes, past the budget of an edge; 9 gains 3 %. */
#define DEFLATE_LEVEL 6

static void fail(struct wire_writer *w, int error)
{
	if (!w->error)
		w->error = error;
}

/* Room for `more` bytes at the end, or NULL once the writer has failed. */
static uint8_t *reserve(struct wire_writer *w, size_t more)
{
	size_t want = w->size + more, room = w->room ? w->room : 256;
	uint8_t *grown;

	if (w->error)
		return NULL;
	if (want > WIRE_MAX_INFLATED) {
		fail(w, -E2BIG);
		return NULL;
	}
	if (want <= w->room)
		return w->data + w->size;
	while (room < want)
		room *= 2;
	grown = realloc(w->data, room);
	if (!grown) {
		fail(w, -ENOMEM);
		return NULL;
	}
	w->data = grown;
	w->room = room;
	return w->data + w->size;
}

void wire_writer_close(struct wire_writer *w)
{
	free(w->data);
	*w = (struct wire_writer){0};
}

int wire_writer_take(struct wire_writer *w, void **out, size_t *size)
{
	int error = w->error;

	if (!error && w->size > WIRE_MAX_MESSAGE)
		error = -E2BIG;
	if (error) {
		wire_writer_close(w);
		return error;
	}
	*out = w->data;
	*size = w->size;
	*w = (struct wire_writer){0};
	return 0;
}

void wire_put_bytes(struct wire_writer *w, const void *data, size_t size)
{
	uint8_t *at = reserve(w, size);

	if (!at || !size)
		return;
	memcpy(at, data, size);
	w->size += size;
}

static void put_little(struct wire_writer *w, uint64_t v, unsigned bytes)
{
	uint8_t *at = reserve(w, bytes);

	if (!at)
		return;
	for (unsigned i = 0; i < bytes; i++)
		at[i] = (uint8_t)(v >> (8 * i));
	w->size += bytes;
}

void wire_put_u8(struct wire_writer *w, uint8_t v)
{
	put_little(w, v, 1);
}

void wire_put_u32(struct wire_writer *w, uint32_t v)
{
	put_little(w, v, 4);
}

void wire_put_u64(struct wire_writer *w, uint64_t v)
{
	put_little(w, v, 8);
}

void wire_put_varint(struct wire_writer *w, uint64_t v)
{
	uint8_t bytes[10];
	size_t n = 0;

	for (; v > 0x7f; v >>= 7)
		bytes[n++] = (uint8_t)(v | 0x80);
	bytes[n++] = (uint8_t)v;
	wire_put_bytes(w, bytes, n);
}

void wire_put_signed(struct wire_writer *w, int64_t v)
{
	uint64_t twice = (uint64_t)v << 1;

	wire_put_varint(w, v < 0 ? ~twice : twice);
}

void wire_put_text(struct wire_writer *w, const char *text, size_t room)
{
	size_t length = strnlen(text, room);

	if (length == room) {
		fail(w, -EINVAL);
		return;
	}
	wire_put_varint(w, length);
	wire_put_bytes(w, text, length);
}

void wire_put_deflated(struct wire_writer *w, const void *data, size_t size)
{
	uLongf packed = compressBound(size);
	uint8_t *at;
	int status;

	wire_put_u32(w, (uint32_t)size);
	at = reserve(w, packed);
	if (!at)
		return;
	status = compress2(at, &packed, data, size, DEFLATE_LEVEL);
	if (status != Z_OK) {
		fail(w, status == Z_MEM_ERROR ? -ENOMEM : -E2BIG);
		return;
	}
	w->size += packed;
}

void wire_put_head(struct wire_writer *w, uint8_t kind)
{
	wire_put_u8(w, WIRE_VERSION);
	wire_put_u8(w, kind);
}

void wire_reader_init(struct wire_reader *r, const void *data, size_t size)
{
	r->at = data;
	r->end = r->at + size;
	r->bad = false;
}

size_t wire_reader_left(const struct wire_reader *r)
{
	return r->bad ? 0 : (size_t)(r->end - r->at);
}

const uint8_t *wire_get_bytes(struct wire_reader *r, size_t size)
{
	const uint8_t *at = r->at;

	if (size > wire_reader_left(r)) {
		r->bad = true;
		return NULL;
	}
	if (r->bad)
		return NULL;
	r->at += size;
	return at;
}

static uint64_t get_little(struct wire_reader *r, unsigned bytes)
{
	const uint8_t *at = wire_get_bytes(r, bytes);
	uint64_t v = 0;

	if (!at)
		return 0;
	for (unsigned i = 0; i < bytes; i++)
		v |= (uint64_t)at[i] << (8 * i);
	return v;
}

uint8_t wire_get_u8(struct wire_reader *r)
{
	return (uint8_t)get_little(r, 1);
}

uint32_t wire_get_u32(struct wire_reader *r)
{
	return (uint32_t)get_little(r, 4);
}

uint64_t wire_get_u64(struct wire_reader *r)
{
	return get_little(r, 8);
}

uint64_t wire_get_varint(struct wire_reader *r)
{
	uint64_t v = 0;

	if (r->bad)
		return 0;
	for (unsigned shift = 0; shift < 64 && r->at < r->end; shift += 7) {
		uint8_t byte = *r->at++;

		if (shift == 63 && byte > 1)
			break;
		v |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80)
			return v;
	}
	r->bad = true;
	return 0;
}

int64_t wire_get_signed(struct wire_reader *r)
{
	uint64_t v = wire_get_varint(r);

	return (int64_t)((v >> 1) ^ (0 - (v & 1)));
}

uint64_t wire_get_bounded(struct wire_reader *r, uint64_t max)
{
	uint64_t v = wire_get_varint(r);

	if (v <= max)
		return v;
	r->bad = true;
	return 0;
}

void wire_get_text(struct wire_reader *r, char *out, size_t room)
{
	size_t length = (size_t)wire_get_bounded(r, room - 1);
	const uint8_t *text = wire_get_bytes(r, length);

	if (!text || memchr(text, 0, length)) {
		r->bad = true;
		return;
	}
	memcpy(out, text, length);
	out[length] = 0;
}

int wire_get_inflated(struct wire_reader *r, uint8_t **out, size_t *size)
{
	uint32_t want = wire_get_u32(r);
	uLong packed = wire_reader_left(r);
	uLongf got = want;
	uint8_t *data;
	int status;

	if (r->bad || want > WIRE_MAX_INFLATED)
		return -EBADMSG;
	data = malloc(want ? want : 1);
	if (!data)
		return -ENOMEM;
	status = uncompress2(data, &got, r->at, &packed);
	if (status != Z_OK || got != want || packed != wire_reader_left(r)) {
		free(data);
		return status == Z_MEM_ERROR ? -ENOMEM : -EBADMSG;
	}
	r->at = r->end;
	*out = data;
	*size = want;
	return 0;
}

uint8_t wire_get_head(struct wire_reader *r, uint8_t kind)
{
	uint8_t version = wire_get_u8(r);

	if (wire_get_u8(r) != kind || !wire_is_version(version, kind))
		r->bad = true;
	return version;
}
