/*
 * A DNS client and a responder that do as a test says, over UDP.
 *
 * The client keeps its own record of each call. The responder answers by the first letter of
 * the name it is asked for, see dns_responder().
 */
#ifndef SAGE_TESTS_DNS_TRAFFIC_H
#define SAGE_TESTS_DNS_TRAFFIC_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

enum dns_way {
	DNS_CONNECTED, /* connect(), send() */
	DNS_ADDRESSED, /* sendto() on one socket */
	DNS_MANY       /* sendmmsg() of `queries`, answers in any order */
};

struct dns_client {
	struct sockaddr_storage server;
	enum dns_way way;
	unsigned queries;        /* 1..256 */
	unsigned repeats;        /* of each before it is answered, 20 ms apart, with the same id */
	char name[64];           /* "a.test" */
	bool silent;             /* no answer is waited for */
	uint64_t sum_ns;         /* by the client's clock, from its first send to its last answer */
	uint64_t sent, received; /* bytes */
};

/* `address` is either family's. */
struct sockaddr_storage dns_address(const char *address, uint16_t port);

/* For traffic_spawn(); 0 when all queries were answered. */
int dns_client_run(void *client);

#define DNS_DELAY_US 30000

/*
 * Answer on the UDP socket *(int *)fd until killed: d... after DNS_DELAY_US, n... NXDOMAIN,
 * s... SERVFAIL, t... only what comes a third time, x... never, all else at once.
 */
int dns_responder(void *fd);

/* A bound UDP socket. */
int dns_bind(const char *address, uint16_t port);

#endif
