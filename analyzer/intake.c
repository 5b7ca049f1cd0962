#include "analyzer/intake.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "analyzer/admission.h"
#include "analyzer/highwater.h"
#include "analyzer/poller.h"
#include "common/clock.h"
#include "common/log.h"

#define DEFAULT_CONTEXTS 64
#define GROUP 64               /* batches made durable in one go */
#define GROUP_BYTES (8U << 20) /* or as many as fit this, unfolded */
#define PARKED 4096            /* polls held at most; beyond, they are answered at once */

struct intake {
	struct intake_options o;
	struct net_server *server;
	pthread_t thread;
	bool running;

	/* the intake thread's alone */
	struct highwater highwater;
	struct intake_batch group[GROUP];   /* [grouped] understood, not yet durable */
	struct net_request *waiting[GROUP]; /* [grouped] for the answer */
	size_t grouped, group_bytes;
	struct admission admission;
	bool storing_fails, leasing_fails, refusal_logged;

	pthread_mutex_t lock; /* everything below */
	pthread_cond_t wake;
	bool closing;
	struct net_request **queue; /* ring [capacity]; every request fits, so it never fills */
	size_t capacity, head, queued;
	struct pollers pollers;
	struct intake_stats stats;
};

static void count(struct intake *i, uint64_t *counter, uint64_t by)
{
	pthread_mutex_lock(&i->lock);
	*counter += by;
	pthread_mutex_unlock(&i->lock);
}

/* ---- batches --------------------------------------------------------- */

static void answer_ack(struct net_request *r, uint64_t sequence, uint32_t credit)
{
	struct wire_ack ack = {.sequence = sequence, .credit = credit};
	void *message;
	size_t size;

	/* out of memory: the agent asks again after its own time-out */
	if (wire_encode_ack(&ack, &message, &size))
		return;
	net_request_answer(r, message, size);
	free(message);
}

static void refuse(struct intake *i, struct net_request *r, uint64_t sequence, uint32_t credit)
{
	count(i, &i->stats.refused, 1);
	if (!i->refusal_logged)
		log_warning(
			"intake: a message was not understood and is refused; more are counted");
	i->refusal_logged = true;
	answer_ack(r, sequence, credit);
}

/* Not from the one it names, or that cannot be told. */
static void turn_away(struct intake *i, struct net_request *r, const char *why)
{
	void *message;
	size_t size;

	count(i, &i->stats.strangers, 1);
	if (wire_encode_refusal(why, &message, &size))
		return;
	net_request_answer(r, message, size);
	free(message);
}

static void note_storing(struct intake *i, int error)
{
	uint64_t windows = 0;

	if (error && !i->storing_fails)
		log_error("intake: storing windows: %s; agents keep them meanwhile",
			strerror(-error));
	if (!error && i->storing_fails)
		log_info("intake: windows are stored again");
	i->storing_fails = error != 0;
	if (error) {
		count(i, &i->stats.deferred, i->grouped);
		return;
	}
	for (size_t k = 0; k < i->grouped; k++)
		windows += i->group[k].windows;
	count(i, &i->stats.batches, i->grouped);
	count(i, &i->stats.windows, windows);
}

/* Make the group durable, then answer its agents. */
static void flush(struct intake *i)
{
	int error;

	if (!i->grouped)
		return;
	error = i->o.batches(i->o.ctx, i->group, i->grouped);
	note_storing(i, error);
	for (size_t k = 0; k < i->grouped; k++) {
		struct intake_batch *b = &i->group[k];
		uint64_t *last = highwater_of(&i->highwater, &b->agent);

		if (!error && last)
			*last = b->sequence;
		answer_ack(i->waiting[k], last ? *last : 0, !error && last);
		wire_batch_close(&b->batch);
	}
	i->grouped = i->group_bytes = 0;
}

static bool is_grouped(const struct intake *i, const struct wire_agent *agent)
{
	for (size_t k = 0; k < i->grouped; k++)
		if (!memcmp(&i->group[k].agent, agent, sizeof(*agent)))
			return true;
	return false;
}

static void group_batch(struct intake *i, struct net_request *r, const struct wire_batch *b,
	const void *data, size_t size)
{
	i->waiting[i->grouped] = r;
	i->group[i->grouped++] = (struct intake_batch){.agent = b->agent,
		.sequence = b->sequence,
		.windows = b->windows,
		.batch = *b,
		.message = data,
		.size = size};
	i->group_bytes += wire_batch_bytes(b);
	if (i->grouped == GROUP || i->group_bytes >= GROUP_BYTES)
		flush(i);
}

