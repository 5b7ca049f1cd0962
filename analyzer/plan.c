#include "analyzer/plan.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How much a limit is raised at first, and when that was not enough. */
#define RAISE 1.5
#define RAISE_MORE 3.0

/* An antagonist keeps this share of what the service may use, or of what it uses now. */
#define ANTAGONIST_SHARE 0.1
#define ANTAGONIST_LEAST_CORES 0.02
#define ANTAGONIST_LEAST_BPS (1 << 20)
#define WEIGHT_LOW 10
#define WEIGHT_HIGH 400

/* Below these nobody is an antagonist. */
#define BURNS_CORES 0.05
#define BURNS_BPS (256 << 10)

#define PAGE 4096

/* One culprit being planned for; `step` is where its next lease goes. */
struct culprit {
	struct plan *plan;
	const struct plan_target *target; /* [targets] all */
	size_t targets;
	const char *service;
	unsigned step;
};

static bool is_own(const struct culprit *c, const struct plan_target *t)
{
	return t->serves && !strcmp(t->service, c->service);
}

/* A neighbour that answers no calls: nobody waits for it. */
static bool is_neighbour(
	const struct plan_target *own, const struct plan_target *t, bool same_group)
{
	bool grouped = *own->group && !strcmp(own->group, t->group);

	return !t->serves && !strcmp(own->agent, t->agent) && grouped == same_group;
}

static float known(float value)
{
	return isnan(value) ? 0 : value;
}

/* What it uses now beyond what it normally does; 0 when that is nothing remarkable. */
static double excess(double now, double normal, double least)
{
	return now >= least && now > 1.5 * normal ? now : 0;
}

static double burns_cores(const struct plan_target *t)
{
	return excess(
		known(t->now[METRIC_CPU_CORES]), known(t->normal[METRIC_CPU_CORES]), BURNS_CORES);
}

static double burns_bps(const struct plan_target *t, enum container_metric m)
{
	return excess(known(t->now[m]), known(t->normal[m]), BURNS_BPS);
}

static bool is_throttled(const struct plan_target *t)
{
	return known(t->now[METRIC_CPU_THROTTLED]) > 0.02 || known(t->now[METRIC_CPU_UTIL]) > 0.8;
}

__attribute__((format(printf, 7, 8))) static void add(struct culprit *c,
	const struct plan_target *t, bool group, enum wire_knob knob, int64_t expected,
	int64_t value, const char *reason, ...)
{
	struct plan_lease *l;
	va_list args;

	if (c->plan->leases == PLAN_MAX_LEASES || c->step >= PLAN_MAX_STEPS)
		return;
	l = &c->plan->lease[c->plan->leases++];
	*l = (struct plan_lease){.step = c->step};
	snprintf(l->agent, sizeof(l->agent), "%s", t->agent);
	snprintf(l->service, sizeof(l->service), "%s", t->service);
	snprintf(l->container, sizeof(l->container), "%s", group ? "" : t->container);
	snprintf(l->lease.path, sizeof(l->lease.path), "%s", group ? t->group : t->path);
	l->lease.cgroup_id = t->cgroup_id;
	l->lease.knob = (uint8_t)knob;
	l->lease.expected = expected;
	l->lease.value = value;
	va_start(args, reason);
	vsnprintf(l->lease.reason, sizeof(l->lease.reason), reason, args);
	va_end(args);
}

/* The tightest limit may be the group's or the container's: raise both, parent first. */
static void add_raise(struct culprit *c, const struct plan_target *t, enum wire_knob knob,
	int64_t value, const char *reason)
{
	if (strlen(t->group) > 1)
		add(c, t, true, knob, WIRE_ANY_RAISE, value, "%s", reason);
	add(c, t, false, knob, WIRE_ANY_RAISE, value, "%s", reason);
}

/* Close the step if `before` shows that something was added to it. */
static bool end_step(struct culprit *c, unsigned before)
{
	if (c->plan->leases == before)
		return false;
	c->step++;
	return true;
}

/* ---- CPU ---- */

static bool has_cpu_antagonist(
	const struct culprit *c, const struct plan_target *own, bool same_group)
{
	for (size_t i = 0; i < c->targets; i++)
		if (is_neighbour(own, &c->target[i], same_group) && burns_cores(&c->target[i]) > 0)
			return true;
	return false;
}

