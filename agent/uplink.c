#include "agent/uplink_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"

#define DRAIN_NS 2000000000ULL

void uplink_announce(struct uplink *u)
{
	const uint64_t one = 1;

	/* the counter is far from full; only then could this fail */
	if (write(u->event_fd, &one, sizeof(one)) < 0)
		log_error("uplink: event counter: %s", strerror(errno));
}

void uplink_say_away(struct uplink *u, const char *why)
{
	if (u->analyzer == ANALYZER_AWAY || u->stopping)
		return;
	u->analyzer = ANALYZER_AWAY;
	log_warning("uplink %s: analyzer away: %s; windows are kept until it is back", u->url, why);
	pthread_cond_broadcast(&u->moved);
}

bool uplink_is_refused(struct uplink *u, const void *answer, size_t size)
{
	char why[WIRE_NAME];

	if (wire_decode_refusal(answer, size, why))
		return false;
	for (char *c = why; *c; c++) /* it is going to be printed */
		*c = (unsigned char)*c < ' ' || *c == 127 ? '?' : *c;
	uplink_say_away(u, why);
	return true;
}

int uplink_send(
	struct uplink *u, struct net_call *call, const void *message, size_t size, int timeout_ms)
{
	void *sealed;
	int error;

	if (!u->sealed)
		return net_call_start(call, message, size, timeout_ms);
	error = identity_seal(&u->key, message, size, &sealed, &size);
	if (error)
		return error;
	error = net_call_start(call, sealed, size, timeout_ms);
	free(sealed);
	return error;
}

void uplink_say_there(struct uplink *u)
{
	if (u->analyzer == ANALYZER_THERE)
		return;
	u->analyzer = ANALYZER_THERE;
	log_info("uplink %s: analyzer there", u->url);
}

void uplink_note_failure(struct uplink *u, int error)
{
	if (error == -ETIMEDOUT)
		net_client_hang_up(u->client);
	uplink_say_away(u, error == -ETIMEDOUT ? "no answer" : net_client_trouble(u->client));
}

static void connection_changed(void *arg, bool connected)
{
	struct uplink *u = arg;

	pthread_mutex_lock(&u->lock);
	u->connected = connected;
	uplink_announce(u);
	if (!connected)
		uplink_say_away(u, "connection lost");
	pthread_mutex_unlock(&u->lock);
}

/* ---- opening and closing --------------------------------------------- */

static int check_options(const struct uplink_options *o)
{
	if (o->mode <= 2)
		return 0;
	log_error("uplink: mode %u: 0 observe, 1 recommend, 2 enforce", o->mode);
	return -EINVAL;
}

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

static int open_key(struct uplink *u, const char *file)
{
	int error = identity_read(file, &u->key);

	if (error == -EBADMSG)
		log_error("--agent-key %s: the first line must be what `sage-analyzer agent-key` "
			  "prints for %s",
			file, u->agent.name);
	else if (error)
		log_error("--agent-key %s: %s", file, strerror(-error));
	u->sealed = !error;
	return error;
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
		error = net_call_open(&u->ship, u->client, uplink_ship_done, u);
	if (!error)
		error = net_call_open(&u->poll, u->client, uplink_poll_done, u);
	if (error)
		log_error("uplink: %s", why);
	return error;
}

static int open_parts(struct uplink *u, const struct uplink_options *o)
{
	int error = check_options(o);

	if (!error)
		error = name_agent(&u->agent, o->node);
	if (!error && o->key_file)
		error = open_key(u, o->key_file);
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
		uplink_ship_next(u);
		uplink_poll_next(u);
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
	explicit_bzero(&u->key, sizeof(u->key));
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
		uplink_ship_next(u);
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
