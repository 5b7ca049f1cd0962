#include "agent/actuator.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/action_log.h"
#include "agent/held.h"
#include "common/clock.h"
#include "common/log.h"

#define SECOND_NS 1000000000ULL
#define REPORTS (2 * WIRE_MAX_LEASES)
#define FINISHED (2 * WIRE_MAX_LEASES)
#define MIN_TTL_MS 1000

enum fate { READY, DEFERRED, REFUSED };

/* A new lease on its way: the members of a chain share one fate. */
struct candidate {
	struct held held;
	size_t chain; /* candidate that stands highest above it, itself if none */
	enum fate fate;
	bool applied;
	char why[GUARD_WHY];
};

/* A lease that ended or was refused is not taken up again while it is still sent. */
struct finished {
	uint64_t id;
	uint64_t inode; /* its cgroup: ids start anew when an analyzer loses its data */
};

struct touched {
	uint64_t inode, at_ns;
	enum wire_knob kind;
};

struct actuator {
	enum actuator_mode mode;
	struct guard guard;
	struct knob_layout layout;
	struct journal journal;
	struct actuator_stats stats;
	struct held held[WIRE_MAX_LEASES]; /* [helds] */
	size_t helds;
	struct candidate candidate[WIRE_MAX_LEASES]; /* of one actuator_set() */
	struct finished finished[FINISHED];          /* ring */
	size_t finishes;
	struct touched touched[WIRE_MAX_LEASES]; /* ring: when a knob was last changed */
	size_t touches;
	uint64_t minute_ns; /* start of the minute the changes are counted in */
	size_t changes;
	struct wire_lease_report report[REPORTS]; /* ring */
	size_t report_first, reports;
};

static const char *const mode_name[] = {"observe", "recommend", "enforce"};

const char *actuator_mode_name(enum actuator_mode m)
{
	return m <= ACTUATOR_ENFORCE ? mode_name[m] : "unknown";
}

bool actuator_mode_parse(const char *name, enum actuator_mode *out)
{
	for (unsigned m = 0; m <= ACTUATOR_ENFORCE; m++)
		if (!strcmp(name, mode_name[m])) {
			*out = (enum actuator_mode)m;
			return true;
		}
	return false;
}

/* ---- reports ---- */

static void count(struct actuator *a, enum wire_lease_state state)
{
	a->stats.applied += state == LEASE_APPLIED;
	a->stats.reverted += state == LEASE_REVERTED;
	a->stats.refused += state == LEASE_REFUSED;
	a->stats.yielded += state == LEASE_YIELDED;
}

/* Tell the analyzer, the action log and the log. */
static void report(
	struct actuator *a, const struct held *h, enum wire_lease_state state, const char *detail)
{
	struct wire_lease_report *r;
	int error;

	if (a->reports == REPORTS) {
		a->report_first = (a->report_first + 1) % REPORTS;
		a->reports--;
		a->stats.reports_dropped++;
	}
	r = &a->report[(a->report_first + a->reports++) % REPORTS];
	*r = (struct wire_lease_report){.id = h->lease.id,
		.state = (uint8_t)state,
		.old_value = h->old.value,
		.value = h->now,
		.at_ns = clock_wall_ns()};
	snprintf(r->detail, sizeof(r->detail), "%s", detail);
	count(a, state);
	log_info("action %" PRIu64 ": %s %s on %s, %" PRId64 " -> %" PRId64 ": %s", r->id,
		wire_lease_state_name(state), wire_knob_name(h->lease.knob), h->lease.path,
		r->old_value, r->value, *detail ? detail : h->lease.reason);
	error = action_log_write(a->journal.dir, &h->lease, r);
	if (error)
		log_warning("action log: %s, going on without this line", strerror(-error));
}

size_t actuator_reports(struct actuator *a, struct wire_lease_report *out, size_t max)
{
	size_t n = a->reports < max ? a->reports : max;

	for (size_t i = 0; i < n; i++)
		out[i] = a->report[(a->report_first + i) % REPORTS];
	a->report_first = (a->report_first + n) % REPORTS;
	a->reports -= n;
	return n;
}

/* ---- memory of leases and knobs ---- */