static int64_t antagonist_quota(const struct plan_target *own)
{
	double limit = known(own->now[METRIC_CPU_LIMIT_CORES]);
	double share = fmax(limit * ANTAGONIST_SHARE, ANTAGONIST_LEAST_CORES);

	return (int64_t)(share * 1000);
}

static void limit_cpu_antagonists(
	struct culprit *c, const struct plan_target *own, bool same_group, enum wire_knob knob)
{
	int64_t value = knob == KNOB_CPU_WEIGHT ? WEIGHT_LOW : antagonist_quota(own);

	for (size_t i = 0; i < c->targets; i++) {
		const struct plan_target *t = &c->target[i];

		if (is_neighbour(own, t, same_group) && burns_cores(t) > 0)
			add(c, t, false, knob, WIRE_ANY_LOWER, value,
				"%.40s takes %.2f cores beside %.40s and answers no calls",
				t->container, burns_cores(t), c->service);
	}
}

/* A weight decides only where threads queue for a CPU; a spent quota is shared by nobody. */
static void plan_cpu_antagonists(struct culprit *c, bool same_group)
{
	static const enum wire_knob knobs[] = {KNOB_CPU_WEIGHT, KNOB_CPU_QUOTA};

	for (size_t k = 0; k < 2; k++) {
		unsigned before = c->plan->leases;

		for (size_t i = 0; i < c->targets; i++) {
			const struct plan_target *own = &c->target[i];

			if (!is_own(c, own) || !has_cpu_antagonist(c, own, same_group))
				continue;
			if (is_throttled(own) && (knobs[k] == KNOB_CPU_WEIGHT || !same_group))
				continue;
			limit_cpu_antagonists(c, own, same_group, knobs[k]);
		}
		end_step(c, before);
	}
}

/* A quota that was cut goes back to what it was; one that was outgrown is raised. */
static void plan_cpu_quota(struct culprit *c, double factor)
{
	unsigned before = c->plan->leases;

	for (size_t i = 0; i < c->targets; i++) {
		const struct plan_target *t = &c->target[i];
		double now = known(t->now[METRIC_CPU_LIMIT_CORES]);
		double normal = known(t->normal[METRIC_CPU_LIMIT_CORES]);
		bool cut = now < 0.9 * normal;
		char reason[WIRE_NAME];

		if (!is_own(c, t) || now <= 0 || (!cut && !is_throttled(t)))
			continue;
		if (cut)
			snprintf(reason, sizeof(reason),
				"CPU limit of %.40s fell from %.2f to %.2f cores", c->service,
				normal, now);
		else
			snprintf(reason, sizeof(reason),
				"%.40s is throttled at its limit of %.2f cores", c->service, now);
		add_raise(c, t, KNOB_CPU_QUOTA,
			(int64_t)lround((cut ? normal * factor / RAISE : now * factor) * 1000),
			reason);
	}
	end_step(c, before);
}

static void plan_cpu_weight(struct culprit *c)
{
	unsigned before = c->plan->leases;

	for (size_t i = 0; i < c->targets; i++) {
		const struct plan_target *t = &c->target[i];
		char reason[WIRE_NAME];

		if (!is_own(c, t) || is_throttled(t) || known(t->now[METRIC_CPU_RUNQ]) < 0.05)
			continue;
		snprintf(reason, sizeof(reason),
			"threads of %.40s queue for a CPU %.0f %% of the time", c->service,
			100 * t->now[METRIC_CPU_RUNQ]);
		add_raise(c, t, KNOB_CPU_WEIGHT, WEIGHT_HIGH, reason);
	}
	end_step(c, before);
}

static void plan_cpu(struct culprit *c)
{
	plan_cpu_antagonists(c, true);
	plan_cpu_quota(c, RAISE);
	plan_cpu_quota(c, RAISE_MORE);
	plan_cpu_antagonists(c, false);
	plan_cpu_weight(c);
}

/* ---- memory ---- */

static double memory_limit(const float metric[CONTAINER_METRICS])
{
	double util = known(metric[METRIC_MEM_UTIL]);

	return util > 0 ? known(metric[METRIC_MEM_BYTES]) / util : 0;
}

