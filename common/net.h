/*
 * Requests and answers between agent and analyzer, over TCP or mutual TLS 1.2.
 * The one place that knows nng.
 *
 * The client keeps one connection and reconnects for ever; several calls may be
 * under way on it, each a context of one REQ socket. nng 1.5 hangs when a REQ
 * socket with an unanswered request is closed, so net_client_close() ends the
 * calls and leaves the socket: the process must leave by _exit() afterwards.
 * fork() after the first use aborts inside nng; posix_spawn() is fine.
 *
 * Callbacks run on nng's threads and must not wait for the network. A URL is
 * tcp://HOST:PORT or tls+tcp://HOST:PORT. Errors are -errno; `why` gets one line for
 * people: what, where, what to do.
 */
#ifndef SAGE_COMMON_NET_H
#define SAGE_COMMON_NET_H

#include <stdbool.h>
#include <stddef.h>

#define NET_WHY 512

/* PEM files. All three are needed for tls+tcp and refused for tcp; NULL = none. */
struct net_tls {
	const char *ca_file;   /* whom we believe: the CA of the other side's certificates */
	const char *cert_file; /* our certificate, with its chain */
	const char *key_file;
	const char *server_name; /* client: name the server's certificate must carry; NULL = host */
};

/* ---- client ---------------------------------------------------------- */

struct net_client;
struct net_call;

/* Told on every connect and disconnect; may not close the client. */
typedef void net_state_fn(void *arg, bool connected);

/*
 * The end of what was started on a call: 0 with the answer (borrowed), or -ENOTCONN (no
 * connection for seconds), -ETIMEDOUT (no answer), -ECANCELED, -EAGAIN (a pause is over),
 * another -errno. The call is free again and may be started from inside.
 */
typedef void net_done_fn(void *arg, int error, const void *answer, size_t size);

/* Starts connecting and returns at once; 0, -EINVAL, -ENOMEM or a file's error. */
int net_client_open(struct net_client **out, const char *url, const struct net_tls *tls,
	net_state_fn *state, void *arg, char why[NET_WHY]);

/* Ends calls; waits for running callbacks. NULL is allowed. See above. */
void net_client_close(struct net_client *c);

/* Why connecting failed since this was last asked, in words; static. One thread at a time. */
const char *net_client_trouble(struct net_client *c);

/* Hang up and connect anew: the answer is overdue and the peer may be gone. */
void net_client_hang_up(struct net_client *c);

/* At most NET_CALLS per client; they live as long as it. */
#define NET_CALLS 4
int net_call_open(struct net_call **out, struct net_client *c, net_done_fn *done, void *arg);

/* Send a request, wait timeout_ms for its answer. Copies the message. One at a time per call. */
int net_call_start(struct net_call *call, const void *message, size_t size, int timeout_ms);

/* done(-EAGAIN) after a while. */
void net_call_pause(struct net_call *call, int ms);

/* What is under way ends with -ECANCELED; nothing happens to a free call. */
void net_call_cancel(struct net_call *call);

/* ---- server ---------------------------------------------------------- */

struct net_server;
struct net_request;

/* A request is yours until you answer it. */
typedef void net_request_fn(void *arg, struct net_request *r);

/*
 * Listen. `contexts` requests are received side by side; `parked` more may wait
 * for a late answer. Messages above `max_message` bytes end their connection.
 */
int net_server_open(struct net_server **out, const char *url, const struct net_tls *tls,
	unsigned contexts, unsigned parked, size_t max_message, net_request_fn *request, void *arg,
	char why[NET_WHY]);

/* Requests not yet answered are forgotten; no callback runs afterwards. */
void net_server_close(struct net_server *s);

/* The TCP port listened on, e.g. after port 0 was asked for. */
int net_server_port(const struct net_server *s);

/* Borrowed until the answer. */
const void *net_request_data(const struct net_request *r, size_t *size);

/* The answer comes late: let another request be received meanwhile. 0 or -ENOSPC. */
int net_request_park(struct net_request *r);

/* Copies the answer and gives the request back. Any thread. 0 or -ENOMEM: it stays unanswered. */
int net_request_answer(struct net_request *r, const void *answer, size_t size);

#endif
