/* From closed windows to stored rows: what a failure leaves is stored later, before its batches go.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/core.h"
#include "common/log.h"

int core_restore_rows(struct core *c)
{
	struct recording *r = &c->live.recording;
	int err = store_rows(c->store, r, -INFINITY, INFINITY, c->live.options.keep);

	c->unstored.start_s = calloc(c->live.options.keep + 1, sizeof(*c->unstored.start_s));
	if (!err && !c->unstored.start_s)
		err = -ENOMEM;
	if (err)
		return err;
	r->series.window_s = c->options.window_s;
	if (r->series.windows)
		c->live.closed_ns = (uint64_t)llround(
			(r->series.start_s[r->series.windows - 1] + c->options.window_s) * 1e9);
	return 0;
}

/* Room is for all rows in memory, so it never lacks. */
static void note(struct core_unstored *u, double start_s)
{
	size_t at = u->rows;

	while (at > 0 && u->start_s[at - 1] >= start_s)
		at--;
	if (at < u->rows && u->start_s[at] == start_s)
		return;
	memmove(&u->start_s[at + 1], &u->start_s[at], (u->rows - at) * sizeof(*u->start_s));
	u->start_s[at] = start_s;
	u->rows++;
}

static void take_first(struct core_unstored *u)
{
	u->rows--;
	memmove(&u->start_s[0], &u->start_s[1], u->rows * sizeof(*u->start_s));
}

/* Rows that left memory while the store failed are lost with their batches, and counted. */
static void forget_trimmed(struct core *c)
{
	const struct series *s = &c->live.recording.series;
	struct core_unstored *u = &c->unstored;

	while (u->rows && u->start_s[0] < s->start_s[0]) {
		take_first(u);
		core_lock(c);
		c->forgotten++;
		core_unlock(c);
	}
}

/* Batches whose windows all ended before the next missing row are in rows by then. */
static uint64_t given_up_ns(const struct core *c)
{
	uint64_t settled_ns = live_settled_ns(&c->live), next_ns;

	if (c->unstored.rows < 2)
		return settled_ns;
	next_ns = (uint64_t)llround(c->unstored.start_s[1] * 1e9);
	return next_ns < settled_ns ? next_ns : settled_ns;
}

void core_store_row(struct core *c, double start_s)
{
	const struct recording *r = &c->live.recording;
	struct core_unstored *u = &c->unstored;
	size_t row, end;
	int err = 0;

	forget_trimmed(c);
	note(u, start_s);
	while (!err && u->rows) {
		series_range(&r->series, u->start_s[0], INFINITY, &row, &end);
		err = store_row(c->store, r, row, c->merged, given_up_ns(c));
		if (!err)
			take_first(u);
	}
	if (err)
		log_error("storing a window: %s; its batches stay in the store, trying again "
			  "with the next one",
			strerror(-err));
}
