/* Who speaks, and the answer when that is not believed. */
#include "common/wire.h"

#include <errno.h>
#include <string.h>

#include "common/wire_codec.h"

void wire_put_agent(struct wire_writer *w, const struct wire_agent *a)
{
	wire_put_text(w, a->name, sizeof(a->name));
	wire_put_bytes(w, a->boot_id, sizeof(a->boot_id));
}

void wire_get_agent(struct wire_reader *r, struct wire_agent *a)
{
	const uint8_t *boot_id;

	memset(a, 0, sizeof(*a));
	wire_get_text(r, a->name, sizeof(a->name));
	boot_id = wire_get_bytes(r, sizeof(a->boot_id));
	if (boot_id)
		memcpy(a->boot_id, boot_id, sizeof(a->boot_id));
}

int wire_sender(const void *message, size_t size, struct wire_agent *out)
{
	int kind = wire_kind(message, size);
	struct wire_agent agent;
	struct wire_reader r;

	if (kind != WIRE_BATCH && kind != WIRE_POLL)
		return -EBADMSG;
	wire_reader_init(&r, message, size);
	wire_get_head(&r, (uint8_t)kind);
	wire_get_agent(&r, &agent);
	if (r.bad)
		return -EBADMSG;
	*out = agent;
	return 0;
}

int wire_encode_refusal(const char *why, void **out, size_t *size)
{
	struct wire_writer w = {0};

	wire_put_head(&w, WIRE_REFUSAL);
	wire_put_text(&w, why, WIRE_NAME);
	return wire_writer_take(&w, out, size);
}

int wire_decode_refusal(const void *message, size_t size, char why[WIRE_NAME])
{
	char text[WIRE_NAME];
	struct wire_reader r;

	wire_reader_init(&r, message, size);
	wire_get_head(&r, WIRE_REFUSAL);
	wire_get_text(&r, text, sizeof(text));
	if (r.bad || wire_reader_left(&r))
		return -EBADMSG;
	strcpy(why, text);
	return 0;
}
