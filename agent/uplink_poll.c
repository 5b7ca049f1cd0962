#include "agent/uplink_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"

#define POLL_MS 15000      /* the analyzer answers within 10 s */
#define QUICK_NS 200000000 /* an unchanged answer faster than this was not a long poll */

static void pause_poll(struct uplink *u)
{
	u->polling = true;
	net_call_pause(u->poll, UPLINK_RETRY_MS);
}

void uplink_poll_next(struct uplink *u)
{
	struct wire_poll p = {
		.agent = u->agent, .mode = u->mode, .reports = u->reports, .report = u->report};
	void *message;
	size_t size;
	int error;

	if (u->stopping)
		return;
	error = wire_encode_poll(&p, &message, &size);
	if (error) {
		pause_poll(u);
		return;
	}
	u->polling = true;
	u->reports_sent = u->reports;
	u->polled_ns = clock_monotonic_ns();
	error = uplink_send(u, u->poll, message, size, POLL_MS);
	free(message);
	if (error)
		pause_poll(u);
}

static void forget_reports(struct uplink *u, uint32_t n)
{
	u->reports -= n;
	memmove(u->report, u->report + n, u->reports * sizeof(*u->report));
}

static void poll_answered(struct uplink *u, const void *answer, size_t size)
{
	struct wire_leases leases;
	bool quick = clock_monotonic_ns() - u->polled_ns < QUICK_NS && !u->reports_sent;

	if (wire_decode_leases(answer, size, &leases)) {
		uplink_is_refused(u, answer, size);
		u->reports_sent = 0;
		pause_poll(u);
		return;
	}
	uplink_say_there(u);
	forget_reports(u, u->reports_sent);
	u->reports_sent = 0;
	quick &= leases.epoch == u->leases.epoch && leases.leases == u->leases.leases;
	wire_leases_close(&u->leases);
	u->leases = leases;
	u->fresh = true;
	uplink_announce(u);
	if (quick)
		pause_poll(u);
	else
		uplink_poll_next(u);
}

void uplink_poll_done(void *arg, int error, const void *answer, size_t size)
{
	struct uplink *u = arg;

	pthread_mutex_lock(&u->lock);
	u->polling = false;
	if (!error) {
		poll_answered(u, answer, size);
	} else {
		u->reports_sent = 0;
		if (error == -EAGAIN || error == -ECANCELED) {
			uplink_poll_next(u);
		} else if (!u->stopping) {
			uplink_note_failure(u, error);
			pause_poll(u);
		}
	}
	pthread_cond_broadcast(&u->moved);
	pthread_mutex_unlock(&u->lock);
}
