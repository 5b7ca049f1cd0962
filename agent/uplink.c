#include "agent/uplink.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include "agent/spool.h"
#include "common/clock.h"
#include "common/log.h"

#define ACK_MS 15000
#define POLL_MS 15000      /* the analyzer answers within 10 s */
#define RETRY_MS 1000      /* after an error, or when the analyzer has no credit */
#define QUICK_NS 200000000 /* an unchanged answer faster than this was not a long poll */
#define DRAIN_NS 2000000000ULL

enum analyzer_state { ANALYZER_UNKNOWN, ANALYZER_AWAY, ANALYZER_THERE };

struct uplink {
	pthread_mutex_t lock; /* everything below */
	pthread_cond_t moved; /* something was settled or delivered, or the analyzer left */
	struct wire_agent agent;
	uint8_t mode;
	char *url;
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

static void announce(struct uplink *u)
{
	const uint64_t one = 1;

	/* the counter is far from full; only then could this fail */
	if (write(u->event_fd, &one, sizeof(one)) < 0)
		log_error("uplink: event counter: %s", strerror(errno));
}

static void say_away(struct uplink *u, const char *why)
{
	if (u->analyzer == ANALYZER_AWAY || u->stopping)
		return;
	u->analyzer = ANALYZER_AWAY;
	log_warning("uplink %s: analyzer away: %s; windows are kept until it is back", u->url, why);
	pthread_cond_broadcast(&u->moved);
}

static void say_there(struct uplink *u)
{
	if (u->analyzer == ANALYZER_THERE)
		return;
	u->analyzer = ANALYZER_THERE;
	log_info("uplink %s: analyzer there", u->url);
}

/* A call failed: what it was waiting for is overdue or gone. */
static void note_failure(struct uplink *u, int error)
{
	if (error == -ETIMEDOUT)
		net_client_hang_up(u->client);
	say_away(u, error == -ETIMEDOUT ? "no answer" : net_client_trouble(u->client));
}

/* ---- windows out ----------------------------------------------------- */

static void settle(struct uplink *u, enum spool_outcome outcome)
{
	u->in_flight = false;
	spool_settle(u->spool, outcome);
}

static void pause_ship(struct uplink *u)
{
	u->shipping = true;
	net_call_pause(u->ship, RETRY_MS);
}

/* Send the oldest batch there is. With the lock, when nothing is being shipped. */
static void ship_next(struct uplink *u)
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
		error = net_call_start(u->ship, batch, size, ACK_MS);
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
		say_away(u, "it answers in another version of the protocol");
		settle(u, SPOOL_AGAIN);
		pause_ship(u);
		return;
	}
	say_there(u);
	settle(u, outcome_of(u, &ack));
	if (!ack.credit)
		pause_ship(u);
	else
		ship_next(u);
	if (!u->shipping)
		announce(u);
}

static void ship_done(void *arg, int error, const void *answer, size_t size)
{
	struct uplink *u = arg;

	pthread_mutex_lock(&u->lock);
	u->shipping = false;
	if (!error) {
		ship_answered(u, answer, size);
	} else if (error == -EAGAIN) {
		ship_next(u);
	} else if (u->in_flight) {
		settle(u, SPOOL_AGAIN);
		if (!u->stopping) {
			note_failure(u, error);
			pause_ship(u);
		}
	}
	pthread_cond_broadcast(&u->moved);
	pthread_mutex_unlock(&u->lock);
}

/* ---- leases in ------------------------------------------------------- */

static void pause_poll(struct uplink *u)
{
	u->polling = true;
	net_call_pause(u->poll, RETRY_MS);
}

/* Ask for leases, with all reports there are. With the lock, when no poll is under way. */
static void poll_next(struct uplink *u)
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
	error = net_call_start(u->poll, message, size, POLL_MS);
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
		u->reports_sent = 0;
		pause_poll(u);
		return;
	}
	say_there(u);
	forget_reports(u, u->reports_sent);
	u->reports_sent = 0;
	quick &= leases.epoch == u->leases.epoch && leases.leases == u->leases.leases;
	wire_leases_close(&u->leases);
	u->leases = leases;
	u->fresh = true;
	announce(u);
	if (quick)
		pause_poll(u);
	else
		poll_next(u);
}

