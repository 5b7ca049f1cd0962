/* CPUs, disks, links and pauses, as the engine uses them. */
#include "tests/sim/sim_parts.h"

#include <math.h>

#define SEGMENT 1448.0
#define RETRANSMIT_NS 200e6 /* the least timeout of Linux */
#define LINK_QUEUE_NS 400000000ULL
#define LARGE_READ (1 << 20)
#define PAGE 4096
#define THERE_MS 70 /* that CPUs run between two times they are taken, on average */

uint64_t part_after(const struct sim *s, double ns)
{
	return s->now_ns + (uint64_t)fmax(0, ns);
}

void part_touch_cpu(struct sim *s, uint32_t host)
{
	struct host_state *h = &s->host[host];

	if (h->cpu.now_ns != s->now_ns)
		cpu_advance(&h->cpu, s->now_ns);
	if (h->dirty)
		return;
	h->dirty = true;
	s->dirty[s->dirties++] = host;
}

void part_plan(struct sim *s)
{
	while (s->dirties) {
		uint32_t host = s->dirty[--s->dirties];
		struct host_state *h = &s->host[host];
		uint64_t next_ns = cpu_plan(&h->cpu);

		h->dirty = false;
		if (next_ns >= h->planned_ns)
			continue; /* the event that is there will find it, or nothing, and plan anew
				   */
		h->planned_ns = next_ns;
		events_push(&s->events, next_ns, EVENT_CPU, host);
	}
}

void part_cpu_event(struct sim *s, uint32_t host, uint64_t at_ns)
{
	struct host_state *h = &s->host[host];

	if (at_ns != h->planned_ns)
		return;
	h->planned_ns = CPU_NEVER;
	part_touch_cpu(s, host);
	for (size_t i = 0; i < h->cpu.groups; i++) {
		uint32_t id;

		while (cpu_take_done(h->cpu.group[i], &id))
			call_work_done(s, id);
	}
}

uint64_t part_read(struct sim *s, uint32_t host)
{
	struct host_state *h = &s->host[host];
	double takes_ns = s->app->host[host].read_us * 1e3 * random_exponential(&s->random);

	if (h->disk_free_ns < s->now_ns)
		h->disk_free_ns = s->now_ns;
	h->disk_free_ns += (uint64_t)takes_ns;
	h->disk_busy_ns += takes_ns;
	h->disk_bytes += PAGE;
	return h->disk_free_ns;
}

void part_reader_event(struct sim *s, uint32_t host)
{
	struct host_state *h = &s->host[host];
	double takes_ns = LARGE_READ / s->app->host[host].disk_bytes_per_us * 1e3;

	if (h->readers > h->readers_wanted) {
		h->readers--;
		return;
	}
	if (h->disk_free_ns < s->now_ns)
		h->disk_free_ns = s->now_ns;
	h->disk_free_ns += (uint64_t)takes_ns;
	h->disk_busy_ns += takes_ns;
	h->disk_bytes += LARGE_READ;
	events_push(&s->events, h->disk_free_ns, EVENT_READER, host);
}

void part_reading(struct sim *s, uint32_t service, int threads)
{
	struct service_state *t = &s->service[service];
	double passed_ns = (double)(s->now_ns - t->reading_since_ns);

	t->sum.read_wait_ns += t->reading * passed_ns;
	if (t->reading)
		t->sum.read_stall_ns += passed_ns;
	t->reading = (unsigned)((int)t->reading + threads);
	t->reading_since_ns = s->now_ns;
}

static void plan_pause(struct sim *s, uint32_t service, double in_s)
{
	struct service_state *t = &s->service[service];

	t->pause_due_ns = part_after(s, in_s * SECOND_NS);
	events_push(&s->events, t->pause_due_ns, EVENT_PAUSE, service);
}

void part_pause_event(struct sim *s, uint32_t service, uint64_t at_ns)
{
	struct service_state *t = &s->service[service];

	if (at_ns != t->pause_due_ns)
		return;
	part_touch_cpu(s, s->app->service[service].host);
	t->cpu.paused = !t->cpu.paused && t->pause_every_s > 0;
	t->pause_due_ns = UINT64_MAX;
	if (t->cpu.paused)
		plan_pause(s, service, t->pause_ms / 1e3 * (0.5 + random_unit(&s->random)));
	else if (t->pause_every_s > 0)
		plan_pause(s, service, t->pause_every_s * random_exponential(&s->random));
}