static void plan_memory(struct culprit *c, double factor)
{
	unsigned before = c->plan->leases;

	for (size_t i = 0; i < c->targets; i++) {
		const struct plan_target *t = &c->target[i];
		double now = memory_limit(t->now), was = memory_limit(t->normal);
		double use = known(t->normal[METRIC_MEM_BYTES]);
		double want = fmax(fmax(was * factor / RAISE, use * factor), now * factor);
		char reason[WIRE_NAME];

		if (!is_own(c, t) || now <= 0)
			continue;
		snprintf(reason, sizeof(reason),
			"%.40s uses %.0f %% of its %.0f MiB and is being reclaimed", c->service,
			100 * t->now[METRIC_MEM_UTIL], now / (1 << 20));
		add_raise(c, t, KNOB_MEMORY_HIGH, (int64_t)(want / PAGE + 1) * PAGE, reason);
	}
	end_step(c, before);
}

/* ---- disk ---- */

static const struct {
	enum container_metric metric;
	enum wire_knob knob;
	const char *verb;
} direction[] = {
	{METRIC_BLK_READ_BYTES, KNOB_IO_READ_BPS, "reads"},
	{METRIC_BLK_WRITE_BYTES, KNOB_IO_WRITE_BPS, "writes"},
};

static void limit_disk_antagonists(
	struct culprit *c, const struct plan_target *own, bool same_group)
{
	for (size_t i = 0; i < c->targets; i++)
		for (size_t d = 0; d < 2; d++) {
			const struct plan_target *t = &c->target[i];
			double bps = burns_bps(t, direction[d].metric);

			if (!is_neighbour(own, t, same_group) || bps <= 0)
				continue;
			add(c, t, false, direction[d].knob, WIRE_ANY_LOWER,
				(int64_t)fmax(bps * ANTAGONIST_SHARE, ANTAGONIST_LEAST_BPS),
				"%.40s %s %.1f MiB/s beside %.40s and answers no calls",
				t->container, direction[d].verb, bps / (1 << 20), c->service);
		}
}

static void plan_disk_antagonists(struct culprit *c, bool same_group)
{
	unsigned before = c->plan->leases;

	for (size_t i = 0; i < c->targets; i++)
		if (is_own(c, &c->target[i]))
			limit_disk_antagonists(c, &c->target[i], same_group);
	end_step(c, before);
}

/* Whether there is a limit only the agent knows: where there is none, nothing is written. */
static void plan_disk_limit(struct culprit *c, double factor)
{
	unsigned before = c->plan->leases;

	for (size_t i = 0; i < c->targets; i++)
		for (size_t d = 0; d < 2; d++) {
			const struct plan_target *t = &c->target[i];
			enum container_metric m = direction[d].metric;
			double use = fmax(known(t->normal[m]), known(t->now[m]));

			if (is_own(c, t) && use > 0)
				add(c, t, false, direction[d].knob, WIRE_ANY_RAISE,
					(int64_t)(use * factor),
					"%.40s waits for its disk; it normally %s %.1f MiB/s",
					c->service, direction[d].verb,
					known(t->normal[m]) / (1 << 20));
		}
	end_step(c, before);
}

static void plan_disk(struct culprit *c)
{
	plan_disk_antagonists(c, true);
	plan_disk_limit(c, 2 * RAISE);
	plan_disk_limit(c, 4 * RAISE_MORE);
	plan_disk_antagonists(c, false);
}

/* ---- network ---- */

/* What passes a squeezed link is about its rate, so a multiple of that is a bounded step. */
static void plan_network(struct culprit *c, double factor)
{
	unsigned before = c->plan->leases;

	for (size_t i = 0; i < c->targets; i++) {
		const struct plan_target *t = &c->target[i];
		double use = fmax(known(t->now[METRIC_NET_TX_BYTES]),
			known(t->normal[METRIC_NET_TX_BYTES]) / 2);

		if (is_own(c, t) && use > 0)
			add(c, t, false, KNOB_NET_RATE, WIRE_ANY_RAISE, (int64_t)(use * factor),
				"calls of %.40s wait for its link", c->service);
	}
	end_step(c, before);
}