static void finish(struct actuator *a, const struct wire_lease *l)
{
	a->finished[a->finishes++ % FINISHED] =
		(struct finished){.id = l->id, .inode = l->cgroup_id};
}

static bool is_finished(const struct actuator *a, const struct wire_lease *l)
{
	for (size_t i = 0; i < FINISHED && i < a->finishes; i++)
		if (a->finished[i].id == l->id && a->finished[i].inode == l->cgroup_id)
			return true;
	return false;
}

static void touch(struct actuator *a, const struct held *h, uint64_t now_ns)
{
	a->touched[a->touches++ % WIRE_MAX_LEASES] =
		(struct touched){.inode = h->knob.inode, .kind = h->knob.kind, .at_ns = now_ns};
}

static bool is_cooling(const struct actuator *a, const struct held *h, uint64_t now_ns)
{
	uint64_t cooldown_ns = a->guard.limits.cooldown_ms * 1000000ULL;

	for (size_t i = 0; i < WIRE_MAX_LEASES && i < a->touches; i++)
		if (a->touched[i].inode == h->knob.inode && a->touched[i].kind == h->knob.kind &&
			now_ns - a->touched[i].at_ns < cooldown_ns)
			return true;
	return false;
}

/* Changes of this node left in the current minute. */
static size_t budget(struct actuator *a, uint64_t now_ns)
{
	size_t max = a->guard.limits.max_changes_per_min;

	if (now_ns - a->minute_ns >= 60 * SECOND_NS) {
		a->minute_ns = now_ns;
		a->changes = 0;
	}
	return a->changes < max ? max - a->changes : 0;
}

static uint64_t expiry(const struct actuator *a, const struct wire_lease *l, uint64_t now_ns)
{
	uint32_t ttl_ms = l->ttl_ms;

	if (ttl_ms > a->guard.limits.max_ttl_ms)
		ttl_ms = a->guard.limits.max_ttl_ms;
	if (ttl_ms < MIN_TTL_MS)
		ttl_ms = MIN_TTL_MS;
	return now_ns + ttl_ms * 1000000ULL;
}

/* ---- undoing ---- */

static unsigned depth(const char *path)
{
	unsigned n = 0;

	for (; *path; path++)
		n += *path == '/';
	return n;
}

/* Children before parents when limits go down, parents first when they go up. */
static long undo_order(const struct held *h)
{
	long d = depth(h->lease.path);

	return held_reverts_down(h) ? -d : d;
}

static void mark(struct held *h, const char *why)
{
	if (h->reverting)
		return;
	h->reverting = true;
	h->retry_ns = 0;
	snprintf(h->why, sizeof(h->why), "%s", why);
}

static void drop(struct actuator *a, struct held *h, enum wire_lease_state state, const char *why)
{
	report(a, h, state, why);
	finish(a, &h->lease);
	held_close(h);
	*h = a->held[--a->helds];
}

static struct held *next_to_undo(struct actuator *a, uint64_t now_ns)
{
	struct held *best = NULL;

	for (size_t i = 0; i < a->helds; i++) {
		struct held *h = &a->held[i];

		if (!h->reverting || h->retry_ns > now_ns)
			continue;
		if (!best || undo_order(h) < undo_order(best))
			best = h;
	}
	return best;
}

/* Undo all that is marked; what fails is tried again a second later. */
static void undo_marked(struct actuator *a, uint64_t now_ns)
{
	struct held *h;

	while ((h = next_to_undo(a, now_ns))) {
		int error = held_revert(h, &a->journal);

		if (!error && !h->inert)
			touch(a, h, now_ns);
		if (!error)
			drop(a, h, LEASE_REVERTED, h->why);
		else if (error == -ECANCELED)
			drop(a, h, LEASE_YIELDED, "somebody else changed the value: left as it is");
		else if (error == -ENODEV)
			drop(a, h, LEASE_YIELDED, "the cgroup is gone");
		else {
			log_warning("action %" PRIu64
				    ": cannot restore \"%s\" on %s: %s, trying again",
				h->lease.id, h->old.text, h->lease.path, strerror(-error));
			h->retry_ns = now_ns + SECOND_NS;
		}
	}
}