static void take_batch(struct intake *i, struct net_request *r, const void *data, size_t size)
{
	struct wire_agent agent;
	struct wire_batch b;
	uint64_t sequence, *last;
	int error;

	if (wire_decode_batch_head(data, size, &agent, &sequence)) {
		refuse(i, r, 0, 1);
		return;
	}
	if (is_grouped(i, &agent)) /* it hung up and came again */
		flush(i);
	last = highwater_of(&i->highwater, &agent);
	if (!last) {
		answer_ack(r, 0, 0);
		return;
	}
	if (sequence <= *last) {
		count(i, &i->stats.duplicates, 1);
		answer_ack(r, *last, 1);
		return;
	}
	error = wire_decode_batch(data, size, &b);
	if (error) {
		refuse(i, r, *last, error == -EBADMSG);
		return;
	}
	group_batch(i, r, &b, data, size);
}

/* ---- polls ----------------------------------------------------------- */

/* How long an agent with these leases may go without an answer. */
static uint64_t hold_ns(const struct wire_leases *l)
{
	uint64_t ms = INTAKE_HOLD_MS;

	for (uint32_t k = 0; k < l->leases; k++) {
		if (l->lease[k].ttl_ms / 3 < ms)
			ms = l->lease[k].ttl_ms / 3;
	}
	return ms * 1000000;
}

/* The current leases of an agent as a message; *hold may be NULL. */
static int leases_of(
	struct intake *i, const struct wire_poll *p, void **message, size_t *size, uint64_t *hold)
{
	struct wire_leases leases = {0};
	int error = i->o.poll(i->o.ctx, p, &leases);

	if (!error)
		error = wire_encode_leases(&leases, message, size);
	if (error && !i->leasing_fails)
		log_error("intake: leases of %s: %s; agents are told nothing meanwhile",
			p->agent.name, strerror(-error));
	i->leasing_fails = error != 0;
	if (!error && hold)
		*hold = hold_ns(&leases);
	wire_leases_close(&leases);
	return error;
}

/* Decide under the lock: true when the poll now waits. *older gets a poll it replaces. */
static bool hold_poll(struct intake *i, struct poller *one, struct net_request *r, uint64_t hash,
	uint64_t hold, bool at_once, struct net_request **older)
{
	bool wait;

	pthread_mutex_lock(&i->lock);
	*older = pollers_release(&i->pollers, one);
	wait = !at_once && !one->woken && one->answered && one->hash == hash && hold &&
	       !net_request_park(r);
	if (wait)
		pollers_hold(&i->pollers, one, r, clock_monotonic_ns() + hold);
	one->hash = hash;
	/* woken meanwhile: what we answer may be old, so the next poll is not held */
	one->answered = !one->woken;
	pthread_mutex_unlock(&i->lock);
	return wait;
}

static void answer_poll(struct intake *i, struct net_request *r, const void *message, size_t size)
{
	count(i, &i->stats.polls, 1);
	net_request_answer(r, message, size);
}

static struct poller *greet(struct intake *i, const struct wire_poll *p)
{
	struct poller *one;

	pthread_mutex_lock(&i->lock);
	one = pollers_get(&i->pollers, p);
	if (one)
		one->woken = false;
	pthread_mutex_unlock(&i->lock);
	return one;
}

static void take_poll(struct intake *i, struct net_request *r, const void *data, size_t size)
{
	struct net_request *older;
	struct poller *one;
	struct wire_poll p;
	void *message;
	size_t length;
	uint64_t hold;

	if (wire_decode_poll(data, size, &p)) {
		refuse(i, r, 0, 0);
		return;
	}
	one = greet(i, &p);
	if (!one || leases_of(i, &p, &message, &length, &hold)) {
		answer_ack(
			r, 0, 0); /* not what it asked for: it keeps what it has and asks again */
		wire_poll_close(&p);
		return;
	}
	if (!hold_poll(i, one, r, XXH3_64bits(message, length), hold, p.reports > 0, &older))
		answer_poll(i, r, message, length);
	if (older)
		answer_poll(i, older, message, length);
	free(message);
	wire_poll_close(&p);
}

/* Answer one held poll whose time has come. */
static void answer_held(struct intake *i, struct poller *one)
{
	struct wire_poll p = {.agent = one->agent, .mode = one->mode};
	struct net_request *r;
	void *message;
	size_t size;

	pthread_mutex_lock(&i->lock);
	r = pollers_release(&i->pollers, one);
	one->woken = false;
	pthread_mutex_unlock(&i->lock);
	if (leases_of(i, &p, &message, &size, NULL)) {
		answer_ack(r, 0, 0);
		return;
	}
	one->hash = XXH3_64bits(message, size);
	answer_poll(i, r, message, size);
	free(message);
}

/* ---- the thread ------------------------------------------------------ */

static void handle(struct intake *i, struct net_request *r)
{
	size_t size;
	const void *data = net_request_data(r, &size);
	const char *why;

	count(i, &i->stats.bytes, size);
	why = admission_open(&i->admission, &data, &size);
	if (why) {
		turn_away(i, r, why);
		return;
	}
	switch (wire_kind(data, size)) {
	case WIRE_BATCH:
		take_batch(i, r, data, size);
		return;
	case WIRE_POLL:
		take_poll(i, r, data, size);
		return;
	default:
		/* perhaps a newer agent: no credit, so that it keeps what it has */
		refuse(i, r, 0, 0);
	}
}