/* ---- all ---- */

static void advise_about(struct plan *p, const char *name, const char *text)
{
	snprintf(p->advice, sizeof(p->advice), "%.100s: %s", name, text);
}

static void advise(struct plan *p, const char *service, enum resource resource)
{
	const char *text = NULL;

	switch (resource) {
	case RESOURCE_WORKLOAD:
		text = "more requests come in than it was sized for: scale it out";
		break;
	case RESOURCE_CODE:
		text = "it became slow by itself, no resource moved: look at its last release, "
		       "locks "
		       "and logs";
		break;
	case RESOURCE_NETWORK:
		text = "its network is slow: look at its link's limits, loss and retransmits";
		break;
	case RESOURCE_CPU:
	case RESOURCE_MEMORY:
	case RESOURCE_DISK:
		text = "no container of it is known whose limit or neighbour could be changed";
		break;
	case RESOURCE_NONE:
	case RESOURCE_UNKNOWN:
	case RESOURCES:
		text = "no resource to act on is known";
		break;
	}
	advise_about(p, service, text);
}

static void plan_culprit(struct culprit *c, enum resource resource)
{
	switch (resource) {
	case RESOURCE_CPU:
		plan_cpu(c);
		break;
	case RESOURCE_MEMORY:
		plan_memory(c, RAISE);
		plan_memory(c, RAISE_MORE);
		break;
	case RESOURCE_DISK:
		plan_disk(c);
		break;
	case RESOURCE_NETWORK:
		plan_network(c, 9);
		break;
	case RESOURCE_WORKLOAD:
		plan_cpu_quota(c, RAISE);
		plan_cpu_quota(c, RAISE_MORE);
		break;
	case RESOURCE_NONE:
	case RESOURCE_CODE:
	case RESOURCE_UNKNOWN:
	case RESOURCES:
		break;
	}
	if (!c->step || resource == RESOURCE_WORKLOAD || resource == RESOURCE_NETWORK)
		advise(c->plan, c->service, resource);
}

/* Two culprits, or two replicas with one neighbour, may ask for the same thing. */
static void drop_repeats(struct plan *p)
{
	unsigned n = 0;

	for (unsigned i = 0; i < p->leases; i++) {
		const struct wire_lease *l = &p->lease[i].lease;
		bool seen = false;

		for (unsigned j = 0; j < n && !seen; j++)
			seen = p->lease[j].step == p->lease[i].step &&
			       p->lease[j].lease.knob == l->knob &&
			       !strcmp(p->lease[j].agent, p->lease[i].agent) &&
			       !strcmp(p->lease[j].lease.path, l->path);
		if (!seen)
			p->lease[n++] = p->lease[i];
	}
	p->leases = n;
}

/* Stable: leases of a step stay in the order they were added, parents first. */
static void sort_by_step(struct plan *p)
{
	for (unsigned i = 1; i < p->leases; i++) {
		struct plan_lease l = p->lease[i];
		unsigned j = i;

		for (; j > 0 && p->lease[j - 1].step > l.step; j--)
			p->lease[j] = p->lease[j - 1];
		p->lease[j] = l;
	}
}

void plan_make(struct plan *p, const struct diagnosis *d, const struct graph *g,
	const struct plan_target *t, size_t targets)
{
	memset(p, 0, sizeof(*p));
	p->predicted = d->counterfactual.restored;
	if (d->verdict != VERDICT_DIAGNOSED)
		return;
	for (size_t i = 0; i < d->candidates; i++) {
		const struct candidate *s = &d->candidate[i];
		struct culprit c = {.plan = p, .target = t, .targets = targets};

		if (!s->culprit || s->service >= g->entities)
			continue;
		c.service = g->entity[s->service].name;
		if (g->entity[s->service].kind == ENTITY_HOST) {
			advise_about(p, c.service,
				"its hypervisor gives its CPU to other machines: move it, or ask "
				"for "
				"CPUs of its own");
			continue;
		}
		plan_culprit(&c, s->resource);
		if (c.step > p->steps)
			p->steps = c.step;
	}
	drop_repeats(p);
	sort_by_step(p);
}
