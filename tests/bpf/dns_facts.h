/*
 * The frame of the DNS tests: a capture, cgroups, a client that keeps a record, and what must
 * hold of what was seen. Included after cmocka.h.
 */
#ifndef SAGE_TESTS_DNS_FACTS_H
#define SAGE_TESTS_DNS_FACTS_H

#include "tests/bpf/dns_traffic.h"
#include "tests/bpf/seen.h"
#include "tests/bpf/service.h"

#define OTHER_PORT 5399 /* captured as DNS beside 53 */

extern struct capture *capture;
extern struct traffic_cgroup front, back, above; /* of clients, of servers, of theirs */
extern struct dns_client *client;                /* as the last one ended */

/* The two ends at a port, front and back. */
struct both dns_ends(uint16_t port);

/* Run a client in `front`: its exit status. */
int run_client(const struct dns_client *as);

/* That many calls at both ends, of which so many failed, and each end knows the other. */
void assert_seen(const struct both *b, uint64_t calls, uint64_t errors);

/* The same once they have been waited for. */
void assert_answered(struct both *b, uint64_t calls, uint64_t errors);

/* What was seen lies within what the client measured, the server's end within the client's. */
void assert_nested(const struct both *b);

/* Run the tests between `before`, with the cgroups, and `after`: main()'s status. Both may be NULL.
 */
int dns_facts_run(const char *name, const struct CMUnitTest *tests, size_t count,
	void (*before)(void), void (*after)(void));

#endif
