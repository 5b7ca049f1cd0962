#include "tests/sim/sim_parts.h"

#include <math.h>
#include <stdlib.h>

static void *allocate(size_t count, size_t size)
{
	void *p = calloc(count ? count : 1, size);

	if (!p)
		abort();
	return p;
}

static void open_hosts(struct sim *s)
{
	const struct app *a = s->app;

	s->host = allocate(a->hosts, sizeof(*s->host));
	s->dirty = allocate(a->hosts, sizeof(*s->dirty));
	for (uint32_t i = 0; i < a->hosts; i++) {
		cpu_init(&s->host[i].cpu, a->host[i].cores);
		s->host[i].cpu.now_ns = s->now_ns;
		s->host[i].planned_ns = CPU_NEVER;
	}
}

static void open_services(struct sim *s)
{
	const struct app *a = s->app;

	s->service = allocate(a->services, sizeof(*s->service));
	for (uint32_t i = 0; i < a->services; i++) {
		const struct app_service *from = &a->service[i];
		struct service_state *t = &s->service[i];

		cpu_group_init(&t->cpu, from->quota);
		/* Periods of different containers do not begin together. */
		t->cpu.period_ns = s->now_ns - random_below(&s->random, 100000000);
		cpu_join(&s->host[from->host].cpu, &t->cpu);
		t->link.mbit = a->link_mbit;
		t->memory_mb = from->memory_mb;
		t->reading_since_ns = s->now_ns;
		t->pause_due_ns = UINT64_MAX;
		sim_set_pauses(s, i, from->pause_every_s, from->pause_ms);
	}
}

struct sim *sim_new(const struct app *a, uint64_t seed)
{
	struct sim *s = allocate(1, sizeof(*s));

	*s = (struct sim){.app = a, .now_ns = SIM_START_NS, .users_ns = SIM_START_NS};
	s->surge = 1;
	s->retrying = true;
	s->free = SIM_NONE;
	random_init(&s->random, seed);
	for (int i = 0; i < 8; i++)
		random_next(&s->random); /* neighbouring seeds begin alike */
	open_hosts(s);
	open_services(s);
	s->edge = allocate(a->edges, sizeof(*s->edge));
	for (uint32_t i = 0; i < a->edges; i++)
		s->edge[i].pool = a->edge[i].pool;
	arrivals_init(&s->arrivals, &a->load, s->now_ns, random_next(&s->random));
	arrivals_take(&s->arrivals);
	events_push(&s->events, s->arrivals.next_ns, EVENT_USER, 0);
	if (a->burst > 0)
		events_push(&s->events, s->now_ns, EVENT_BURST, 0);
	return s;
}

void sim_free(struct sim *s)
{
	if (!s)
		return;
	for (uint32_t i = 0; i < s->app->services; i++)
		cpu_group_clear(&s->service[i].cpu);
	for (uint32_t i = 0; i < s->app->hosts; i++)
		cpu_clear(&s->host[i].cpu);
	events_clear(&s->events);
	free(s->service);
	free(s->edge);
	free(s->host);
	free(s->call);
	free(s->dirty);
	free(s->deadline);
	free(s);
}

static void user_event(struct sim *s)
{
	if (s->stopped)
		return;
	call_by_user(s);
	arrivals_take(&s->arrivals);
	events_push(&s->events, s->arrivals.next_ns, EVENT_USER, 0);
}

static void set_factor(struct sim *s)
{
	s->arrivals.factor = s->surge * (s->bursting ? s->app->burst : 1);
}

/* A Poisson process whose rate jumps between two values (MMPP). */
static void burst_event(struct sim *s)
{
	double mean_s;

	/* The first event is at the start: the load begins without one. */
	s->bursting = s->now_ns > SIM_START_NS && !s->bursting;
	mean_s = s->bursting ? s->app->burst_s : s->app->burst_every_s;
	set_factor(s);
	events_push(&s->events, part_after(s, mean_s * SECOND_NS * random_exponential(&s->random)),
		EVENT_BURST, 0);
}

static void happen(struct sim *s, const struct event *e)
{
	s->steps++;
	switch (e->kind) {
	case EVENT_USER:
		user_event(s);
		break;
	case EVENT_ARRIVE:
		call_arrive(s, e->what);
		break;
	case EVENT_ANSWER:
		call_answer(s, e->what);
		break;
	case EVENT_GO_ON:
		call_go_on(s, e->what);
		break;
	case EVENT_CPU:
		part_cpu_event(s, e->what, e->at_ns);
		break;
	case EVENT_READER:
		part_reader_event(s, e->what);
		break;
	case EVENT_PAUSE:
		part_pause_event(s, e->what, e->at_ns);
		break;
	case EVENT_STEAL:
		part_steal_event(s, e->what, e->at_ns);
		break;
	case EVENT_BURST:
		burst_event(s);
		break;
	}
}

static void settle_counters(struct sim *s)
{
	for (uint32_t i = 0; i < s->app->hosts; i++)
		part_touch_cpu(s, i);
	for (uint32_t i = 0; i < s->app->services; i++)
		part_reading(s, i, 0);
	part_plan(s);
}

void sim_run(struct sim *s, uint64_t until_ns)
{
	for (;;) {
		uint64_t next_ns = events_next_ns(&s->events);
		uint64_t late_ns = s->deadlines ? s->deadline[s->deadline_first].at_ns : UINT64_MAX;

		if ((next_ns < late_ns ? next_ns : late_ns) >= until_ns)
			break;
		if (late_ns <= next_ns) {
			s->now_ns = late_ns;
			call_give_up(s);
		} else {
			struct event e = events_pop(&s->events);

			s->now_ns = e.at_ns;
			happen(s, &e);
		}
		part_plan(s);
	}
	s->now_ns = until_ns;
	settle_counters(s);
}

void sim_set_quota(struct sim *s, uint32_t service, double cores)
{
	part_touch_cpu(s, s->app->service[service].host);
	cpu_set_quota(&s->service[service].cpu, cores);
	part_plan(s);
}

void sim_set_neighbours(struct sim *s, uint32_t service, unsigned threads, double weight)
{
	part_touch_cpu(s, s->app->service[service].host);
	s->service[service].cpu.neighbours = threads;
	s->service[service].cpu.weight = weight;
	part_plan(s);
}

static uint64_t drained_ns(uint64_t free_ns, uint64_t now_ns, double faster)
{
	return free_ns > now_ns ? now_ns + (uint64_t)((double)(free_ns - now_ns) / faster)
				: free_ns;
}

/* What waits goes at the new rate too. */
void sim_set_link(struct sim *s, uint32_t service, double mbit, double loss)
{
	struct link_state *l = &s->service[service].link;

	l->in_free_ns = drained_ns(l->in_free_ns, s->now_ns, mbit / l->mbit);
	l->out_free_ns = drained_ns(l->out_free_ns, s->now_ns, mbit / l->mbit);
	l->mbit = mbit;
	l->loss = loss;
}

void sim_set_readers(struct sim *s, uint32_t host, unsigned readers)
{
	struct host_state *h = &s->host[host];

	h->readers_wanted = readers;
	for (; h->readers < readers; h->readers++)
		events_push(&s->events, s->now_ns, EVENT_READER, host);
}

void sim_set_pool(struct sim *s, uint32_t edge, unsigned connections)
{
	s->edge[edge].pool = connections;
	call_freed_connection(s, edge);
}

void sim_set_surge(struct sim *s, double factor)
{
	s->surge = factor;
	set_factor(s);
}

void sim_set_retries(struct sim *s, bool on)
{
	s->retrying = on;
}
