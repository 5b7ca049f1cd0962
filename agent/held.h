/*
 * One lease in the agent's hands: checked, applied with its undo on disk first, watched
 * for changes by others, reverted. For actuator.c only, which decides when; one thread.
 */
#ifndef SAGE_AGENT_HELD_H
#define SAGE_AGENT_HELD_H

#include "agent/guard.h"
#include "agent/journal.h"

struct held {
	struct wire_lease lease;
	struct knob knob;      /* owned */
	struct knob_value old; /* what stood there before */
	int64_t now;           /* what stands there by our doing */
	bool inert;            /* it granted this much already: nothing written, nothing to undo */
	bool reverting;        /* undoing failed and is tried again */
	bool dirty;            /* a failed change could not be taken back yet */
	uint64_t expires_ns, retry_ns;
	char why[96]; /* of the reverting */
};

/*
 * Resolve and check a lease against the guard; writes nothing. On failure returns negative
 * errno with the reason in `why`, and holds nothing.
 */
int held_prepare(struct held *h, const struct wire_lease *l, const struct knob_layout *layout,
	const struct guard *g, char why[GUARD_WHY]);

/* Take up a predecessor's change from the journal. Same returns. */
int held_resume(struct held *h, const struct journal_change *c, const struct knob_layout *layout);

/*
 * Journal, write, read back. On failure nothing is changed or left in the journal, unless
 * `dirty` is set: then it is to be reverted like one that was applied.
 */
int held_apply(struct held *h, struct journal *j, char why[GUARD_WHY]);

/*
 * Put the old value back. Returns 0; -ECANCELED: somebody else changed it, left alone;
 * -ENODEV: the cgroup is gone. Anything else: still ours, try again.
 */
int held_revert(struct held *h, struct journal *j);

/* True when somebody else changed the value, or the cgroup is gone. */
bool held_is_foreign(const struct held *h, int64_t *now);

/* Would undoing this lower the limit? Such go children first. */
bool held_reverts_down(const struct held *h);

/* Do both want the same file (and device)? */
bool held_same_knob(const struct held *a, const struct held *b);

void held_close(struct held *h);

#endif
