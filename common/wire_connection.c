/* What the connections of a window's edges tell: what BATCH has had since its third version. */
#include <errno.h>

#include "common/wire_column.h"
#include "common/wire_window.h"

/* Most edges of most windows have none of it, so those that have are named by number. */
static bool tells(const struct wire_edge *e)
{
	return e->resets_sent || e->resets_received || e->client_port;
}

uint32_t wire_connections_count(const struct wire_window *w)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < w->edges; i++)
		n += tells(&w->edge[i]);
	return n;
}

void wire_put_connections(struct wire_writer *out, const struct wire_window *w)
{
	uint32_t last = 0;

	wire_put_varint(out, wire_connections_count(w));
	for (uint32_t i = 0; i < w->edges; i++) {
		const struct wire_edge *e = &w->edge[i];

		if (!tells(e))
			continue;
		wire_put_varint(out, i - last);
		wire_put_varint(out, e->resets_sent);
		wire_put_varint(out, e->resets_received);
		wire_put_varint(out, e->client_port);
		last = i;
	}
}

int wire_get_connections(struct wire_reader *r, struct wire_window *w)
{
	uint32_t n = (uint32_t)wire_get_bounded(r, WIRE_MAX_EDGES), at = 0;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t by = (uint32_t)wire_get_bounded(r, WIRE_MAX_EDGES);
		struct wire_flow *e;

		at += by;
		if (r->bad || at >= w->edges || (i && !by))
			return -EBADMSG;
		e = &w->flow[at];
		e->resets_sent = (uint32_t)wire_get_bounded(r, UINT32_MAX);
		e->resets_received = (uint32_t)wire_get_bounded(r, UINT32_MAX);
		e->client_port = (uint16_t)wire_get_bounded(r, UINT16_MAX);
	}
	return r->bad ? -EBADMSG : 0;
}
