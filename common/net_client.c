#include "common/net_nng.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nng/protocol/reqrep0/req.h>

#define RECONNECT_MIN_MS 100
#define RECONNECT_MAX_MS 5000
#define RESEND_NEVER_MS INT_MAX /* nng still resends after a reconnect */
#define ANSWER_BYTES (1U << 20)
#define SEND_MS 5000 /* to find a connection and hand the request to it */
#define TROUBLES 7

enum call_state { CALL_FREE, CALL_SENDING, CALL_RECEIVING, CALL_PAUSED };

struct net_call {
	nng_ctx context;
	nng_aio *aio;
	enum call_state state; /* handed over by nng's queues, with the aio */
	net_done_fn *done;
	void *arg;
	int timeout_ms;
	pthread_mutex_t lock; /* below; held from looking at it to what nng is told */
	bool cancelled;       /* since the start: between send and receive nng has none to end */
};

struct net_client {
	nng_socket socket;
	nng_dialer dialer;
	net_state_fn *state;
	void *arg;
	pthread_mutex_t lock; /* state, while it is called */
	_Atomic uint32_t pipe;
	uint64_t trouble[TROUBLES]; /* counts when last asked */
	struct net_call call[NET_CALLS];
	unsigned calls;
};

static void pipe_changed(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
	struct net_client *c = arg;

	c->pipe = (uint32_t)nng_pipe_id(pipe);
	pthread_mutex_lock(&c->lock);
	if (c->state)
		c->state(c->arg, event == NNG_PIPE_EV_ADD_POST);
	pthread_mutex_unlock(&c->lock);
}

static int set_dialer(struct net_client *c, const char *url, const struct net_tls *tls, char *why)
{
	nng_tls_config *config = NULL;
	int error = net_errno(nng_dialer_create(&c->dialer, c->socket, url));

	if (error) {
		snprintf(why, NET_WHY, "%s: %s", url, strerror(-error));
		return error;
	}
	nng_dialer_set_bool(c->dialer, NNG_OPT_TCP_KEEPALIVE, true);
	nng_dialer_set_ms(c->dialer, NNG_OPT_RECONNMINT, RECONNECT_MIN_MS);
	nng_dialer_set_ms(c->dialer, NNG_OPT_RECONNMAXT, RECONNECT_MAX_MS);
	if (net_is_tls(url)) {
		error = net_make_tls(&config, url, tls, NNG_TLS_MODE_CLIENT, why);
		if (error)
			return error;
		error = net_errno(nng_dialer_set_ptr(c->dialer, NNG_OPT_TLS_CONFIG, config));
		nng_tls_config_free(config);
	}
	if (!error)
		error = net_errno(nng_dialer_start(c->dialer, NNG_FLAG_NONBLOCK));
	if (error)
		snprintf(why, NET_WHY, "%s: %s", url, strerror(-error));
	return error;
}

int net_client_open(struct net_client **out, const char *url, const struct net_tls *tls,
	net_state_fn *state, void *arg, char why[NET_WHY])
{
	struct net_client *c;
	int error = net_check_url(url, tls, why);

	if (error)
		return error;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	pthread_mutex_init(&c->lock, NULL);
	c->state = state;
	c->arg = arg;
	error = net_errno(nng_req0_open(&c->socket));
	if (error) {
		snprintf(why, NET_WHY, "%s: %s", url, strerror(-error));
		free(c);
		return error;
	}
	nng_socket_set_size(c->socket, NNG_OPT_RECVMAXSZ, ANSWER_BYTES);
	nng_socket_set_ms(c->socket, NNG_OPT_REQ_RESENDTIME, RESEND_NEVER_MS);
	nng_pipe_notify(c->socket, NNG_PIPE_EV_ADD_POST, pipe_changed, c);
	nng_pipe_notify(c->socket, NNG_PIPE_EV_REM_POST, pipe_changed, c);
	error = set_dialer(c, url, tls, why);
	if (error) {
		nng_close(c->socket); /* nothing was ever asked on it */
		pthread_mutex_destroy(&c->lock);
		free(c);
		return error;
	}
	*out = c;
	return 0;
}

/* The memory stays: a notification may still be on its way through it. */
void net_client_close(struct net_client *c)
{
	if (!c)
		return;
	pthread_mutex_lock(&c->lock);
	c->state = NULL;
	pthread_mutex_unlock(&c->lock);
	for (unsigned i = 0; i < c->calls; i++)
		nng_aio_stop(c->call[i].aio);
	nng_dialer_close(c->dialer);
}

/* Counters nng keeps per dialer, worst news first, and what they mean here. */
static const struct {
	const char *stat, *meaning;
} troubles[TROUBLES] = {
	{"auth", "TLS: the certificates do not fit: check CA file, server name and expiry"},
	{"reject", "the connection was closed during the handshake"},
	{"refused", "connection refused: is it running?"},
	{"timeout", "connecting timed out"},
	{"disconnect", "disconnected during the handshake: does it accept our certificate?"},
	{"proto", "the other side does not speak our protocol"},
	{"other", "cannot connect: check the address"},
};

