#include "tests/testbed/rpc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HEADER 1024

static int send_call(struct stream *s, const struct rpc_call *call)
{
	char text[HEADER];
	int n = snprintf(
		text, sizeof(text), "GET /%s HTTP/1.1\r\nHost: testbed\r\n\r\n", call->method);

	return stream_send(s, text, (size_t)n);
}

/* Read headers up to the empty line; keeps the content length. */
static int take_headers(struct stream *s, unsigned long *length)
{
	char line[HEADER];
	int n;

	*length = 0;
	while ((n = stream_take_line(s, line, sizeof(line))) > 0) {
		if (strncasecmp(line, "content-length:", 15))
			continue;
		*length = strtoul(line + 15, NULL, 10);
		if (*length > RPC_PAYLOAD)
			return -EBADMSG;
	}
	return n;
}

static int receive_call(struct stream *s, struct rpc_call *call)
{
	char line[HEADER];
	unsigned long length;
	struct rpc_call read = {{0}, 0};
	int n = stream_take_line(s, line, sizeof(line));

	if (n < 0)
		return n;
	if (sscanf(line, "%*15s /%63[^ ]", read.method) != 1)
		strcpy(read.method, "/");
	n = take_headers(s, &length);
	if (!n)
		n = stream_take(s, NULL, length);
	if (!n)
		*call = read;
	return n;
}

static int send_reply(struct stream *s, const struct rpc_call *call, size_t payload, bool ok)
{
	static __thread char text[HEADER + RPC_PAYLOAD];
	int n = snprintf(text, HEADER, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n",
		ok ? "200 OK" : "500 Internal Server Error", payload);

	(void)call;
	memset(text + n, 'x', payload);
	return stream_send(s, text, (size_t)n + payload);
}

static int receive_reply(struct stream *s, const struct rpc_call *call, bool *ok)
{
	char line[HEADER];
	unsigned long length;
	unsigned status;
	int n = stream_take_line(s, line, sizeof(line));

	(void)call;
	if (n < 0)
		return n;
	if (sscanf(line, "HTTP/1.1 %3u", &status) != 1)
		return -EBADMSG;
	n = take_headers(s, &length);
	if (!n)
		n = stream_take(s, NULL, length);
	if (!n)
		*ok = status < 500;
	return n;
}

const struct rpc_protocol rpc_http = {send_call, receive_call, send_reply, receive_reply};
