#include "wire_unfold.h"

#include <stdlib.h>
#include <string.h>

static void unfold_hist(
	struct hist *h, const struct wire_spread *s, const struct wire_bucket *bucket)
{
	h->total = s->total;
	h->sum_ns = s->sum_ns;
	for (uint32_t i = 0; i < s->buckets; i++)
		h->count[bucket[s->first + i].number] = bucket[s->first + i].count;
}

static void unfold_edge(
	struct wire_edge *e, const struct wire_flow *f, const struct wire_bucket *bucket)
{
	e->container = f->container;
	e->peer_container = f->peer_container;
	e->side = f->side;
	e->protocol = f->protocol;
	e->port = f->port;
	memcpy(e->local_addr, f->local_addr, sizeof(e->local_addr));
	memcpy(e->peer_addr, f->peer_addr, sizeof(e->peer_addr));
	e->errors = f->errors;
	e->unanswered = f->unanswered;
	e->bytes_sent = f->bytes_sent;
	e->bytes_received = f->bytes_received;
	e->retransmits = f->retransmits;
	e->segments_sent = f->segments_sent;
	e->resets_sent = f->resets_sent;
	e->resets_received = f->resets_received;
	e->client_port = f->client_port;
	e->rtt_us = f->rtt_us;
	e->connect_us = f->connect_us;
	unfold_hist(&e->latency, &f->latency, bucket);
	unfold_hist(&e->self, &f->self, bucket);
}

static void unfold_operation(struct wire_operation *o, const struct wire_operation_flow *f,
	const struct wire_bucket *bucket)
{
	o->edge = f->edge;
	memcpy(o->name, f->name, sizeof(o->name));
	o->errors = f->errors;
	unfold_hist(&o->latency, &f->latency, bucket);
}

static void unfold_window(struct wire_window *w)
{
	w->edge = calloc(w->edges ? w->edges : 1, sizeof(*w->edge));
	if (!w->edge)
		abort();
	for (uint32_t i = 0; i < w->edges; i++)
		unfold_edge(&w->edge[i], &w->flow[i], w->bucket);
	w->operation = calloc(w->operations ? w->operations : 1, sizeof(*w->operation));
	if (!w->operation)
		abort();
	for (uint32_t i = 0; i < w->operations; i++)
		unfold_operation(&w->operation[i], &w->operation_flow[i], w->bucket);
	free(w->flow);
	free(w->operation_flow);
	free(w->bucket);
	w->flow = NULL;
	w->operation_flow = NULL;
	w->bucket = NULL;
	w->buckets = 0;
}

void wire_unfold(struct wire_batch *b)
{
	for (uint32_t i = 0; i < b->windows; i++)
		unfold_window(&b->window[i]);
}
