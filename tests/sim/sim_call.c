/* The life of a call. Every function is at s->now_ns. */
#include "tests/sim/sim_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct app_call *made_by(const struct sim *s, uint32_t id)
{
	return &s->app->call[s->call[id].made_by];
}

static const struct app_operation *operation_of(const struct sim *s, uint32_t id)
{
	return &s->app->operation[made_by(s, id)->callee];
}

static uint32_t service_of(const struct sim *s, uint32_t id)
{
	return operation_of(s, id)->service;
}

static uint32_t caller_of(const struct sim *s, uint32_t id)
{
	return s->app->edge[made_by(s, id)->edge].caller;
}

static void queue_push(struct sim *s, struct queue *q, uint32_t id)
{
	s->call[id].next = SIM_NONE;
	if (q->length++)
		s->call[q->last].next = id;
	else
		q->first = id;
	q->last = id;
}

static uint32_t queue_pop(struct sim *s, struct queue *q)
{
	uint32_t id = q->first;

	q->first = s->call[id].next;
	q->length--;
	return id;
}

static uint32_t new_call(struct sim *s, uint32_t parent, uint32_t by)
{
	uint32_t id = s->free;
	uint32_t generation;

	if (id == SIM_NONE) {
		if (s->calls == s->capacity) {
			s->capacity = s->capacity ? 2 * s->capacity : 64;
			s->call = realloc(s->call, s->capacity * sizeof(*s->call));
			if (!s->call)
				abort();
		}
		id = s->calls++;
		s->call[id].generation = 0;
	} else {
		s->free = s->call[id].next;
	}
	generation = s->call[id].generation;
	s->call[id] = (struct call){
		.parent = parent, .made_by = by, .generation = generation, .born_ns = s->now_ns};
	return id;
}

static void free_call(struct sim *s, uint32_t id)
{
	s->call[id].generation++;
	s->call[id].next = s->free;
	s->free = id;
}

static void expect(struct sim *s, uint32_t id)
{
	size_t at;

	if (s->app->timeout_ms <= 0)
		return;
	if (s->deadlines == s->deadline_capacity) {
		size_t capacity = s->deadline_capacity ? 2 * s->deadline_capacity : 4096;
		struct deadline *more = calloc(capacity, sizeof(*more));

		if (!more)
			abort();
		for (size_t i = 0; i < s->deadlines; i++)
			more[i] = s->deadline[(s->deadline_first + i) % s->deadline_capacity];
		free(s->deadline);
		s->deadline = more;
		s->deadline_first = 0;
		s->deadline_capacity = capacity;
	}
	at = (s->deadline_first + s->deadlines++) % s->deadline_capacity;
	s->deadline[at] = (struct deadline){
		part_after(s, s->app->timeout_ms * 1e6), id, s->call[id].generation};
}

/* It has its connection. */
static void send_call(struct sim *s, uint32_t id)
{
	const struct app_call *by = made_by(s, id);
	struct call *c = &s->call[id];
	struct edge_state *e = &s->edge[by->edge];
	double bytes = operation_of(s, id)->request_bytes;
	uint64_t at_ns;

	c->stage = STAGE_WAY;
	c->sent_ns = s->now_ns;
	if (!by->queued) {
		expect(s, id);
		if (c->parent != SIM_NONE && !s->call[c->parent].outstanding++)
			s->call[c->parent].since_ns = s->now_ns;
	}
	e->sum.calls++;
	e->sum.sent_bytes += (uint64_t)bytes;
	at_ns = part_send(s, caller_of(s, id), service_of(s, id), bytes, &e->sum);
	events_push(&s->events, at_ns, EVENT_ARRIVE, id);
}

static void connect_call(struct sim *s, uint32_t id)
{
	const struct app_call *by = made_by(s, id);
	struct edge_state *e = &s->edge[by->edge];

	if (!by->queued) {
		if (e->busy >= e->pool) {
			queue_push(s, &e->queue, id);
			return;
		}
		e->busy++;
	}
	send_call(s, id);
}

void call_freed_connection(struct sim *s, uint32_t edge)
{
	struct edge_state *e = &s->edge[edge];

	while (e->queue.length && e->busy < e->pool) {
		e->busy++;
		send_call(s, queue_pop(s, &e->queue));
	}
}

static void count_users(struct sim *s, int change)
{
	s->users_area_ns += s->users * (double)(s->now_ns - s->users_ns);
	s->users_ns = s->now_ns;
	s->users = (uint32_t)((int)s->users + change);
}

void call_by_user(struct sim *s)
{
	uint32_t id = new_call(s, SIM_NONE, s->app->calls - 1);

	s->arrived++;
	count_users(s, 1);
	connect_call(s, id);
}

static void user_left(struct sim *s, uint32_t id, bool ok)
{
	uint64_t took_ns = s->now_ns - s->call[id].born_ns;

	count_users(s, -1);
	s->users_sum_ns += (double)took_ns;
	s->answered += ok;
	s->failed += !ok;
	hist_add(&s->user, took_ns);
}