/* By hand: nng_stat_find_dialer() of 1.5.2 finds the first dialer, whichever is asked for. */
static nng_stat *find_dialer(nng_stat *all, nng_dialer dialer)
{
	nng_stat *stat = nng_stat_child(all);

	for (; stat; stat = nng_stat_next(stat)) {
		nng_stat *id = nng_stat_find(stat, "id");

		if (!strcmp(nng_stat_name(stat), "dialer") && id &&
			nng_stat_value(id) == (uint64_t)nng_dialer_id(dialer))
			return stat;
	}
	return NULL;
}

const char *net_client_trouble(struct net_client *c)
{
	const char *meaning = NULL;
	nng_stat *all, *dialer;

	if (nng_stats_get(&all))
		return "connection lost";
	dialer = find_dialer(all, c->dialer);
	for (size_t i = 0; dialer && i < TROUBLES; i++) {
		nng_stat *stat = nng_stat_find(dialer, troubles[i].stat);
		uint64_t count = stat ? nng_stat_value(stat) : 0;

		if (count > c->trouble[i] && !meaning)
			meaning = troubles[i].meaning;
		c->trouble[i] = count;
	}
	nng_stats_free(all);
	return meaning ? meaning : "connection lost";
}

void net_client_hang_up(struct net_client *c)
{
	nng_pipe_close((nng_pipe){.id = c->pipe});
}

static void finish_call(struct net_call *call, int error, const void *answer, size_t size)
{
	call->state = CALL_FREE;
	call->done(call->arg, error, answer, size);
}

/* The request is on its way: wait for the answer, unless that was called off meanwhile. */
static void await_answer(struct net_call *call)
{
	bool cancelled;

	pthread_mutex_lock(&call->lock);
	cancelled = call->cancelled;
	if (!cancelled) {
		call->state = CALL_RECEIVING;
		nng_aio_set_timeout(call->aio, call->timeout_ms);
		nng_ctx_recv(call->context, call->aio);
	}
	pthread_mutex_unlock(&call->lock);
	if (cancelled)
		finish_call(call, -ECANCELED, NULL, 0);
}

static void call_event(void *arg)
{
	struct net_call *call = arg;
	int status = nng_aio_result(call->aio);
	nng_msg *message = nng_aio_get_msg(call->aio);

	switch (call->state) {
	case CALL_SENDING:
		if (!status) {
			await_answer(call);
			return;
		}
		nng_msg_free(message); /* a failed send leaves it ours */
		nng_aio_set_msg(call->aio, NULL);
		finish_call(call, status == NNG_ETIMEDOUT ? -ENOTCONN : net_errno(status), NULL, 0);
		return;
	case CALL_RECEIVING:
		if (status) {
			finish_call(call, net_errno(status), NULL, 0);
			return;
		}
		nng_aio_set_msg(call->aio, NULL);
		finish_call(call, 0, nng_msg_body(message), nng_msg_len(message));
		nng_msg_free(message);
		return;
	case CALL_PAUSED:
		finish_call(call, status ? net_errno(status) : -EAGAIN, NULL, 0);
		return;
	case CALL_FREE:
		return;
	}
}

int net_call_open(struct net_call **out, struct net_client *c, net_done_fn *done, void *arg)
{
	struct net_call *call = &c->call[c->calls];
	int error;

	if (c->calls == NET_CALLS)
		return -ENOSPC;
	call->done = done;
	call->arg = arg;
	error = net_errno(nng_ctx_open(&call->context, c->socket));
	if (!error)
		error = net_errno(nng_aio_alloc(&call->aio, call_event, call));
	if (error)
		return error;
	pthread_mutex_init(&call->lock, NULL);
	c->calls++;
	*out = call;
	return 0;
}

int net_call_start(struct net_call *call, const void *data, size_t size, int timeout_ms)
{
	nng_msg *message;

	if (nng_msg_alloc(&message, 0))
		return -ENOMEM;
	if (nng_msg_append(message, data, size)) {
		nng_msg_free(message);
		return -ENOMEM;
	}
	call->state = CALL_SENDING;
	call->timeout_ms = timeout_ms;
	nng_aio_set_msg(call->aio, message);
	nng_aio_set_timeout(call->aio, SEND_MS);
	pthread_mutex_lock(&call->lock);
	call->cancelled = false;
	nng_ctx_send(call->context, call->aio);
	pthread_mutex_unlock(&call->lock);
	return 0;
}

void net_call_pause(struct net_call *call, int ms)
{
	call->state = CALL_PAUSED;
	nng_sleep_aio(ms, call->aio);
}

void net_call_cancel(struct net_call *call)
{
	pthread_mutex_lock(&call->lock);
	call->cancelled = true;
	nng_aio_cancel(call->aio);
	pthread_mutex_unlock(&call->lock);
}