static void undo_all(struct actuator *a, const char *why, uint64_t now_ns)
{
	for (size_t i = 0; i < a->helds; i++)
		mark(&a->held[i], why);
	undo_marked(a, now_ns);
}

/* ---- taking a set ---- */

static const struct wire_lease *find_lease(const struct wire_leases *l, uint64_t id)
{
	for (uint32_t i = 0; i < l->leases; i++)
		if (l->lease[i].id == id)
			return &l->lease[i];
	return NULL;
}

static bool same_content(const struct wire_lease *a, const struct wire_lease *b)
{
	return a->cgroup_id == b->cgroup_id && a->knob == b->knob && a->value == b->value &&
	       !strcmp(a->path, b->path);
}

static void renew_or_undo(struct actuator *a, const struct wire_leases *l, uint64_t now_ns)
{
	for (size_t i = 0; i < a->helds; i++) {
		struct held *h = &a->held[i];
		const struct wire_lease *again = find_lease(l, h->lease.id);

		if (again && same_content(again, &h->lease))
			h->expires_ns = expiry(a, again, now_ns);
		else
			mark(h, "taken back by the analyzer");
	}
	undo_marked(a, now_ns);
}

static bool is_known(const struct actuator *a, const struct wire_lease *l, size_t candidates)
{
	for (size_t i = 0; i < a->helds; i++)
		if (a->held[i].lease.id == l->id)
			return true;
	for (size_t i = 0; i < candidates; i++)
		if (a->candidate[i].held.lease.id == l->id)
			return true;
	return is_finished(a, l);
}

static bool is_taken(const struct actuator *a, const struct held *h, size_t candidates)
{
	for (size_t i = 0; i < a->helds; i++)
		if (held_same_knob(&a->held[i], h))
			return true;
	for (size_t i = 0; i < candidates; i++)
		if (a->candidate[i].fate == READY && held_same_knob(&a->candidate[i].held, h))
			return true;
	return false;
}

static void refuse(struct candidate *c, const char *why)
{
	c->fate = REFUSED;
	snprintf(c->why, sizeof(c->why), "%s", why);
}

static void judge(struct actuator *a, struct candidate *c, const struct wire_lease *l,
	size_t before, uint64_t now_ns)
{
	*c = (struct candidate){.fate = READY, .chain = before};
	c->held.lease = *l;
	c->held.knob = (struct knob){.identity = -1, .dir = -1, .netlink = -1};
	c->held.old.value = c->held.now = WIRE_ANY_VALUE;
	if (a->stats.held)
		refuse(c, "the kill switch is on: remove the file `hold` in the state directory");
	else if (a->mode != ACTUATOR_ENFORCE)
		refuse(c, a->mode == ACTUATOR_OBSERVE ? "this agent only observes"
						      : "this agent only recommends");
	else if (l->epoch < a->journal.epoch)
		refuse(c, "from an older term of the analyzer");
	else if (held_prepare(&c->held, l, &a->layout, &a->guard, c->why))
		c->fate = REFUSED;
	else if (is_taken(a, &c->held, before))
		refuse(c, "another lease holds this knob");
	else if (a->helds + before >= a->guard.limits.max_active)
		refuse(c, "this node holds as many leases as it may");
	else if (!c->held.inert && (is_cooling(a, &c->held, now_ns) || budget(a, now_ns) <= before))
		c->fate = DEFERRED;
}

static size_t gather(struct actuator *a, const struct wire_leases *l, uint64_t now_ns)
{
	size_t n = 0;

	for (uint32_t i = 0; i < l->leases; i++)
		if (!is_known(a, &l->lease[i], n)) {
			judge(a, &a->candidate[n], &l->lease[i], n, now_ns);
			n++;
		}
	return n;
}

static bool is_above(const struct wire_lease *parent, const struct wire_lease *child)
{
	size_t n = strlen(parent->path);

	return parent->knob == child->knob && !strncmp(parent->path, child->path, n) &&
	       child->path[n] == '/';
}

static void link_chains(struct actuator *a, size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < n; j++) {
			struct candidate *c = &a->candidate[i];

			if (is_above(&a->candidate[j].held.lease,
				    &a->candidate[c->chain].held.lease))
				c->chain = j;
		}
}

