/*
 * The agent's hands: applies the leases of the analyzer to cgroup knobs and takes them
 * back. docs/operations.md, "Acting", is the contract.
 *
 * Nothing is written unless its path is allowed, its cgroup is the one that was meant, the
 * value is inside this node's own bounds, and the undo is on disk. A lease that is no longer in
 * the set, expires, or outlives the agent is undone; a value somebody else changed is left.
 *
 * One thread, the agent's main loop. `now_ns` is CLOCK_MONOTONIC. Writes to cgroup files
 * and one fsync per change are the only things that can take time.
 */
#ifndef SAGE_AGENT_ACTUATOR_H
#define SAGE_AGENT_ACTUATOR_H

#include "agent/knob.h"
#include "common/wire.h"

struct actuator;

enum actuator_mode { ACTUATOR_OBSERVE, ACTUATOR_RECOMMEND, ACTUATOR_ENFORCE };

/* "observe", "recommend", "enforce". */
const char *actuator_mode_name(enum actuator_mode m);
bool actuator_mode_parse(const char *name, enum actuator_mode *out);

/* This node's own bounds; they hold whatever the analyzer asks. */
struct actuator_limits {
	size_t max_active;          /* leases held at once, at most WIRE_MAX_LEASES / 2 */
	size_t max_changes_per_min; /* writes on this node, undoing not counted */
	uint32_t cooldown_ms;       /* between two changes of one knob */
	uint32_t max_ttl_ms;        /* a longer time to live is shortened to this */
	double max_step;           /* new / old and old / new; not asked where there was no limit */
	int64_t floor[WIRE_KNOBS]; /* least value, in the knob's unit */
	int64_t ceiling[WIRE_KNOBS]; /* greatest value; -1 = none, and then "no limit" is allowed */
};

void actuator_limits_default(struct actuator_limits *l);

struct actuator_options {
	/* Journal, action log and the kill switch; made if missing, with what is above. */
	const char *state_dir;
	enum actuator_mode mode;
	const char *const *allow; /* globs on the cgroup path, `*` crosses slashes; NULL-terminated;
				     NULL or empty = nothing is allowed */
	struct actuator_limits limits;
	const char *cgroup_below;         /* see cgroup_tree_find(); NULL = all mounts */
	const struct knob_layout *layout; /* NULL = as mounted there; copied */
	const char *own_path;             /* the agent's cgroup; NULL = it is found */
};

/*
 * Start. Replays the journal of a predecessor that died: what is ours and still holds our
 * value is reverted, whatever the mode. Returns 0, -EBUSY (another agent uses this state
 * directory), -ENOENT (no cgroup mounts), -ENOMEM or the error of the state directory.
 */
int actuator_open(struct actuator **out, const struct actuator_options *o);

/*
 * Take the full set of leases: new ones are applied, known ones renewed, missing ones
 * reverted. Returns 0, or -ESTALE when the set is of an older epoch: then nothing changes.
 */
int actuator_set(struct actuator *a, const struct wire_leases *l, uint64_t now_ns);

/*
 * Revert what expired, yield what somebody else changed, obey the kill switch. Returns when
 * to call again at the latest, UINT64_MAX when nothing is held. Call once a second while
 * leases are held.
 */
uint64_t actuator_tick(struct actuator *a, uint64_t now_ns);

/* Take out up to `max` reports, oldest first; what does not fit stays. Returns how many. */
size_t actuator_reports(struct actuator *a, struct wire_lease_report *out, size_t max);

/* Revert everything now; these leases do not come back. */
void actuator_release(struct actuator *a, uint64_t now_ns);

struct actuator_action {
	uint64_t id;
	uint64_t cgroup_id;
	enum wire_knob knob;
	int64_t old_value, value;
	uint64_t expires_ns; /* monotonic */
	bool inert;          /* the target granted this much already; nothing was written */
	bool stuck;          /* reverting is being retried */
	char path[WIRE_PATH];
	char reason[WIRE_NAME];
};

/* What is held now. Returns how many of them were written to out. */
size_t actuator_active(const struct actuator *a, struct actuator_action *out, size_t max);

struct actuator_stats {
	uint64_t applied, reverted, refused, yielded; /* since the start */
	uint64_t replayed;                            /* reverted from a predecessor's journal */
	uint64_t replay_foreign;  /* left alone there: changed by somebody else, or gone */
	uint64_t journal_damaged; /* journal records that failed their checksum */
	uint64_t reports_dropped; /* nobody took them in time */
	bool held;                /* the kill switch is on */
};

void actuator_stats(const struct actuator *a, struct actuator_stats *out);

/* Revert everything and release. Safe on NULL. */
void actuator_close(struct actuator *a);

#endif