static void go_through_calls(struct sim *s, uint32_t id);

/* A child of `id` is answered, or given up for good. */
static void settle(struct sim *s, uint32_t id, bool ok)
{
	struct call *c = &s->call[id];

	c->failed |= !ok;
	if (!--c->pending)
		go_through_calls(s, id);
}

static void no_longer_outstanding(struct sim *s, uint32_t parent)
{
	struct call *p = &s->call[parent];

	if (!--p->outstanding)
		p->waited_ns += s->now_ns - p->since_ns;
}

/* The attempt is over for its caller; the connection is free. */
static void conclude(struct sim *s, uint32_t id, bool ok)
{
	struct call *c = &s->call[id];
	uint32_t edge = made_by(s, id)->edge, parent = c->parent;
	bool again = !ok && s->retrying && c->attempt < s->app->edge[edge].retries;

	s->edge[edge].busy--;
	s->edge[edge].sum.errors += !ok;
	if (parent != SIM_NONE)
		no_longer_outstanding(s, parent);
	if (again) {
		uint8_t attempt = (uint8_t)(c->attempt + 1);
		double wait_ns = s->app->backoff_ms * 1e6 * (0.5 + random_unit(&s->random));
		uint32_t next = new_call(s, parent, s->call[id].made_by);

		s->call[next].attempt = attempt;
		s->call[next].born_ns = s->call[id].born_ns;
		s->call[next].stage = STAGE_CONNECT;
		events_push(&s->events, part_after(s, wait_ns), EVENT_GO_ON, next);
	} else if (parent != SIM_NONE) {
		settle(s, parent, ok);
	} else {
		user_left(s, id, ok);
	}
	call_freed_connection(s, edge);
}

void call_answer(struct sim *s, uint32_t id)
{
	struct call *c = &s->call[id];
	struct edge_state *e = &s->edge[made_by(s, id)->edge];

	if (!c->abandoned) {
		hist_add(&e->client, s->now_ns - c->sent_ns);
		e->sum.received_bytes += (uint64_t)operation_of(s, id)->reply_bytes;
		conclude(s, id, !c->failed);
	}
	free_call(s, id);
}

void call_give_up(struct sim *s)
{
	struct deadline d = s->deadline[s->deadline_first];

	s->deadline_first = (s->deadline_first + 1) % s->deadline_capacity;
	s->deadlines--;
	if (s->call[d.call].generation != d.generation)
		return;
	s->call[d.call].abandoned = true;
	conclude(s, d.call, false);
	s->call[d.call].parent = SIM_NONE;
}

static double draw(struct sim *s, const struct app_operation *o)
{
	switch (o->spread) {
	case SPREAD_FIXED:
		return o->cpu_us;
	case SPREAD_EXPONENTIAL:
		return o->cpu_us * random_exponential(&s->random);
	case SPREAD_LOGNORMAL:
		return o->cpu_us * exp(0.5 * random_normal(&s->random) - 0.125);
	default:
		return o->cpu_us * (0.7 + 0.6 * random_unit(&s->random));
	}
}

static void work(struct sim *s, uint32_t id, double us)
{
	uint32_t service = service_of(s, id);

	part_touch_cpu(s, s->app->service[service].host);
	cpu_start(&s->service[service].cpu, id, us * 1e3);
}

static void begin(struct sim *s, uint32_t id)
{
	const struct app_operation *o = operation_of(s, id);

	s->service[o->service].busy++;
	s->call[id].stage = STAGE_WORK;
	work(s, id, draw(s, o) * (1 - o->later));
}

static void send_back(struct sim *s, uint32_t id)
{
	struct call *c = &s->call[id];
	const struct app_operation *o = operation_of(s, id);
	struct edge_state *e = &s->edge[made_by(s, id)->edge];
	struct service_state *t = &s->service[o->service];
	uint64_t took_ns = s->now_ns - c->arrived_ns;

	hist_add(&t->server, took_ns);
	hist_add(&t->self, took_ns - c->waited_ns);
	hist_add(&e->server, took_ns);
	t->sum.errors += c->failed;
	c->stage = STAGE_BACK;
	if (made_by(s, id)->queued) {
		free_call(s, id);
		return;
	}
	e->sum.round_trips++;
	events_push(&s->events, part_send(s, o->service, caller_of(s, id), o->reply_bytes, &e->sum),
		EVENT_ANSWER, id);
}

/* Answer; the thread takes the next request that waits. */
static void finish(struct sim *s, uint32_t id)
{
	struct service_state *t = &s->service[service_of(s, id)];

	send_back(s, id);
	t->busy--;
	if (t->queue.length)
		begin(s, queue_pop(s, &t->queue));
}