static struct net_request *dequeue(struct intake *i)
{
	struct net_request *r = i->queue[i->head];

	i->head = (i->head + 1) % i->capacity;
	i->queued--;
	return r;
}

/* Sleep until a request, a wake-up or the next poll's time. With the lock. */
static void wait_for_work(struct intake *i)
{
	uint64_t due = i->pollers.next_due_ns;
	struct timespec until = {
		.tv_sec = (time_t)(due / 1000000000), .tv_nsec = (long)(due % 1000000000)};

	if (due == UINT64_MAX)
		pthread_cond_wait(&i->wake, &i->lock);
	else
		pthread_cond_clockwait(&i->wake, &i->lock, CLOCK_MONOTONIC, &until);
}

static void *run(void *arg)
{
	struct intake *i = arg;

	pthread_mutex_lock(&i->lock);
	while (!i->closing) {
		struct poller *due = pollers_due(&i->pollers, clock_monotonic_ns());
		struct net_request *r = i->queued ? dequeue(i) : NULL;

		if (!due && !r && !i->grouped) {
			wait_for_work(i);
			continue;
		}
		pthread_mutex_unlock(&i->lock);
		if (due)
			answer_held(i, due);
		if (r)
			handle(i, r);
		else
			flush(i); /* all that came together is there */
		pthread_mutex_lock(&i->lock);
	}
	pthread_mutex_unlock(&i->lock);
	for (size_t k = 0; k < i->grouped; k++) /* unanswered, so the agents keep them */
		wire_batch_close(&i->group[k].batch);
	return NULL;
}

/* On nng's threads. */
static void arrived(void *arg, struct net_request *r)
{
	struct intake *i = arg;

	pthread_mutex_lock(&i->lock);
	i->queue[(i->head + i->queued++) % i->capacity] = r;
	pthread_cond_signal(&i->wake);
	pthread_mutex_unlock(&i->lock);
}

static int start(struct intake *i)
{
	char why[NET_WHY] = "";
	int error;

	i->capacity = i->o.contexts + PARKED;
	i->queue = calloc(i->capacity, sizeof(struct net_request *));
	if (!i->queue)
		return -ENOMEM;
	error = -pthread_create(&i->thread, NULL, run, i);
	if (error)
		return error;
	i->running = true;
	pthread_setname_np(i->thread, "intake");
	error = net_server_open(&i->server, i->o.url, &i->o.tls, i->o.contexts, PARKED,
		WIRE_MAX_MESSAGE + IDENTITY_SEAL, arrived, i, why);
	if (error)
		log_error("intake: %s", why[0] ? why : strerror(-error));
	return error;
}

int intake_open(struct intake **out, const struct intake_options *o)
{
	struct intake *i = calloc(1, sizeof(*i));
	int error;

	if (!i)
		return -ENOMEM;
	i->o = *o;
	if (!i->o.contexts)
		i->o.contexts = DEFAULT_CONTEXTS;
	pthread_mutex_init(&i->lock, NULL);
	pthread_cond_init(&i->wake, NULL);
	pollers_init(&i->pollers);
	highwater_init(&i->highwater, o->last_sequence, o->ctx);
	if (o->master)
		i->admission = (struct admission){.sealed = true, .master = *o->master};
	i->o.master = NULL;
	error = start(i);
	if (error) {
		intake_close(i);
		return error;
	}
	i->o.url = NULL; /* borrowed for the call only, like the names of files */
	i->o.tls = (struct net_tls){0};
	*out = i;
	return 0;
}

void intake_wake(struct intake *i, const char *agent_name)
{
	pthread_mutex_lock(&i->lock);
	pollers_wake(&i->pollers, agent_name);
	pthread_cond_signal(&i->wake);
	pthread_mutex_unlock(&i->lock);
}

void intake_stats(struct intake *i, struct intake_stats *out)
{
	pthread_mutex_lock(&i->lock);
	*out = i->stats;
	out->held = i->pollers.waiting;
	pthread_mutex_unlock(&i->lock);
}

int intake_port(const struct intake *i)
{
	return net_server_port(i->server);
}

void intake_close(struct intake *i)
{
	if (!i)
		return;
	pthread_mutex_lock(&i->lock);
	i->closing = true;
	pthread_cond_signal(&i->wake);
	pthread_mutex_unlock(&i->lock);
	if (i->running)
		pthread_join(i->thread, NULL);
	net_server_close(i->server);
	explicit_bzero(&i->admission, sizeof(i->admission));
	pollers_clear(&i->pollers);
	highwater_clear(&i->highwater);
	pthread_cond_destroy(&i->wake);
	pthread_mutex_destroy(&i->lock);
	free(i->queue);
	free(i);
}
