#include "analyzer/intake.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/intake_state.h"
#include "common/clock.h"
#include "common/log.h"

#define DEFAULT_CONTEXTS 64
#define PARKED 4096 /* polls held at most; beyond, they are answered at once */

void intake_count(struct intake *i, uint64_t *counter, uint64_t by)
{
	pthread_mutex_lock(&i->lock);
	*counter += by;
	pthread_mutex_unlock(&i->lock);
}

/* ---- answers --------------------------------------------------------- */

void intake_ack(struct net_request *r, uint64_t sequence, uint32_t credit)
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

void intake_refuse(struct intake *i, struct net_request *r, uint64_t sequence, uint32_t credit)
{
	intake_count(i, &i->stats.refused, 1);
	if (!i->refusal_logged)
		log_warning(
			"intake: a message was not understood and is refused; more are counted");
	i->refusal_logged = true;
	intake_ack(r, sequence, credit);
}

/* Not from the one it names, or that cannot be told. */
static void turn_away(struct intake *i, struct net_request *r, const char *why)
{
	void *message;
	size_t size;

	intake_count(i, &i->stats.strangers, 1);
	if (wire_encode_refusal(why, &message, &size))
		return;
	net_request_answer(r, message, size);
	free(message);
}

/* ---- the thread ------------------------------------------------------ */

static void handle(struct intake *i, struct net_request *r)
{
	size_t size;
	const void *data = net_request_data(r, &size);
	const char *why;

	intake_count(i, &i->stats.bytes, size);
	why = admission_open(&i->admission, &data, &size);
	if (why) {
		turn_away(i, r, why);
		return;
	}
	switch (wire_kind(data, size)) {
	case WIRE_BATCH:
		intake_take_batch(i, r, data, size);
		return;
	case WIRE_POLL:
		intake_take_poll(i, r, data, size);
		return;
	default:
		/* perhaps a newer agent: no credit, so that it keeps what it has */
		intake_refuse(i, r, 0, 0);
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
			intake_answer_held(i, due);
		if (r)
			handle(i, r);
		else
			intake_flush(i); /* all that came together is there */
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
