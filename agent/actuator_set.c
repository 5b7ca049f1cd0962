#include "agent/actuator.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/actuator_state.h"

#define MIN_TTL_MS 1000

/* ---- what is known of leases and knobs ---- */

static bool is_finished(const struct actuator *a, const struct wire_lease *l)
{
	for (size_t i = 0; i < FINISHED && i < a->finishes; i++)
		if (a->finished[i].id == l->id && a->finished[i].inode == l->cgroup_id)
			return true;
	return false;
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
			actuator_mark(h, "taken back by the analyzer");
	}
	actuator_undo_marked(a, now_ns);
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

/* What came over the wire is going to be printed. */
static void clean(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 127)
			*text = '?';
}

static void judge(struct actuator *a, struct candidate *c, const struct wire_lease *l,
	size_t before, uint64_t now_ns)
{
	*c = (struct candidate){.fate = READY, .chain = before};
	c->held.lease = *l;
	clean(c->held.lease.path);
	clean(c->held.lease.reason);
	c->held.knob = (struct knob){.identity = -1, .dir = -1, .netlink = -1};
	c->held.old.value = c->held.now = WIRE_ANY_VALUE;
	if (!knob_path_is_sane(l->path))
		refuse(c, "malformed path");
	else if (a->stats.held)
		refuse(c, "the kill switch is on: remove the file `hold` in the state directory");
	else if (a->mode != ACTUATOR_ENFORCE)
		refuse(c, a->mode == ACTUATOR_OBSERVE ? "this agent only observes"
						      : "this agent only recommends");
	else if (l->epoch < a->journal.epoch)
		refuse(c, "from an older term of the analyzer");
	else if (held_prepare(&c->held, &c->held.lease, &a->layout, &a->guard, c->why))
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
	long d = actuator_depth(c->held.lease.path);

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
		actuator_mark(&c->held, c->why);
		a->held[a->helds++] = c->held;
		c->held.knob = (struct knob){.identity = -1, .dir = -1, .netlink = -1};
	}
}

static void settle(struct actuator *a, struct candidate *c, uint64_t now_ns)
{
	if (c->applied) {
		c->held.expires_ns = expiry(a, &c->held.lease, now_ns);
		a->held[a->helds++] = c->held;
		actuator_report(a, &c->held, LEASE_APPLIED,
			c->held.inert ? "the target grants this already: nothing was written" : "");
		return;
	}
	/* Backed out ones are reported, as reverted, by actuator_undo_marked(). */
	if (c->fate == REFUSED && !c->held.reverting) {
		actuator_report(a, &c->held, LEASE_REFUSED, c->why);
		actuator_finish(a, &c->held.lease);
	}
	held_close(&c->held);
}

static void apply(struct actuator *a, size_t n, uint64_t now_ns)
{
	struct candidate *c;

	while ((c = next_to_apply(a, n))) {
		if (held_apply(&c->held, &a->journal, c->why)) {
			c->fate = REFUSED;
			c->applied = c->held.dirty; /* back_out() sees to its undoing */
			share_fate(a, n);
			back_out(a, n);
			continue;
		}
		c->applied = true;
		if (c->held.inert)
			continue;
		a->changes++;
		actuator_touch(a, &c->held, now_ns);
	}
	for (size_t i = 0; i < n; i++)
		settle(a, &a->candidate[i], now_ns);
	actuator_undo_marked(a, now_ns);
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
	actuator_obey_kill_switch(a, now_ns);
	renew_or_undo(a, l, now_ns);
	n = gather(a, l, now_ns);
	link_chains(a, n);
	share_fate(a, n);
	apply(a, n, now_ns);
	return 0;
}
