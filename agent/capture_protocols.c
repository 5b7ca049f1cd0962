#include "agent/capture_protocols.h"

#include <stdio.h>

#include "common/wire.h"

struct protocol {
	const char *paired; /* how requests meet their responses */
	const char *errors; /* which responses count as failed; NULL = none can be told */
	const char *blind;
};

static const struct protocol protocols[WIRE_PROTOCOLS] = {
	[WIRE_TCP] = {"any other: by the direction of the bytes", NULL,
		"pipelined requests count as one call; so do messages that get no answer"},
	[WIRE_HTTP1] = {"in turn; 100 and 103 are not the answer", "5xx",
		"pipelined requests count as one call; after 101 and CONNECT nothing is a call"},
	[WIRE_THRIFT] = {"in turn; binary and compact, framed or not; one-way calls are none",
		"exceptions no interface declares", "pipelined requests; THeader; JSON"},
	[WIRE_REDIS] = {"in turn; RESP2 and RESP3", "error replies",
		"a pipeline counts as one call; subscribers and replicas have no calls"},
	[WIRE_MEMCACHED] = {"in turn; text, meta, binary",
		"ERROR, CLIENT_ERROR, SERVER_ERROR, "
		"binary status from 0x81",
		"noreply and quiet requests count into the next call"},
	[WIRE_POSTGRESQL] = {"in turn; COPY to the server is one call",
		"those that an answer begins with",
		"a pipeline counts as one call; errors after the first message of an answer"},
	[WIRE_MYSQL] = {"in turn; commands that get no answer are none", "ERR packets",
		"errors after the first packet of an answer; compressed: errors"},
	[WIRE_MONGODB] = {"in turn; unacknowledged writes and a driver's monitor are none",
		"{ok: 0} where it comes first, as servers put it",
		"write errors inside an answer that is ok; compressed: errors"},
	[WIRE_KAFKA] = {"in turn; Fetch and the group's calls wait by design and are none, nor is "
			"Produce with acks=0",
		NULL, "several requests in flight count as one call; errors"},
	[WIRE_AMQP] = {"0-9-1, in turn, until the connection publishes or consumes",
		"channel or connection closed by the server",
		"publications and deliveries are no calls"},
	[WIRE_TLS] = {"in turn, by records of application data", NULL,
		"what is inside, without --tls or where that cannot look"},
	[WIRE_DNS] = {"over UDP by addresses and id, over TCP in turn; no answer within 5 s, or "
		      "asked again: unanswered",
		"all but NOERROR and NXDOMAIN", "pipelined queries over TCP count as one call"},
	[WIRE_NATS] = {"recognised, not paired", NULL, "request and reply are publications"},
};

void capture_protocols(
	void (*line)(void *ctx, const char *feature, const char *how, const char *blind), void *ctx)
{
	for (unsigned i = 0; i < WIRE_PROTOCOLS; i++) {
		const struct protocol *p = &protocols[i];
		char feature[32], how[200];

		snprintf(feature, sizeof(feature), "rpc %s", wire_protocol_name(i));
		snprintf(how, sizeof(how), "%s; errors: %s", p->paired,
			p->errors ? p->errors : "not told");
		line(ctx, feature, how, p->blind);
	}
}