static void poll_done(void *arg, int error, const void *answer, size_t size)
{
	struct uplink *u = arg;

	pthread_mutex_lock(&u->lock);
	u->polling = false;
	if (!error) {
		poll_answered(u, answer, size);
	} else {
		u->reports_sent = 0;
		if (error == -EAGAIN || error == -ECANCELED) {
			poll_next(u);
		} else if (!u->stopping) {
			note_failure(u, error);
			pause_poll(u);
		}
	}
	pthread_cond_broadcast(&u->moved);
	pthread_mutex_unlock(&u->lock);
}

static void connection_changed(void *arg, bool connected)
{
	struct uplink *u = arg;

	pthread_mutex_lock(&u->lock);
	u->connected = connected;
	announce(u);
	if (!connected)
		say_away(u, "connection lost");
	pthread_mutex_unlock(&u->lock);
}

/* ---- opening and closing --------------------------------------------- */

static int name_agent(struct wire_agent *a, const char *node)
{
	if (getrandom(a->boot_id, sizeof(a->boot_id), 0) != sizeof(a->boot_id))
		return -EIO;
	if (!node)
		return gethostname(a->name, sizeof(a->name) - 1) ? -errno : 0;
	if (strlen(node) >= sizeof(a->name)) {
		log_error("uplink: node name longer than %d bytes", WIRE_NAME - 1);
		return -EINVAL;
	}
	strcpy(a->name, node);
	return 0;
}

static int open_spool(struct uplink *u, const struct uplink_options *o)
{
	struct spool_options spool = {.dir = o->spool_dir,
		.bytes = o->spool_bytes,
		.max_age_ns = o->spool_max_age_ns,
		.max_record = WIRE_MAX_MESSAGE};
	int error = spool_open(&u->spool, &spool);

	if (error)
		log_error("spool %s: %s%s", o->spool_dir ? o->spool_dir : "(memory)",
			strerror(-error), error == -EBUSY ? ": another agent uses it" : "");
	return error;
}

static int open_client(struct uplink *u, const struct uplink_options *o)
{
	char why[NET_WHY] = "out of memory";
	int error = net_client_open(&u->client, o->url, &o->tls, connection_changed, u, why);

	if (!error)
		error = net_call_open(&u->ship, u->client, ship_done, u);
	if (!error)
		error = net_call_open(&u->poll, u->client, poll_done, u);
	if (error)
		log_error("uplink: %s", why);
	return error;
}

static int open_parts(struct uplink *u, const struct uplink_options *o)
{
	int error = name_agent(&u->agent, o->node);

	u->mode = o->mode;
	u->url = strdup(o->url ? o->url : "(none)");
	u->report = calloc(WIRE_MAX_REPORTS, sizeof(*u->report));
	u->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (!error && (!u->url || !u->report))
		error = -ENOMEM;
	if (!error && u->event_fd < 0)
		error = -errno;
	if (!error)
		error = open_spool(u, o);
	if (!error && o->url)
		error = open_client(u, o);
	return error;
}

int uplink_open(struct uplink **out, const struct uplink_options *o)
{
	struct uplink *u = calloc(1, sizeof(*u));
	int error;

	if (!u)
		return -ENOMEM;
	u->event_fd = -1;
	pthread_mutex_init(&u->lock, NULL);
	pthread_cond_init(&u->moved, NULL);
	error = open_parts(u, o);
	if (error) {
		uplink_close(u);
		return error;
	}
	pthread_mutex_lock(&u->lock);
	if (u->client) {
		ship_next(u);
		poll_next(u);
	}
	pthread_mutex_unlock(&u->lock);
	*out = u;
	return 0;
}

/* Until nothing is left to say, the analyzer is away, or time is up. With the lock. */
static void drain(struct uplink *u)
{
	uint64_t end = clock_monotonic_ns() + DRAIN_NS;
	struct timespec deadline = {
		.tv_sec = (time_t)(end / 1000000000), .tv_nsec = (long)(end % 1000000000)};
	struct spool_stats spool;

	while (u->connected) {
		spool_stats(u->spool, &spool);
		if (!spool.records && !u->reports)
			return;
		if (pthread_cond_clockwait(&u->moved, &u->lock, CLOCK_MONOTONIC, &deadline))
			return;
	}
}

