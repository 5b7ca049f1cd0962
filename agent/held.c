#include "agent/held.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static int explain_open(int error, const struct wire_lease *l, char why[GUARD_WHY])
{
	const char *text = strerror(-error);

	if (error == -ENOENT)
		text = "no such cgroup";
	else if (error == -ESTALE)
		text = "the cgroup was made anew since the analyzer saw it";
	else if (error == -EOPNOTSUPP)
		text = "this kernel or cgroup does not have the knob";
	else if (error == -EINVAL)
		text = "malformed path";
	snprintf(why, GUARD_WHY, "%s: %s", wire_knob_name(l->knob), text);
	return error;
}

/* Does the target already grant as much, or as little, as is wanted? */
static bool is_satisfied(const struct wire_lease *l, int64_t old)
{
	int order = knob_compare((enum wire_knob)l->knob, old, l->value);

	if (l->expected == WIRE_ANY_RAISE)
		return order >= 0;
	if (l->expected == WIRE_ANY_LOWER)
		return order <= 0;
	return order == 0;
}

static bool is_expected(const struct wire_lease *l, int64_t old)
{
	return l->expected == WIRE_ANY_VALUE || l->expected == WIRE_ANY_RAISE ||
	       l->expected == WIRE_ANY_LOWER ||
	       knob_same((enum wire_knob)l->knob, old, l->expected);
}

static int check(struct held *h, const struct guard *g, char why[GUARD_WHY])
{
	int error = knob_read(&h->knob, &h->old);

	if (error) {
		snprintf(why, GUARD_WHY, "read %s: %s", h->knob.file, strerror(-error));
		return error;
	}
	h->now = h->old.value;
	if (!is_expected(&h->lease, h->old.value)) {
		snprintf(why, GUARD_WHY, "holds %" PRId64 " where %" PRId64 " was expected",
			h->old.value, h->lease.expected);
		return -ECANCELED;
	}
	h->inert = is_satisfied(&h->lease, h->old.value);
	if (!h->inert && !guard_value(g, &h->knob, h->old.value, h->lease.value, why))
		return -EPERM;
	return 0;
}

int held_prepare(struct held *h, const struct wire_lease *l, const struct knob_layout *layout,
	const struct guard *g, char why[GUARD_WHY])
{
	int error;

	*h = (struct held){.lease = *l,
		.knob = {.identity = -1, .dir = -1, .netlink = -1},
		.old.value = WIRE_ANY_VALUE,
		.now = WIRE_ANY_VALUE};
	if (l->knob >= WIRE_KNOBS || l->value < -1) {
		snprintf(why, GUARD_WHY, "no such knob or value");
		return -EINVAL;
	}
	if (!guard_path(g, l->path, why))
		return -EPERM;
	error = knob_open(&h->knob, layout, l->path, l->cgroup_id, (enum wire_knob)l->knob, "");
	if (error)
		return explain_open(error, l, why);
	error = check(h, g, why);
	if (error)
		held_close(h);
	return error;
}

int held_resume(struct held *h, const struct journal_change *c, const struct knob_layout *layout)
{
	int error;

	*h = (struct held){.now = c->value, .reverting = true};
	h->lease = (struct wire_lease){.id = c->id,
		.cgroup_id = c->cgroup_id,
		.knob = (uint8_t)c->knob,
		.value = c->value};
	snprintf(h->lease.path, sizeof(h->lease.path), "%s", c->path);
	snprintf(h->lease.reason, sizeof(h->lease.reason), "left by an agent that died");
	snprintf(h->old.text, sizeof(h->old.text), "%s", c->old_text);
	h->old.value = c->old_value;
	error = knob_open(&h->knob, layout, c->path, c->cgroup_id, c->knob, c->device);
	if (!error && *c->file)
		error = knob_take_file(&h->knob, c->file);
	if (error)
		held_close(h);
	return error;
}

