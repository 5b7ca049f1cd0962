#include "tests/testbed/trial.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "tests/testbed/random.h"
#include "tests/testbed/watch.h"

#define DIAGNOSIS_TIMEOUT_S 75
#define TIGHTEN_S 15 /* a fault that is not felt for so long is made harder */
#define HEALING_TIMEOUT_S 60
#define HEALTHY_TIMEOUT_S 120
#define BEFORE_S 10 /* span of the p99 before the fault */
#define FINE_S 4    /* this long under the target means recovered */
#define RELEASE_TIMEOUT_S 10
#define POLL_S 0.5
#define STOLEN_RATIO 0.1 /* of the CPU time: from here on the machine itself is at fault */
#define SEEN_WINDOWS 2   /* of the fault, before an answer can be about it */

/* How often a kind is drawn in a round: the two network kinds share one turn. */
static size_t draw_kinds(enum fault_kind *kind, struct random *r)
{
	static const enum fault_kind fixed[] = {
		FAULT_ANTAGONIST, FAULT_QUOTA, FAULT_MEMORY, FAULT_DISK, FAULT_CODE, FAULT_SURGE};
	size_t n = sizeof(fixed) / sizeof(fixed[0]);

	memcpy(kind, fixed, sizeof(fixed));
	kind[n++] = random_unit(r) < 0.5 ? FAULT_BANDWIDTH : FAULT_LOSS;
	for (size_t i = n - 1; i > 0; i--) {
		size_t j = random_below(r, (unsigned)i + 1);
		enum fault_kind swap = kind[i];

		kind[i] = kind[j];
		kind[j] = swap;
	}
	return n;
}

static const struct service *draw_service(
	enum fault_kind kind, const struct topology *t, const struct site *site, struct random *r)
{
	const struct service *fit[TOPOLOGY_SERVICES];
	unsigned fits = 0;

	for (size_t i = 0; i < t->services; i++)
		if (fault_fits(site, kind, &t->service[i]))
			fit[fits++] = &t->service[i];
	return fits ? fit[random_below(r, fits)] : NULL;
}

size_t trial_draw(struct trial *t, size_t count, const struct topology *topology,
	const struct site *site, uint64_t seed)
{
	enum fault_kind kind[FAULT_KINDS];
	size_t drawn = 0;
	struct random r;

	random_init(&r, seed);
	while (drawn < count) {
		size_t kinds = draw_kinds(kind, &r), before = drawn;

		for (size_t i = 0; i < kinds && drawn < count; i++) {
			const struct service *s = draw_service(kind[i], topology, site, &r);

			if (s)
				t[drawn++] = (struct trial){.kind = kind[i], .service = s};
		}
		if (drawn == before)
			break;
	}
	return drawn;
}

/* The p99 of the whole seconds in [from, to). */
static double p99_ms(const struct stage *s, double from, double to)
{
	return stage_p99_ms(s, ceil(from), floor(to));
}

/* Has the p99 been fine for FINE_S whole seconds, all of them after `since`? Says from when. */
static bool is_fine(const struct trial *t, const struct stage *s, double since, double *from)
{
	double to = floor(stage_now()) - 1; /* the last second may not be written yet */

	if (to - FINE_S < since || !(stage_p99_ms(s, to - FINE_S, to) <= t->target_ms))
		return false;
	*from = to - FINE_S;
	return true;
}

static void judge(struct trial *t)
{
	const char *wanted = fault_resource[t->kind];

	t->service_right = !strcmp(t->said_service, t->service->name);
	t->resource_right = t->service_right && !strcmp(t->said_resource, wanted);
}

bool trial_is_of_machine(const struct stage *s, const struct watch_incident *n)
{
	double window = stage_window_s(s), until = isnan(n->ended_s) ? stage_now() : n->ended_s;

	return !strncmp(n->service, "host:", 5) && !strcmp(n->resource, "cpu") &&
	       machine_stolen(&s->machine, n->started_s - window, until) >= STOLEN_RATIO;
}

static void take_answer(struct trial *t, const struct watch_incident *n)
{
	snprintf(t->verdict, sizeof(t->verdict), "%s", n->verdict);
	snprintf(t->said_service, sizeof(t->said_service), "%s", n->service);
	snprintf(t->said_resource, sizeof(t->said_resource), "%s", n->resource);
	t->probability = n->probability;
	t->diagnosis_s = stage_now() - t->injected;
	judge(t);
}