void uplink_close(struct uplink *u)
{
	if (!u)
		return;
	if (u->client) {
		pthread_mutex_lock(&u->lock);
		drain(u);
		u->stopping = true;
		pthread_mutex_unlock(&u->lock);
		net_client_close(u->client);
	}
	spool_close(u->spool);
	wire_leases_close(&u->leases);
	if (u->event_fd >= 0)
		close(u->event_fd);
	pthread_cond_destroy(&u->moved);
	pthread_mutex_destroy(&u->lock);
	free(u->report);
	free(u->url);
	free(u);
}

/* ---- the agent's calls ----------------------------------------------- */

static int spool_window(struct uplink *u, const struct wire_window *w)
{
	struct wire_window window = *w; /* its arrays stay the caller's */
	struct wire_batch batch = {
		.agent = u->agent, .sequence = u->sequence + 1, .windows = 1, .window = &window};
	struct spool_stats spool;
	void *message;
	size_t size;
	int error;

	spool_stats(u->spool, &spool);
	window.loss[LOSS_SPOOL_FULL] += spool.dropped_full;
	window.loss[LOSS_SPOOL_DAMAGED] += spool.dropped_damaged;
	window.loss[LOSS_WINDOW_TOO_BIG] += u->too_big;
	error = wire_encode_batch(&batch, &message, &size);
	if (error) {
		u->too_big++;
		return error;
	}
	u->sequence++;
	error = spool_push(u->spool, message, size, 1);
	free(message);
	return error;
}

int uplink_push(struct uplink *u, const struct wire_window *w)
{
	int error;

	pthread_mutex_lock(&u->lock);
	u->produced++;
	error = spool_window(u, w);
	if (u->client && !u->shipping)
		ship_next(u);
	pthread_mutex_unlock(&u->lock);
	return error;
}

int uplink_fd(const struct uplink *u)
{
	return u->event_fd;
}

bool uplink_take_leases(struct uplink *u, struct wire_leases *out)
{
	struct wire_leases copy = {0};
	uint64_t count;
	bool fresh;

	pthread_mutex_lock(&u->lock);
	if (read(u->event_fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		log_error("uplink: event counter: %s", strerror(errno));
	fresh = u->fresh;
	if (fresh) {
		copy = u->leases;
		copy.lease = calloc(copy.leases ? copy.leases : 1, sizeof(*copy.lease));
		fresh = copy.lease != NULL;
	}
	if (fresh) {
		memcpy(copy.lease, u->leases.lease, copy.leases * sizeof(*copy.lease));
		u->fresh = false;
		*out = copy;
	}
	pthread_mutex_unlock(&u->lock);
	return fresh;
}

void uplink_report(struct uplink *u, const struct wire_lease_report *r, size_t n)
{
	pthread_mutex_lock(&u->lock);
	for (size_t i = 0; i < n; i++) {
		if (u->reports == WIRE_MAX_REPORTS) {
			u->reports_dropped++;
			continue;
		}
		u->report[u->reports++] = r[i];
	}
	/* a poll that waits for leases is cut short; one that carries reports is answered soon */
	if (n && u->polling && !u->reports_sent)
		net_call_cancel(u->poll);
	pthread_mutex_unlock(&u->lock);
}

void uplink_stats(struct uplink *u, struct uplink_stats *out)
{
	struct spool_stats spool;

	pthread_mutex_lock(&u->lock);
	spool_stats(u->spool, &spool);
	*out = (struct uplink_stats){.connected = u->connected,
		.last_ack_ns = u->last_ack_ns,
		.produced = u->produced,
		.recovered = spool.recovered,
		.stored = u->stored,
		.dropped = spool.dropped_full + spool.dropped_damaged + u->too_big,
		.pending = spool.windows,
		.spool_bytes = spool.bytes,
		.reports_dropped = u->reports_dropped};
	out->loss[LOSS_SPOOL_FULL] = spool.dropped_full;
	out->loss[LOSS_SPOOL_DAMAGED] = spool.dropped_damaged;
	out->loss[LOSS_WINDOW_TOO_BIG] = u->too_big;
	pthread_mutex_unlock(&u->lock);
}
