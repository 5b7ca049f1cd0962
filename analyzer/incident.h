/*
 * When a target is missed, and when it is met again.
 *
 * One watch per SLO: an incident opens when `open_late` of the last `open_of` windows were past
 * the target, begins with the first of them, may be diagnosed once it has
 * `diagnose_windows` late windows, and has recovered after `close_fine` good
 * windows in a row. Windows without a value decide nothing; windows more than INCIDENT_GAP
 * apart are no neighbours, so neither do they open an incident together nor end one.
 * Pure logic: no clock, no I/O; one owner at a time.
 */
#ifndef SAGE_ANALYZER_INCIDENT_H
#define SAGE_ANALYZER_INCIDENT_H

#include <stdbool.h>
#include <stdint.h>

#define INCIDENT_GAP 3 /* windows */

struct incident_rule {
	unsigned open_late, open_of; /* 2 of 3 */
	unsigned close_fine;         /* 3 */
	unsigned diagnose_windows;   /* 3, or as many as make 5 seconds, the fewer */
};

enum incident_state { INCIDENT_OPEN, INCIDENT_ACTING, INCIDENT_RECOVERED, INCIDENT_CLOSED };

/* "open", "acting", "recovered", "closed". */
const char *incident_state_name(enum incident_state s);

struct incident_watch {
	uint32_t recent;     /* bit per judged window, newest lowest: 1 = past the target */
	unsigned judged;     /* windows judged, up to 32 */
	double recent_s[32]; /* their starts, newest first */
	bool open;
	unsigned late; /* past the target since it opened, the opening ones included */
	unsigned fine; /* good windows in a row */
	double started_s,
		ended_s; /* of the incident: first late window; end of the last late one */
	double peak;     /* worst value */
	double since_s;  /* first window of the present run past the target; NaN when met */
};

enum incident_event {
	INCIDENT_NONE,
	INCIDENT_OPENS,
	INCIDENT_GOES_ON,
	INCIDENT_RECOVERS,
};

void incident_rule_default(struct incident_rule *r, double window_s);
void incident_watch_init(struct incident_watch *w);

/* Judge one window; windows must come in ascending order. */
enum incident_event incident_judge(struct incident_watch *w, const struct incident_rule *r,
	double start_s, double window_s, double value, double target);

/* Has the open incident enough late windows for a diagnosis? */
bool incident_ripe(const struct incident_watch *w, const struct incident_rule *r);

#endif