/* Wait for the analyzer's word on what began after the injection. */
static int wait_for_diagnosis(struct trial *t, struct stage *s, struct fault *f)
{
	double end = t->injected + DIAGNOSIS_TIMEOUT_S, harder = t->injected + TIGHTEN_S;
	double seen = t->injected + SEEN_WINDOWS * stage_window_s(s);

	while (stage_now() < end) {
		struct watch_incident n;
		bool said = watch_diagnosis(&s->api, &t->mark, seen, &n);

		if (said && !trial_is_of_machine(s, &n)) {
			take_answer(t, &n);
			return 0;
		}
		/* No word on the fault. While it is open a better one may come. */
		if (said && !isnan(n.ended_s)) {
			t->mark.incident = n.id;
			t->stolen++;
		}
		if (stage_now() >= harder) {
			fault_tighten(f, &s->site);
			harder += TIGHTEN_S;
		}
		if (!stage_pause(s, POLL_S))
			return -ECANCELED;
	}
	return 0;
}

/* See whether what the analyzer does brings the p99 back while the fault is on. */
static int wait_for_healing(struct trial *t, struct stage *s)
{
	double end = stage_now() + HEALING_TIMEOUT_S, acted = INFINITY, fine;

	while (stage_now() < end) {
		if (watch_action(&s->api, &t->mark, t->action, sizeof(t->action), t->action_state,
			    sizeof(t->action_state)))
			acted = fmin(acted, stage_now());
		if (is_fine(t, s, acted, &fine)) {
			t->healed = true;
			t->recovered_s = fine - t->injected;
			t->after_ms = p99_ms(s, stage_now() - FINE_S - 1, stage_now() - 1);
			return 0;
		}
		if (!stage_pause(s, POLL_S))
			return -ECANCELED;
	}
	return 0;
}

/*
 * End the fault. What the analyzer holds goes back first: an action taken back later would
 * put back what it found, which is the fault.
 */
static int end_fault(struct trial *t, struct stage *s, struct fault *f)
{
	double end = stage_now() + RELEASE_TIMEOUT_S;
	int err;

	while (watch_release(&s->api) && stage_now() < end)
		if (!stage_pause(s, POLL_S))
			break;
	err = fault_undo(f, &s->site);
	t->undone = stage_now();
	return err;
}

/*
 * Wait until the p99 is fine, no incident is open and no action is held. An action that is
 * taken back puts back what it found, which may be the fault: so undo again after it.
 */
static int wait_for_health(struct trial *t, struct stage *s, struct fault *f)
{
	double end = stage_now() + HEALTHY_TIMEOUT_S;
	double from = (double)NAN;

	while (stage_now() < end) {
		if (isnan(from) && is_fine(t, s, t->undone, &from) && !t->healed)
			t->recovered_s = from - t->undone;
		if (!isnan(from) && watch_is_quiet(&s->api)) {
			t->healthy = stage_now();
			return fault_undo(f, &s->site);
		}
		if (!isnan(from)) /* done while the last one was taken back, and held for long */
			watch_release(&s->api);
		if (!stage_pause(s, POLL_S))
			return -ECANCELED;
	}
	log_warning("%s at %s: undone, but not healthy after %d s", fault_name[t->kind],
		t->service->name, HEALTHY_TIMEOUT_S);
	return fault_undo(f, &s->site);
}

/* What a false alarm did goes back, and its incident ends, before the next fault comes. */
static int wait_for_quiet(struct stage *s)
{
	double end = stage_now() + HEALTHY_TIMEOUT_S;

	while (!watch_is_quiet(&s->api) && stage_now() < end) {
		watch_release(&s->api);
		if (!stage_pause(s, POLL_S))
			return -ECANCELED;
	}
	return 0;
}

static int watch_fault(struct trial *t, struct stage *s, struct fault *f)
{
	int err = wait_for_diagnosis(t, s, f);

	if (!err && fault_is_fixable(t->kind))
		err = wait_for_healing(t, s);
	return err;
}

int trial_run(struct trial *t, struct stage *s)
{
	int err = wait_for_quiet(s), undone;
	double now = stage_now();
	struct fault f;

	if (err)
		return err;
	t->undone = t->healthy = t->diagnosis_s = t->recovered_s = t->after_ms = (double)NAN;
	t->probability = (double)NAN;
	snprintf(t->verdict, sizeof(t->verdict), "none");
	t->target_ms = watch_target_ms(&s->api);
	t->before_ms = p99_ms(s, now - BEFORE_S, now);
	watch_mark(&s->api, &t->mark);
	err = fault_apply(&f, &s->site, t->kind, t->service);
	if (err) {
		log_error("%s at %s: cannot be injected: %s", fault_name[t->kind], t->service->name,
			strerror(-err));
		fault_undo(&f, &s->site);
		return err;
	}
	t->injected = stage_now();
	err = watch_fault(t, s, &f);
	t->during_ms = p99_ms(s, t->injected + 1,
		isnan(t->diagnosis_s) ? stage_now() : t->injected + t->diagnosis_s + 1);
	undone = end_fault(t, s, &f);
	if (!err)
		err = undone;
	if (!err)
		err = wait_for_health(t, s, &f);
	if (!t->healed)
		t->after_ms = p99_ms(s, stage_now() - FINE_S - 1, stage_now() - 1);
	return err;
}