/* All or nothing: the worst fate in a chain is everybody's. */
static void share_fate(struct actuator *a, size_t n)
{
	char why[GUARD_WHY];

	for (size_t i = 0; i < n; i++) {
		const struct candidate *bad = &a->candidate[i];

		snprintf(why, sizeof(why), "together with %.100s: %.100s", bad->held.lease.path,
			bad->why);
		for (size_t j = 0; j < n; j++) {
			struct candidate *c = &a->candidate[j];

			if (c->chain != bad->chain || c->fate >= bad->fate)
				continue;
			c->fate = bad->fate;
			memcpy(c->why, why, sizeof(c->why));
		}
	}
}

/* Parents before children on raise, children before parents on lower. */
static long apply_order(const struct candidate *c)
{
	long d = depth(c->held.lease.path);

	return knob_compare(c->held.knob.kind, c->held.lease.value, c->held.old.value) > 0 ? d : -d;
}

static struct candidate *next_to_apply(struct actuator *a, size_t n)
{
	struct candidate *best = NULL;

	for (size_t i = 0; i < n; i++) {
		struct candidate *c = &a->candidate[i];

		if (c->fate != READY || c->applied)
			continue;
		if (!best || apply_order(c) < apply_order(best))
			best = c;
	}
	return best;
}

/* One failed: take back what its chain has done so far. Held as reverting if that fails. */
static void back_out(struct actuator *a, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct candidate *c = &a->candidate[i];

		if (c->fate != REFUSED || !c->applied)
			continue;
		c->applied = false;
		mark(&c->held, c->why);
		a->held[a->helds++] = c->held;
		c->held.knob = (struct knob){.identity = -1, .dir = -1, .netlink = -1};
	}
}

static void settle(struct actuator *a, struct candidate *c, uint64_t now_ns)
{
	if (c->applied) {
		c->held.expires_ns = expiry(a, &c->held.lease, now_ns);
		a->held[a->helds++] = c->held;
		report(a, &c->held, LEASE_APPLIED,
			c->held.inert ? "the target grants this already: nothing was written" : "");
		return;
	}
	/* Backed out ones are reported, as reverted, by undo_marked(). */
	if (c->fate == REFUSED && !c->held.reverting) {
		report(a, &c->held, LEASE_REFUSED, c->why);
		finish(a, &c->held.lease);
	}
	held_close(&c->held);
}

static void apply(struct actuator *a, size_t n, uint64_t now_ns)
{
	struct candidate *c;

	while ((c = next_to_apply(a, n))) {
		if (held_apply(&c->held, &a->journal, c->why)) {
			c->fate = REFUSED;
			share_fate(a, n);
			back_out(a, n);
			continue;
		}
		c->applied = true;
		if (c->held.inert)
			continue;
		a->changes++;
		touch(a, &c->held, now_ns);
	}
	for (size_t i = 0; i < n; i++)
		settle(a, &a->candidate[i], now_ns);
	undo_marked(a, now_ns);
}

static void obey_kill_switch(struct actuator *a, uint64_t now_ns)
{
	a->stats.held = !faccessat(a->journal.dir, "hold", F_OK, 0);
	if (a->stats.held && a->helds)
		undo_all(a, "the kill switch is on", now_ns);
}

int actuator_set(struct actuator *a, const struct wire_leases *l, uint64_t now_ns)
{
	size_t n;

	if (l->leases > WIRE_MAX_LEASES)
		return -EINVAL;
	if (l->epoch < a->journal.epoch)
		return -ESTALE;
	if (l->epoch > a->journal.epoch) {
		int error = journal_epoch(&a->journal, l->epoch);

		if (error)
			return error;
	}
	obey_kill_switch(a, now_ns);
	renew_or_undo(a, l, now_ns);
	n = gather(a, l, now_ns);
	link_chains(a, n);
	share_fate(a, n);
	apply(a, n, now_ns);
	return 0;
}

/* ---- time ---- */

