#include "common/net_nng.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nng/protocol/reqrep0/rep.h>

enum request_state { REQUEST_IDLE, REQUEST_RECEIVING, REQUEST_HELD, REQUEST_ANSWERING };

struct net_request {
	struct net_server *server;
	nng_ctx context;
	nng_aio *aio;
	nng_msg *message; /* while held */
	enum request_state state;
	bool parked;              /* another context took its place */
	struct net_request *next; /* idle list */
};

struct net_server {
	nng_socket socket;
	nng_listener listener;
	net_request_fn *request;
	void *arg;
	pthread_mutex_t lock; /* what follows, and every request's state */
	bool closing;
	unsigned contexts, capacity, opened;
	struct net_request *idle;
	struct net_request *all; /* [capacity] */
};

static void receive(struct net_request *r)
{
	r->state = REQUEST_RECEIVING;
	nng_ctx_recv(r->context, r->aio);
}

/* Answered. Another took the place of a parked one, so that goes to the idle ones. */
static void recycle(struct net_request *r)
{
	struct net_server *s = r->server;

	if (s->closing)
		return;
	if (!r->parked) {
		receive(r);
		return;
	}
	r->parked = false;
	r->state = REQUEST_IDLE;
	r->next = s->idle;
	s->idle = r;
}

static void request_event(void *arg)
{
	struct net_request *r = arg;
	struct net_server *s = r->server;
	int status = nng_aio_result(r->aio);
	bool arrived = false;

	pthread_mutex_lock(&s->lock);
	if (r->state == REQUEST_ANSWERING) {
		if (status)
			nng_msg_free(nng_aio_get_msg(r->aio));
		nng_aio_set_msg(r->aio, NULL);
		recycle(r);
	} else if (r->state == REQUEST_RECEIVING && !status) {
		r->message = nng_aio_get_msg(r->aio);
		nng_aio_set_msg(r->aio, NULL);
		r->state = REQUEST_HELD;
		arrived = true;
	} else if (r->state == REQUEST_RECEIVING && !s->closing && status != NNG_ECLOSED) {
		receive(r);
	}
	pthread_mutex_unlock(&s->lock);
	if (arrived)
		s->request(s->arg, r);
}

/* One more context, receiving. With the lock held. */
static int open_request(struct net_server *s)
{
	struct net_request *r = &s->all[s->opened];
	int error = net_errno(nng_ctx_open(&r->context, s->socket));

	if (error)
		return error;
	r->server = s;
	error = net_errno(nng_aio_alloc(&r->aio, request_event, r));
	if (error) {
		nng_ctx_close(r->context);
		return error;
	}
	s->opened++;
	receive(r);
	return 0;
}

/*
 * A connection accepted while its listener closes would be nobody's: nng 1.5 does not close it
 * with the listener, and its nng_close() waits for it for ever.
 */
static void refuse_late(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
	struct net_server *s = arg;
	bool late;

	(void)event;
	pthread_mutex_lock(&s->lock);
	late = s->closing;
	pthread_mutex_unlock(&s->lock);
	if (late)
		nng_pipe_close(pipe);
}

static int set_listener(struct net_server *s, const char *url, const struct net_tls *tls,
	size_t max_message, char why[NET_WHY])
{
	nng_tls_config *config = NULL;
	int error = net_errno(nng_listener_create(&s->listener, s->socket, url));

	if (!error)
		error = net_errno(
			nng_listener_set_size(s->listener, NNG_OPT_RECVMAXSZ, max_message));
	if (!error)
		error = net_errno(nng_listener_set_bool(s->listener, NNG_OPT_TCP_KEEPALIVE, true));
	if (!error && net_is_tls(url)) {
		error = net_make_tls(&config, url, tls, NNG_TLS_MODE_SERVER, why);
		if (error)
			return error;
		error = net_errno(nng_listener_set_ptr(s->listener, NNG_OPT_TLS_CONFIG, config));
		nng_tls_config_free(config);
	}
	if (!error)
		error = net_errno(nng_listener_start(s->listener, 0));
	if (error)
		snprintf(why, NET_WHY, "listening on %s: %s", url, strerror(-error));
	return error;
}

static int start_requests(struct net_server *s)
{
	int error = 0;

	pthread_mutex_lock(&s->lock);
	while (s->opened < s->contexts && !error)
		error = open_request(s);
	pthread_mutex_unlock(&s->lock);
	return error;
}

int net_server_open(struct net_server **out, const char *url, const struct net_tls *tls,
	unsigned contexts, unsigned parked, size_t max_message, net_request_fn *request, void *arg,
	char why[NET_WHY])
{
	struct net_server *s;
	int error = net_check_url(url, tls, why);

	if (error)
		return error;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	pthread_mutex_init(&s->lock, NULL);
	s->contexts = contexts;
	s->capacity = contexts + parked;
	s->request = request;
	s->arg = arg;
	s->all = calloc(s->capacity, sizeof(*s->all));
	error = s->all ? net_errno(nng_rep0_open(&s->socket)) : -ENOMEM;
	if (error) {
		snprintf(why, NET_WHY, "listening on %s: %s", url, strerror(-error));
		pthread_mutex_destroy(&s->lock);
		free(s->all);
		free(s);
		return error;
	}
	nng_pipe_notify(s->socket, NNG_PIPE_EV_ADD_PRE, refuse_late, s);
	error = start_requests(s);
	if (!error)
		error = set_listener(s, url, tls, max_message, why);
	if (error) {
		net_server_close(s);
		return error;
	}
	*out = s;
	return 0;
}

/* Socket and memory stay until the process ends: a late connection may still ask for them. */
void net_server_close(struct net_server *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	s->closing = true;
	pthread_mutex_unlock(&s->lock);
	for (unsigned i = 0; i < s->opened; i++)
		nng_aio_stop(s->all[i].aio);
	nng_listener_close(s->listener); /* and with it, its connections */
	for (unsigned i = 0; i < s->opened; i++) {
		nng_ctx_close(s->all[i].context);
		nng_aio_free(s->all[i].aio);
		nng_msg_free(s->all[i].message);
	}
	free(s->all);
	s->all = NULL;
}

int net_server_port(const struct net_server *s)
{
	int port = 0;
	int error = net_errno(nng_listener_get_int(s->listener, NNG_OPT_TCP_BOUND_PORT, &port));

	return error ? error : port;
}

const void *net_request_data(const struct net_request *r, size_t *size)
{
	*size = nng_msg_len(r->message);
	return nng_msg_body(r->message);
}

int net_request_park(struct net_request *r)
{
	struct net_server *s = r->server;
	struct net_request *next;
	int error = 0;

	pthread_mutex_lock(&s->lock);
	next = s->idle;
	if (next) {
		s->idle = next->next;
		receive(next);
	} else {
		error = s->opened < s->capacity ? open_request(s) : -ENOSPC;
	}
	r->parked = !error;
	pthread_mutex_unlock(&s->lock);
	return error;
}

int net_request_answer(struct net_request *r, const void *data, size_t size)
{
	struct net_server *s = r->server;
	nng_msg *answer = NULL;
	int error = net_errno(nng_msg_alloc(&answer, 0));

	if (!error)
		error = net_errno(nng_msg_append(answer, data, size));
	pthread_mutex_lock(&s->lock);
	nng_msg_free(r->message);
	r->message = NULL;
	if (error) {
		nng_msg_free(answer);
		recycle(r);
	} else {
		r->state = REQUEST_ANSWERING;
		nng_aio_set_msg(r->aio, answer);
		nng_ctx_send(r->context, r->aio);
	}
	pthread_mutex_unlock(&s->lock);
	return error;
}
