/*
 * What the tests of protocols share: servers in one cgroup, clients in another, and the same
 * facts asked of every strategy in turn. Include after cmocka.h.
 */
#ifndef SAGE_TESTS_PROTOCOL_FACTS_H
#define SAGE_TESTS_PROTOCOL_FACTS_H

#include <stdbool.h>

#include "agent/capture.h"
#include "tests/bpf/seen.h"
#include "tests/bpf/service.h"
#include "tests/bpf/traffic.h"

extern struct capture *capture;           /* by the strategy under test; fresh for each */
extern struct traffic_cgroup front, back; /* of clients, of servers */
extern struct service service[SERVICES];  /* those that were started */

/* Set before protocol_facts_run(): room for operations; 0 = none are told apart. */
extern unsigned operations_told_apart;

/* Whether the strategy sees the bytes of sends; without, some protocols show at one end only. */
bool sees_sends(void);

/* Whether it sees a call behind messages that are none, when all of them go by at once. */
bool sees_each_message(void);

/* The port of a started server; skips the test when it is not installed. */
uint16_t service_port(enum service_kind kind);

/* What comes from npm, in clients/: skips the test when it, or node, is not there. */
void need_clients(void);

/* Run clients/SCRIPT KIND PORT in a cgroup. */
pid_t start_node(
	const struct traffic_cgroup *g, const char *script, const char *kind, uint16_t port);

/*
 * Run a client library from npm before a responder of ours that speaks its protocol (clients/),
 * until both have ended. Gives how many calls the responder answered, at least `least`; *b waits
 * for them.
 */
int run_before_responder(const char *kind, int least, struct both *b);

void assert_protocol(const struct both *b, unsigned protocol);

/* Start the servers, run the tests once per strategy the kernel offers, stop them: main()'s status.
 */
int protocol_facts_run(const char *name, const struct CMUnitTest *tests, size_t count,
	const enum service_kind *services, size_t wanted);

#endif
