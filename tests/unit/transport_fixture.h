/*
 * An analyzer's and an agent's end of the line for tests: an intake that counts
 * what it gets, and an uplink to it. All waits end at a deadline by failing the
 * running test. Tests leave by _exit() (common/net.h).
 */
#ifndef SAGE_TESTS_TRANSPORT_FIXTURE_H
#define SAGE_TESTS_TRANSPORT_FIXTURE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/uplink.h"
#include "analyzer/intake.h"

#define DEADLINE_NS 30000000000ULL

/* A directory of the running test: cmocka set-up and tear-down. */
extern char transport_dir[64];
int make_dir(void **state);
int remove_dir(void **state);

/* Leave a program running, or run a shell command to its successful end. No fork(). */
pid_t spawn_helper(char *const arguments[]);
void run_command(const char *command);

/* A TCP port of loopback that nobody has now. */
int free_port(void);

/* The path of a file in transport_dir: one of eight static buffers, used in turn. */
const char *in_dir(const char *name);

/*
 * In transport_dir: the CAs servers, agents and stranger (NAME.pem), and of each a certificate
 * and key for DNS name "analyzer" (NAME-node.pem, NAME-node.key).
 */
void make_certificates(void);

/* One side of a connection, by the names of files in transport_dir. */
struct net_tls tls_of(const char *ca, const char *cert, const char *key);

struct analyzer {
	pthread_mutex_t lock;
	pthread_cond_t happened;
	struct intake *intake;
	uint64_t windows, last_sequence, polls, reports, fail_batches;
	struct wire_lease lease[2];
	uint32_t leases;
	const struct identity_key *master; /* NULL = takes what is not sealed */
	int fd;                            /* where `serve` keeps what it stored; -1 = nowhere */
};

/* `a` zeroed but for what the test wants; then its intake listens. */
void open_analyzer(struct analyzer *a, const char *url, struct net_tls tls);
void close_analyzer(struct analyzer *a);

/* Until a counter of the analyzer reaches a value. */
void await_count(struct analyzer *a, const uint64_t *counter, uint64_t value);

/* An agent "node-1" with a spool of 1 MiB; port 0 = no analyzer. */
struct uplink *agent_to(int port, const char *spool_dir, const struct net_tls *tls);
void push_windows(struct uplink *u, unsigned n);

/* Also checks that the windows add up. */
struct uplink_stats stats_of(struct uplink *u);

/* Until the uplink reports something; true with its leases in *out, if any. */
bool await_event(struct uplink *u, struct wire_leases *out);
void await_drained(struct uplink *u);

/* Until a set of that many arrives; the caller closes it. */
struct wire_leases await_leases(struct uplink *u, uint32_t leases);

#endif
