/*
 * What the files of intake share. For those files only; thread and ownership as in intake.h,
 * and every function here runs on the intake's thread.
 */
#ifndef SAGE_ANALYZER_INTAKE_STATE_H
#define SAGE_ANALYZER_INTAKE_STATE_H

#include <pthread.h>

#include "analyzer/admission.h"
#include "analyzer/highwater.h"
#include "analyzer/intake.h"
#include "analyzer/poller.h"

#define INTAKE_GROUP 64 /* batches made durable in one go */

struct intake {
	struct intake_options o;
	struct net_server *server;
	pthread_t thread;
	bool running;

	/* the intake thread's alone */
	struct highwater highwater;
	struct intake_batch group[INTAKE_GROUP];   /* [grouped] understood, not yet durable */
	struct net_request *waiting[INTAKE_GROUP]; /* [grouped] for the answer */
	size_t grouped, group_bytes;
	struct admission admission;
	bool storing_fails, leasing_fails, refusal_logged;

	pthread_mutex_t lock; /* everything below */
	pthread_cond_t wake;
	bool closing;
	struct net_request **queue; /* ring [capacity]; every request fits, so it never fills */
	size_t capacity, head, queued;
	struct pollers pollers;
	struct intake_stats stats;
};

/* Add to one of i->stats. */
void intake_count(struct intake *i, uint64_t *counter, uint64_t by);

/* Answer: stored up to this sequence; credit 0 = keep what you have. */
void intake_ack(struct net_request *r, uint64_t sequence, uint32_t credit);

/* Not understood. */
void intake_refuse(struct intake *i, struct net_request *r, uint64_t sequence, uint32_t credit);

/* Take a WIRE_BATCH; it is answered now or by a flush. */
void intake_take_batch(struct intake *i, struct net_request *r, const void *data, size_t size);

/* Make the group durable, then answer its agents. */
void intake_flush(struct intake *i);

/* Take a WIRE_POLL; it is answered now or held. */
void intake_take_poll(struct intake *i, struct net_request *r, const void *data, size_t size);

/* Answer one held poll whose time has come. */
void intake_answer_held(struct intake *i, struct poller *one);

#endif