void call_arrive(struct sim *s, uint32_t id)
{
	struct call *c = &s->call[id];
	uint32_t service = service_of(s, id);
	const struct app_service *a = &s->app->service[service];
	struct service_state *t = &s->service[service];

	c->arrived_ns = s->now_ns;
	t->sum.requests++;
	if (t->busy < a->workers) {
		begin(s, id);
	} else if (t->queue.length < a->backlog) {
		queue_push(s, &t->queue, id);
	} else {
		c->failed = true;
		send_back(s, id);
	}
}

/* Of the working set's pages so many as the limit leaves no room for come from the disk. */
static uint32_t reads_of(struct sim *s, uint32_t id)
{
	const struct app_operation *o = operation_of(s, id);
	const struct app_service *a = &s->app->service[o->service];
	struct service_state *t = &s->service[o->service];
	double room_mb = fmax(0, t->memory_mb - a->used_mb), faults = 0;

	if (a->work_mb > 0 && room_mb < a->work_mb)
		faults = floor(o->pages * (1 - room_mb / a->work_mb) + random_unit(&s->random));
	t->sum.faults += (uint64_t)faults;
	t->sum.reads += (uint64_t)(o->reads + faults);
	return (uint32_t)(o->reads + faults);
}

static void take_lock(struct sim *s, uint32_t id)
{
	struct service_state *t = &s->service[service_of(s, id)];

	s->call[id].stage = STAGE_LOCK;
	if (t->slow_share <= 0 || random_unit(&s->random) >= t->slow_share) {
		go_through_calls(s, id);
		return;
	}
	if (t->lock_free_ns < s->now_ns)
		t->lock_free_ns = s->now_ns;
	t->lock_free_ns += (uint64_t)(t->slow_ms * 1e6);
	events_push(&s->events, t->lock_free_ns, EVENT_GO_ON, id);
}

static void read_next(struct sim *s, uint32_t id)
{
	struct call *c = &s->call[id];
	uint32_t service = service_of(s, id);

	c->stage = STAGE_READ;
	if (!c->reads_left) {
		take_lock(s, id);
		return;
	}
	c->reads_left--;
	part_reading(s, service, 1);
	events_push(&s->events, part_read(s, s->app->service[service].host), EVENT_GO_ON, id);
}

void call_work_done(struct sim *s, uint32_t id)
{
	struct call *c = &s->call[id];
	const struct service_state *t = &s->service[service_of(s, id)];

	if (c->stage == STAGE_LATER) {
		finish(s, id);
		return;
	}
	if (t->error_share > 0 && random_unit(&s->random) < t->error_share) {
		c->failed = true;
		finish(s, id);
		return;
	}
	c->reads_left = reads_of(s, id);
	c->at = operation_of(s, id)->first;
	read_next(s, id);
}

void call_go_on(struct sim *s, uint32_t id)
{
	switch (s->call[id].stage) {
	case STAGE_CONNECT:
		connect_call(s, id);
		return;
	case STAGE_READ:
		part_reading(s, service_of(s, id), -1);
		read_next(s, id);
		return;
	default:
		go_through_calls(s, id);
	}
}

static bool exists(const struct sim *s, const struct app_call *c)
{
	return c->from <= s->phase && s->phase < c->until;
}

static void make(struct sim *s, uint32_t parent, uint32_t by)
{
	bool queued = s->app->call[by].queued;
	uint32_t id = new_call(s, queued ? SIM_NONE : parent, by);

	if (!queued)
		s->call[parent].pending++;
	connect_call(s, id);
}

/* Make the calls of the step that begins at `first`. Returns the end of the step. */
static uint32_t make_step(struct sim *s, uint32_t id, uint32_t first, uint32_t end)
{
	const struct app_call *call = s->app->call;
	double weight = 0, drawn;
	uint32_t last = first;

	for (; last < end && call[last].step == call[first].step; last++)
		weight += exists(s, &call[last]) ? call[last].pick : 0;
	drawn = weight > 0 ? random_unit(&s->random) * weight : 0;
	for (uint32_t i = first; i < last; i++) {
		if (!exists(s, &call[i]))
			continue;
		if (call[i].pick <= 0) {
			if (call[i].chance >= 1 || random_unit(&s->random) < call[i].chance)
				make(s, id, i);
			continue;
		}
		if (drawn >= 0 && drawn < call[i].pick)
			make(s, id, i);
		drawn -= call[i].pick;
	}
	return last;
}

/* The next step that makes a call, or the work after the last. */
static void go_through_calls(struct sim *s, uint32_t id)
{
	const struct app_operation *o = operation_of(s, id);
	uint32_t end = o->first + o->calls;

	s->call[id].stage = STAGE_CALLS;
	while (s->call[id].at < end && !s->call[id].pending) {
		uint32_t next = make_step(s, id, s->call[id].at, end);

		s->call[id].at = next; /* in an array that may have moved */
	}
	if (s->call[id].pending)
		return;
	if (o->later <= 0) {
		finish(s, id);
		return;
	}
	s->call[id].stage = STAGE_LATER;
	work(s, id, o->cpu_us * o->later);
}