static struct journal_change change_of(const struct held *h)
{
	struct journal_change c = {
		.id = h->lease.id,
		.cgroup_id = h->knob.inode,
		.knob = h->knob.kind,
		.old_value = h->old.value,
		.value = h->lease.value,
	};

	snprintf(c.device, sizeof(c.device), "%s", h->knob.device);
	snprintf(c.file, sizeof(c.file), "%s", h->knob.file);
	snprintf(c.old_text, sizeof(c.old_text), "%s", h->old.text);
	snprintf(c.path, sizeof(c.path), "%s", h->lease.path);
	return c;
}

static int write_and_read_back(struct held *h, char why[GUARD_WHY])
{
	struct knob_value v;
	int error = knob_write(&h->knob, h->lease.value);

	if (error) {
		snprintf(why, GUARD_WHY, "write %" PRId64 " to %s: %s", h->lease.value,
			h->knob.file, strerror(-error));
		return error;
	}
	error = knob_read(&h->knob, &v);
	if (!error) {
		h->now = v.value;
		if (!knob_same(h->knob.kind, v.value, h->lease.value))
			error = -EIO;
	}
	if (error) {
		snprintf(why, GUARD_WHY, "%s does not read back as written", h->knob.file);
		h->dirty = knob_restore(&h->knob, h->old.text) != 0;
		if (!h->dirty)
			h->now = h->old.value;
		return error;
	}
	return 0;
}

int held_apply(struct held *h, struct journal *j, char why[GUARD_WHY])
{
	struct journal_change c = change_of(h);
	int error;

	if (h->inert)
		return 0;
	error = journal_begin(j, &c);
	if (error) {
		snprintf(
			why, GUARD_WHY, "the undo journal cannot be written: %s", strerror(-error));
		return error;
	}
	error = write_and_read_back(h, why);
	if (error && !h->dirty)
		journal_end(j, h->lease.id);
	return error;
}

/* What a failed change left behind may be another value than the one asked for. */
static bool is_ours(const struct held *h, int64_t value, int64_t left)
{
	return knob_same(h->knob.kind, value, h->lease.value) ||
	       (h->dirty && knob_same(h->knob.kind, value, left));
}

/* Restore, unless it is not ours any more. Sets h->now to what stands there. */
static int restore(struct held *h)
{
	struct knob_value v;
	int64_t left = h->now;
	int error = knob_read(&h->knob, &v);

	if (error)
		return error == -ENOENT ? -ENODEV : error;
	h->now = v.value;
	if (!strcmp(v.text, h->old.text))
		return 0;
	if (!is_ours(h, v.value, left))
		return -ECANCELED;
	if (knob_would_kill(&h->knob, h->old.value))
		return -EBUSY; /* ours stays until what is in use fits */
	error = knob_restore(&h->knob, h->old.text);
	if (!error && !knob_read(&h->knob, &v))
		h->now = v.value;
	return error;
}

int held_revert(struct held *h, struct journal *j)
{
	int error = h->inert ? 0 : restore(h);

	if (!h->inert && (!error || error == -ECANCELED || error == -ENODEV))
		journal_end(j, h->lease.id);
	return error;
}

bool held_is_foreign(const struct held *h, int64_t *now)
{
	struct knob_value v;
	int error;

	if (h->inert || h->reverting)
		return false;
	error = knob_read(&h->knob, &v);
	if (error) {
		*now = WIRE_ANY_VALUE;
		return error == -ENODEV || error == -ENOENT;
	}
	*now = v.value;
	return !knob_same(h->knob.kind, v.value, h->lease.value);
}

bool held_reverts_down(const struct held *h)
{
	return knob_compare(h->knob.kind, h->old.value, h->now) < 0;
}

bool held_same_knob(const struct held *a, const struct held *b)
{
	return a->knob.inode == b->knob.inode && a->knob.kind == b->knob.kind &&
	       !strcmp(a->knob.device, b->knob.device);
}

void held_close(struct held *h)
{
	knob_close(&h->knob);
}