static void yield_foreign(struct actuator *a)
{
	for (size_t i = a->helds; i-- > 0;) {
		struct held *h = &a->held[i];

		if (!held_is_foreign(h, &h->now))
			continue;
		if (journal_end(&a->journal, h->lease.id))
			log_warning("journal: cannot note the end of action %" PRIu64, h->lease.id);
		drop(a, h, LEASE_YIELDED,
			h->now == WIRE_ANY_VALUE
				? "the cgroup is gone"
				: "somebody else changed the value: left as it is");
	}
}

uint64_t actuator_tick(struct actuator *a, uint64_t now_ns)
{
	obey_kill_switch(a, now_ns);
	yield_foreign(a);
	for (size_t i = 0; i < a->helds; i++)
		if (a->held[i].expires_ns <= now_ns)
			mark(&a->held[i], "not renewed in time");
	undo_marked(a, now_ns);
	return a->helds ? now_ns + SECOND_NS : UINT64_MAX;
}

void actuator_release(struct actuator *a, uint64_t now_ns)
{
	undo_all(a, "released by hand on the node", now_ns);
}

/* ---- open, close, show ---- */

/* Undo what a predecessor left. Held as reverting, so that what fails is tried again. */
static void replay(struct actuator *a)
{
	struct journal_change *c = a->journal.change;

	for (size_t i = a->journal.changes; i-- > 0;) {
		struct held *h = &a->held[a->helds];
		int error = held_resume(h, &c[i], &a->layout);

		snprintf(h->why, sizeof(h->why), "left by an agent that died");
		if (!error) {
			a->helds++;
			continue;
		}
		report(a, h, LEASE_YIELDED, "left by an agent that died; the cgroup is gone");
		journal_end(&a->journal, h->lease.id);
	}
	undo_marked(a, clock_monotonic_ns());
	a->stats.replayed = a->stats.reverted;
	a->stats.replay_foreign = a->stats.yielded;
}

static int open_parts(struct actuator *a, const struct actuator_options *o)
{
	int error = guard_open(&a->guard, o);

	if (error)
		return error;
	if (o->layout)
		a->layout = *o->layout;
	else
		error = knob_layout_read(&a->layout, "/proc/self/mounts");
	if (!error)
		error = journal_open(&a->journal, o->state_dir);
	return error;
}

int actuator_open(struct actuator **out, const struct actuator_options *o)
{
	struct actuator *a = calloc(1, sizeof(*a));
	int error;

	if (!a)
		return -ENOMEM;
	a->mode = o->mode;
	a->journal = (struct journal){.dir = -1, .lock = -1, .file = -1};
	error = open_parts(a, o);
	if (error) {
		actuator_close(a);
		return error;
	}
	if (a->guard.limits.max_active > WIRE_MAX_LEASES / 2)
		a->guard.limits.max_active = WIRE_MAX_LEASES / 2;
	a->stats.journal_damaged = a->journal.damaged;
	replay(a);
	*out = a;
	return 0;
}

void actuator_close(struct actuator *a)
{
	if (!a)
		return;
	undo_all(a, "the agent stops", clock_monotonic_ns());
	for (size_t i = 0; i < a->helds; i++) {
		log_error("action %" PRIu64 ": %s keeps our value until the next start",
			a->held[i].lease.id, a->held[i].lease.path);
		held_close(&a->held[i]);
	}
	journal_close(&a->journal);
	guard_close(&a->guard);
	free(a);
}

size_t actuator_active(const struct actuator *a, struct actuator_action *out, size_t max)
{
	size_t n = a->helds < max ? a->helds : max;

	for (size_t i = 0; i < n; i++) {
		const struct held *h = &a->held[i];

		out[i] = (struct actuator_action){.id = h->lease.id,
			.cgroup_id = h->knob.inode,
			.knob = h->knob.kind,
			.old_value = h->old.value,
			.value = h->now,
			.expires_ns = h->expires_ns,
			.inert = h->inert,
			.stuck = h->reverting};
		memcpy(out[i].path, h->lease.path, sizeof(out[i].path));
		memcpy(out[i].reason, h->lease.reason, sizeof(out[i].reason));
	}
	return n;
}

void actuator_stats(const struct actuator *a, struct actuator_stats *out)
{
	*out = a->stats;
}
