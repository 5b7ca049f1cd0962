/*
 * The uplink's insides, shared by its three files: uplink.c (the agent's calls),
 * uplink_ship.c (windows out), uplink_poll.c (leases in). Everything here is called
 * with the lock held, save the two *_done(), which nng's threads call.
 */
#ifndef SAGE_AGENT_UPLINK_STATE_H
#define SAGE_AGENT_UPLINK_STATE_H

#include <pthread.h>

#include "agent/spool.h"
#include "agent/uplink.h"
#include "common/identity.h"

#define UPLINK_RETRY_MS 1000 /* after an error, or when the analyzer has no credit */

enum analyzer_state { ANALYZER_UNKNOWN, ANALYZER_AWAY, ANALYZER_THERE };

struct uplink {
	pthread_mutex_t lock; /* everything below */
	pthread_cond_t moved; /* something was settled or delivered, or the analyzer left */
	struct wire_agent agent;
	uint8_t mode;
	char *url;
	bool sealed; /* with `key` */
	struct identity_key key;
	int event_fd;
	struct spool *spool;
	struct net_client *client; /* NULL = no analyzer */
	bool connected, stopping;
	enum analyzer_state analyzer;

	struct net_call *ship;
	bool shipping;  /* the call is under way or paused */
	bool in_flight; /* a batch is taken from the spool and not settled */
	bool refusal_logged;
	uint64_t flight_sequence; /* of that batch */
	uint32_t flight_windows;

	struct net_call *poll;
	bool polling;
	uint32_t reports_sent; /* of report[], in the poll under way */
	uint64_t polled_ns;
	struct wire_lease_report *report; /* [WIRE_MAX_REPORTS] */
	uint32_t reports;
	struct wire_leases leases;
	bool fresh; /* leases not yet taken by the agent */

	uint64_t sequence, produced, stored, too_big, last_ack_ns, reports_dropped;
};

/* Wake the agent's loop. */
void uplink_announce(struct uplink *u);

/* Log and remember, once per change. */
void uplink_say_away(struct uplink *u, const char *why);
void uplink_say_there(struct uplink *u);

/* Start a call, with the agent's seal if it has a key. 0 or -ENOMEM. */
int uplink_send(
	struct uplink *u, struct net_call *call, const void *message, size_t size, int timeout_ms);

/* Is this answer a refusal of this agent? Then that is said. */
bool uplink_is_refused(struct uplink *u, const void *answer, size_t size);

/* A call failed: what it was waiting for is overdue or gone. */
void uplink_note_failure(struct uplink *u, int error);

/* Send the oldest batch there is; when nothing is being shipped. */
void uplink_ship_next(struct uplink *u);
void uplink_ship_done(void *uplink, int error, const void *answer, size_t size);

/* Ask for leases, with all reports there are; when no poll is under way. */
void uplink_poll_next(struct uplink *u);
void uplink_poll_done(void *uplink, int error, const void *answer, size_t size);

#endif
