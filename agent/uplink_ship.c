#include "agent/uplink_state.h"

#include <errno.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"

#define ACK_MS 15000

static void settle(struct uplink *u, enum spool_outcome outcome)
{
	u->in_flight = false;
	spool_settle(u->spool, outcome);
}

static void pause_ship(struct uplink *u)
{
	u->shipping = true;
	net_call_pause(u->ship, UPLINK_RETRY_MS);
}

void uplink_ship_next(struct uplink *u)
{
	struct wire_agent agent;
	void *batch;
	size_t size;
	int error;

	while (!u->stopping && !spool_take(u->spool, &batch, &size, &u->flight_windows)) {
		u->in_flight = true;
		error = wire_decode_batch_head(batch, size, &agent, &u->flight_sequence);
		if (error) {
			settle(u, SPOOL_REFUSED);
			free(batch);
			continue;
		}
		u->shipping = true;
		error = uplink_send(u, u->ship, batch, size, ACK_MS);
		free(batch);
		if (error) {
			settle(u, SPOOL_AGAIN);
			pause_ship(u);
		}
		return;
	}
}

/* What an acknowledgement means for the batch in flight. */
static enum spool_outcome outcome_of(struct uplink *u, const struct wire_ack *ack)
{
	if (ack->sequence >= u->flight_sequence) {
		u->stored += u->flight_windows;
		u->last_ack_ns = clock_wall_ns();
		return SPOOL_STORED;
	}
	if (!ack->credit)
		return SPOOL_AGAIN;
	if (!u->refusal_logged)
		log_warning("uplink %s: the analyzer refused a batch, going on without it", u->url);
	u->refusal_logged = true;
	return SPOOL_REFUSED;
}

static void ship_answered(struct uplink *u, const void *answer, size_t size)
{
	struct wire_ack ack;

	if (wire_decode_ack(answer, size, &ack)) {
		if (!uplink_is_refused(u, answer, size))
			uplink_say_away(u, "it answers in another version of the protocol");
		settle(u, SPOOL_AGAIN);
		pause_ship(u);
		return;
	}
	uplink_say_there(u);
	settle(u, outcome_of(u, &ack));
	if (!ack.credit)
		pause_ship(u);
	else
		uplink_ship_next(u);
	if (!u->shipping)
		uplink_announce(u);
}

void uplink_ship_done(void *arg, int error, const void *answer, size_t size)
{
	struct uplink *u = arg;

	pthread_mutex_lock(&u->lock);
	u->shipping = false;
	if (!error) {
		ship_answered(u, answer, size);
	} else if (error == -EAGAIN) {
		uplink_ship_next(u);
	} else if (u->in_flight) {
		settle(u, SPOOL_AGAIN);
		if (!u->stopping) {
			uplink_note_failure(u, error);
			pause_ship(u);
		}
	}
	pthread_cond_broadcast(&u->moved);
	pthread_mutex_unlock(&u->lock);
}
