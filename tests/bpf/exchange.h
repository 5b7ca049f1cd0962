/*
 * A client in one cgroup and a server in another that talk as a test says, and what the
 * capture under test saw of it against the client's own record.
 *
 * Included after cmocka.h. exchange_main() runs a group of facts once per strategy.
 */
#ifndef SAGE_TESTS_EXCHANGE_H
#define SAGE_TESTS_EXCHANGE_H

#include <netinet/in.h>
#include <stdbool.h>

#include "common/hist.h"
#include "tests/bpf/seen.h"
#include "tests/bpf/traffic.h"

/* In memory that the test and both its children share. */
struct exchange {
	int listener;
	uint16_t port;          /* of the listener */
	int family;             /* AF_INET or AF_INET6: how the client dials loopback */
	unsigned connections;   /* one after the other */
	unsigned calls;         /* on each */
	struct hist record;     /* how long they took by the client's clock */
	struct in_addr dialled; /* instead of loopback, if set */
	int pipe[2];            /* between test and client, for facts that need one */
};

/* The capture under test; its strategy; cgroups of client, server and a helper of the server. */
extern struct capture *exchange_capture;
extern const char *exchange_strategy;
extern struct traffic_cgroup exchange_front, exchange_back, exchange_third;

struct exchange *exchange_new(const struct exchange *from);
void exchange_free(struct exchange *x);

/* Listen on loopback of `family`; AF_UNSPEC = both by one socket. */
void exchange_listen(struct exchange *x, int family);

/* Connect as the exchange says; aborts the process on failure. */
int exchange_dial(const struct exchange *x);

/* The usual ends, with requests and answers of traffic.h: for exchange_run(). */
int exchange_client(void *x);
int exchange_server(void *x);

/* Both ends from start to end, and what was seen. The listener is closed. */
struct both exchange_run(struct exchange *x, int (*client)(void *), int (*server)(void *));

/* Both ends counted `calls` calls, none longer than its client's, with a median that fits. */
void exchange_check(const struct both *b, const struct exchange *x, unsigned calls);

/* Whether the strategy does: see agent/support.h. */
bool exchange_sees(unsigned sights);

struct CMUnitTest;
int exchange_main(const char *name, const struct CMUnitTest *tests, size_t count);

#endif
