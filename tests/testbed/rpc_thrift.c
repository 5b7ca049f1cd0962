#include "tests/testbed/rpc.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

/* From the Thrift binary protocol specification. */
#define VERSION_1 0x80010000u
#define TYPE_STOP 0
#define TYPE_STRING 11
#define TYPE_I32 8
#define CALL 1
#define REPLY 2
#define EXCEPTION 3

#define REQUEST_BYTES 64
#define MESSAGE (RPC_PAYLOAD + 256)

struct writer {
	char *at;
};

static void put_u32(struct writer *w, uint32_t v)
{
	v = htonl(v);
	memcpy(w->at, &v, 4);
	w->at += 4;
}

static void put_field(struct writer *w, unsigned char type, unsigned id)
{
	*w->at++ = (char)type;
	*w->at++ = (char)(id >> 8);
	*w->at++ = (char)id;
}

static void put_filler(struct writer *w, size_t size)
{
	put_u32(w, (uint32_t)size);
	memset(w->at, 'x', size);
	w->at += size;
}

/* A message: frame length, header, one string field, end of struct. */
static int send_message(struct stream *s, uint32_t type, const struct rpc_call *call,
	unsigned field, size_t payload)
{
	static __thread char text[MESSAGE];
	size_t name = strlen(call->method);
	struct writer w = {text + 4};
	uint32_t length;

	put_u32(&w, VERSION_1 | type);
	put_u32(&w, (uint32_t)name);
	memcpy(w.at, call->method, name);
	w.at += name;
	put_u32(&w, (uint32_t)call->sequence);
	put_field(&w, TYPE_STRING, field);
	put_filler(&w, payload);
	if (type == EXCEPTION) {
		put_field(&w, TYPE_I32, 2);
		put_u32(&w, 6); /* TApplicationException.INTERNAL_ERROR */
	}
	*w.at++ = TYPE_STOP;
	length = htonl((uint32_t)(w.at - text - 4));
	memcpy(text, &length, 4);
	return stream_send(s, text, (size_t)(w.at - text));
}

static int take_u32(struct stream *s, uint32_t *v)
{
	uint32_t read;
	int err = stream_take(s, &read, 4);

	if (!err)
		*v = ntohl(read);
	return err;
}

/* Read the header of a message and drop its struct, which the frame length bounds. */
static int receive_message(struct stream *s, uint32_t *type, struct rpc_call *call)
{
	uint32_t length, version, name, sequence;
	struct rpc_call read = {{0}, 0};
	int err = take_u32(s, &length);

	if (err)
		return err;
	if (length < 12 || length > MESSAGE)
		return -EBADMSG;
	err = take_u32(s, &version);
	if (!err)
		err = take_u32(s, &name);
	if (err)
		return err;
	if ((version & 0xffff0000u) != VERSION_1 || name >= RPC_METHOD || length < 12 + name)
		return -EBADMSG;
	err = stream_take(s, read.method, name);
	if (!err)
		err = take_u32(s, &sequence);
	if (!err)
		err = stream_take(s, NULL, length - 12 - name);
	if (err)
		return err;
	read.sequence = (int32_t)sequence;
	*type = version & 0xff;
	*call = read;
	return 0;
}

static int send_call(struct stream *s, const struct rpc_call *call)
{
	return send_message(s, CALL, call, 1, REQUEST_BYTES);
}

static int receive_call(struct stream *s, struct rpc_call *call)
{
	uint32_t type;
	int err = receive_message(s, &type, call);

	return err ? err : type == CALL ? 0 : -EBADMSG;
}

static int send_reply(struct stream *s, const struct rpc_call *call, size_t payload, bool ok)
{
	if (!ok)
		return send_message(s, EXCEPTION, call, 1, 16);
	return send_message(s, REPLY, call, 0, payload);
}

static int receive_reply(struct stream *s, const struct rpc_call *call, bool *ok)
{
	struct rpc_call answer;
	uint32_t type;
	int err = receive_message(s, &type, &answer);

	if (err)
		return err;
	if ((type != REPLY && type != EXCEPTION) || answer.sequence != call->sequence)
		return -EBADMSG;
	*ok = type == REPLY;
	return 0;
}

const struct rpc_protocol rpc_thrift = {send_call, receive_call, send_reply, receive_reply};
