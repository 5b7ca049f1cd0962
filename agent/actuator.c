#include "agent/actuator.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/action_log.h"
#include "agent/actuator_state.h"
#include "common/clock.h"
#include "common/log.h"

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

void actuator_report(
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

void actuator_finish(struct actuator *a, const struct wire_lease *l)
{
	a->finished[a->finishes++ % FINISHED] =
		(struct finished){.id = l->id, .inode = l->cgroup_id};
}

void actuator_touch(struct actuator *a, const struct held *h, uint64_t now_ns)
{
	a->touched[a->touches++ % WIRE_MAX_LEASES] =
		(struct touched){.inode = h->knob.inode, .kind = h->knob.kind, .at_ns = now_ns};
}

/* ---- undoing ---- */

unsigned actuator_depth(const char *path)
{
	unsigned n = 0;

	for (; *path; path++)
		n += *path == '/';
	return n;
}

/* Children before parents when limits go down, parents first when they go up. */
static long undo_order(const struct held *h)
{
	long d = actuator_depth(h->lease.path);

	return held_reverts_down(h) ? -d : d;
}

void actuator_mark(struct held *h, const char *why)
{
	if (h->reverting)
		return;
	h->reverting = true;
	h->retry_ns = 0;
	snprintf(h->why, sizeof(h->why), "%s", why);
}

static void drop(struct actuator *a, struct held *h, enum wire_lease_state state, const char *why)
{
	actuator_report(a, h, state, why);
	actuator_finish(a, &h->lease);
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
void actuator_undo_marked(struct actuator *a, uint64_t now_ns)
{
	struct held *h;

	while ((h = next_to_undo(a, now_ns))) {
		int error = held_revert(h, &a->journal);

		if (!error && !h->inert)
			actuator_touch(a, h, now_ns);
		if (!error)
			drop(a, h, LEASE_REVERTED, h->why);
		else if (error == -ECANCELED)
			drop(a, h, LEASE_YIELDED, "somebody else changed the value: left as it is");
		else if (error == -ENODEV)
			drop(a, h, LEASE_YIELDED, "the cgroup is gone");
		else {
			if (!h->retry_ns)
				log_warning("action %" PRIu64 ": cannot restore \"%s\" on %s: %s,"
					    " trying again every second",
					h->lease.id, h->old.text, h->lease.path, strerror(-error));
			h->retry_ns = now_ns + SECOND_NS;
		}
	}
}

static void undo_all(struct actuator *a, const char *why, uint64_t now_ns)
{
	for (size_t i = 0; i < a->helds; i++)
		actuator_mark(&a->held[i], why);
	actuator_undo_marked(a, now_ns);
}

void actuator_obey_kill_switch(struct actuator *a, uint64_t now_ns)
{
	a->stats.held = !faccessat(a->journal.dir, "hold", F_OK, 0);
	if (a->stats.held && a->helds)
		undo_all(a, "the kill switch is on", now_ns);
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
	actuator_obey_kill_switch(a, now_ns);
	yield_foreign(a);
	for (size_t i = 0; i < a->helds; i++)
		if (a->held[i].expires_ns <= now_ns)
			actuator_mark(&a->held[i], "not renewed in time");
	actuator_undo_marked(a, now_ns);
	return a->helds ? now_ns + SECOND_NS : UINT64_MAX;
}

void actuator_release(struct actuator *a, uint64_t now_ns)
{
	undo_all(a, "released on the node", now_ns);
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
		if (error != -ENOENT && error != -ESTALE && error != -ENODEV) {
			log_error("action %" PRIu64 ": cannot open %s of %s to restore \"%s\": %s;"
				  " it stays in the journal for the next start",
				h->lease.id, wire_knob_name(h->lease.knob), h->lease.path,
				h->old.text, strerror(-error));
			continue;
		}
		actuator_report(
			a, h, LEASE_YIELDED, "left by an agent that died; the cgroup is gone");
		journal_end(&a->journal, h->lease.id);
	}
	actuator_undo_marked(a, clock_monotonic_ns());
	a->stats.replayed = a->stats.reverted;
	a->stats.replay_foreign = a->stats.yielded;
}

static int open_parts(struct actuator *a, const struct actuator_options *o)
{
	int error = 0;

	if (o->layout)
		a->layout = *o->layout;
	else
		error = knob_layout_find(&a->layout, "/proc/self/mountinfo", o->cgroup_below);
	if (!error)
		error = guard_open(&a->guard, o, a->layout.mount[KNOB_CPU].dir);
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