void sim_set_pauses(struct sim *s, uint32_t service, double every_s, double pause_ms)
{
	struct service_state *t = &s->service[service];

	t->pause_every_s = every_s;
	t->pause_ms = pause_ms;
	if (!t->cpu.paused && every_s > 0)
		plan_pause(s, service, every_s * random_exponential(&s->random));
}

static void plan_steal(struct sim *s, uint32_t host, double in_ms)
{
	struct host_state *h = &s->host[host];

	h->steal_due_ns = part_after(s, in_ms / 1e3 * SECOND_NS);
	events_push(&s->events, h->steal_due_ns, EVENT_STEAL, host);
}

void part_steal_event(struct sim *s, uint32_t host, uint64_t at_ns)
{
	struct host_state *h = &s->host[host];

	if (at_ns != h->steal_due_ns)
		return;
	part_touch_cpu(s, host);
	h->cpu.stolen = !h->cpu.stolen && h->away_ms > 0;
	if (h->cpu.stolen)
		plan_steal(s, host, h->away_ms * (0.5 + random_unit(&s->random)));
	else if (h->away_ms > 0)
		plan_steal(s, host, THERE_MS * random_exponential(&s->random));
}

void sim_set_steal(struct sim *s, uint32_t host, double away_ms)
{
	s->host[host].away_ms = away_ms;
	if (!s->host[host].cpu.stolen)
		plan_steal(s, host, THERE_MS * random_exponential(&s->random));
}

/*
 * Bytes leave one after the other; returns when the last has. A queue that is full drops what
 * comes, which is sent again later and finds room.
 */
static uint64_t pass(
	uint64_t *free_ns, uint64_t at_ns, double bytes, double mbit, struct edge_counters *e)
{
	if (*free_ns < at_ns)
		*free_ns = at_ns;
	if (*free_ns - at_ns > LINK_QUEUE_NS) {
		e->retransmits++;
		return *free_ns + (uint64_t)RETRANSMIT_NS;
	}
	*free_ns += (uint64_t)(bytes * 8e3 / mbit);
	return *free_ns;
}

/*
 * A segment that is lost is sent again: the last one of a message after the timeout, as nothing
 * after it tells the sender; another after a round trip.
 */
static double resend_ns(
	struct sim *s, double loss, unsigned segments, double way_ns, uint64_t *again)
{
	double ns = 0;

	for (unsigned i = 0; i < segments; i++) {
		double timeout_ns = i + 1 < segments ? 2 * way_ns : RETRANSMIT_NS;

		while (random_unit(&s->random) < loss) {
			ns += timeout_ns;
			timeout_ns = fmax(2 * timeout_ns, RETRANSMIT_NS);
			++*again;
		}
	}
	return ns;
}

uint64_t part_send(struct sim *s, uint32_t from, uint32_t to, double bytes, struct edge_counters *e)
{
	const struct app *a = s->app;
	unsigned segments = (unsigned)ceil(bytes / SEGMENT);
	double way_ns = a->way_us * 1e3 * (0.8 + 0.4 * random_unit(&s->random));
	uint64_t at_ns = s->now_ns;

	if (from != APP_USER && to != APP_USER && a->service[from].host == a->service[to].host)
		way_ns /= 4;
	if (from != APP_USER) {
		struct link_state *l = &s->service[from].link;

		at_ns = pass(&l->out_free_ns, at_ns, bytes, l->mbit, e);
		s->service[from].sum.sent_bytes += (uint64_t)bytes;
	}
	at_ns += (uint64_t)way_ns;
	if (to != APP_USER) {
		struct link_state *l = &s->service[to].link;

		/*
		 * Only where the link is short is there a queue, in the order of sending. What its
		 * sender's link holds back must not stand before what overtakes it on the way.
		 */
		if (l->mbit < a->link_mbit)
			at_ns = pass(&l->in_free_ns, at_ns, bytes, l->mbit, e);
		else
			at_ns += (uint64_t)(bytes * 8e3 / l->mbit);
		s->service[to].sum.received_bytes += (uint64_t)bytes;
	}
	e->round_trip_ns += (double)(at_ns - s->now_ns);
	e->segments += segments;
	if (to != APP_USER && s->service[to].link.loss > 0)
		at_ns += (uint64_t)resend_ns(
			s, s->service[to].link.loss, segments, way_ns, &e->retransmits);
	return at_ns;
}
