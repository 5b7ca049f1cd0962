#include "analyzer/incident.h"

#include <math.h>
#include <string.h>

const char *incident_state_name(enum incident_state s)
{
	static const char *const name[] = {"open", "acting", "recovered", "closed"};

	return s <= INCIDENT_CLOSED ? name[s] : "unknown";
}

void incident_rule_default(struct incident_rule *r, double window_s)
{
	r->open_late = 2;
	r->open_of = 3;
	r->close_fine = 3;
	r->diagnose_windows = window_s >= 5 ? 1 : (unsigned)ceil(5 / window_s);
	if (r->diagnose_windows > 3)
		r->diagnose_windows = 3;
	if (r->diagnose_windows < r->open_late)
		r->diagnose_windows = r->open_late;
}

void incident_watch_init(struct incident_watch *w)
{
	memset(w, 0, sizeof(*w));
	w->started_s = w->ended_s = w->since_s = NAN;
}

static void remember(struct incident_watch *w, double start_s, bool late)
{
	memmove(&w->recent_s[1], &w->recent_s[0], sizeof(w->recent_s) - sizeof(w->recent_s[0]));
	w->recent_s[0] = start_s;
	w->recent = w->recent << 1 | late;
	if (w->judged < 32)
		w->judged++;
}

/* How many of the last `of` windows were late; *first_s is the start of the oldest of them. */
static unsigned late_of(const struct incident_watch *w, unsigned of, double *first_s)
{
	unsigned late = 0;

	for (unsigned i = 0; i < of && i < w->judged; i++) {
		if (!(w->recent >> i & 1))
			continue;
		late++;
		*first_s = w->recent_s[i];
	}
	return late;
}

static enum incident_event judge_closed(
	struct incident_watch *w, const struct incident_rule *r, double end_s, double value)
{
	double first_s = NAN;
	unsigned late = late_of(w, r->open_of, &first_s);

	w->peak = late ? fmax(w->peak, value) : 0;
	if (late < r->open_late)
		return INCIDENT_NONE;
	w->open = true;
	w->late = late;
	w->fine = 0;
	w->started_s = first_s;
	w->ended_s = end_s;
	return INCIDENT_OPENS;
}

static enum incident_event judge_open(struct incident_watch *w, const struct incident_rule *r,
	double end_s, double value, bool late)
{
	if (late) {
		w->late++;
		w->fine = 0;
		w->ended_s = end_s;
		w->peak = fmax(w->peak, value);
		return INCIDENT_GOES_ON;
	}
	if (++w->fine < r->close_fine)
		return INCIDENT_GOES_ON;
	w->open = false;
	w->recent = 0;
	return INCIDENT_RECOVERS;
}

/* What was before a gap says nothing about now. */
static void forget_before_gap(struct incident_watch *w, double start_s, double window_s)
{
	if (!w->judged || start_s - w->recent_s[0] <= (INCIDENT_GAP + 0.5) * window_s)
		return;
	w->recent = 0;
	w->judged = w->fine = 0;
	w->since_s = NAN;
}

enum incident_event incident_judge(struct incident_watch *w, const struct incident_rule *r,
	double start_s, double window_s, double value, double target)
{
	bool late = value > target;
	enum incident_event event;

	if (isnan(value))
		return w->open ? INCIDENT_GOES_ON : INCIDENT_NONE;
	forget_before_gap(w, start_s, window_s);
	remember(w, start_s, late);
	if (!late)
		w->since_s = NAN;
	else if (isnan(w->since_s))
		w->since_s = start_s;
	event = w->open ? judge_open(w, r, start_s + window_s, value, late)
			: judge_closed(w, r, start_s + window_s, value);
	return event;
}

bool incident_ripe(const struct incident_watch *w, const struct incident_rule *r)
{
	return w->open && w->late >= r->diagnose_windows;
}
