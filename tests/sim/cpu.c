#include "tests/sim/cpu.h"

#include <math.h>
#include <stdlib.h>

#define PERIOD_NS 100000000ULL
#define NEAR_NS 1.0 /* of virtual time: a job that near is done */

void cpu_init(struct cpu *c, double cores)
{
	*c = (struct cpu){.cores = cores, .next_ns = CPU_NEVER};
}

void cpu_clear(struct cpu *c)
{
	free(c->group);
	*c = (struct cpu){0};
}

void cpu_join(struct cpu *c, struct cpu_group *g)
{
	if (c->groups == c->capacity) {
		c->capacity = c->capacity ? 2 * c->capacity : 4;
		c->group = realloc(c->group, c->capacity * sizeof(struct cpu_group *));
		if (!c->group)
			abort();
	}
	c->group[c->groups++] = g;
}

void cpu_group_init(struct cpu_group *g, double quota)
{
	*g = (struct cpu_group){
		.weight = 1, .quota = quota, .budget_ns = quota * (double)PERIOD_NS};
}

void cpu_group_clear(struct cpu_group *g)
{
	free(g->job);
	*g = (struct cpu_group){0};
}

static double wanted(const struct cpu_group *g)
{
	return g->throttled || g->paused ? 0 : (double)g->jobs + g->neighbours;
}

/* Of what the container is given, its own jobs' part: neighbours are a sibling of equal weight. */
static double own_rate(const struct cpu_group *g)
{
	double jobs = (double)g->jobs;

	if (!g->neighbours)
		return g->rate;
	return fmin(jobs, fmax(g->rate / 2, g->rate - g->neighbours));
}

/* A new period brings a new budget, of which what the container runs at was used since. */
static void refill(struct cpu_group *g, uint64_t now_ns)
{
	uint64_t periods = (now_ns - g->period_ns) / PERIOD_NS;

	if (!periods)
		return;
	g->period_ns += periods * PERIOD_NS;
	g->budget_ns = g->quota * (double)PERIOD_NS;
	if (!g->throttled)
		g->budget_ns -= g->rate * (double)(now_ns - g->period_ns);
	g->throttled = false;
}

/* Who stands still with the whole machine is not seen to wait: the kernel takes it for running. */
static void advance_group(struct cpu_group *g, uint64_t now_ns, double passed_ns, bool stolen)
{
	double own = own_rate(g), jobs = (double)g->jobs;

	if (g->jobs && !g->paused && !stolen) {
		g->virtual_ns += own / jobs * passed_ns;
		g->waited += (jobs - own) * passed_ns;
		if (own < jobs - 1e-9)
			g->stalled += passed_ns;
	}
	if (g->throttled)
		g->throttled_for += passed_ns;
	g->used += own * passed_ns;
	g->neighbours_used += (g->rate - own) * passed_ns;
	if (g->quota <= 0)
		return;
	g->budget_ns -= g->rate * passed_ns;
	refill(g, now_ns);
	if (g->budget_ns <= NEAR_NS && !g->throttled && g->rate > 0)
		g->throttled = true;
}

void cpu_advance(struct cpu *c, uint64_t now_ns)
{
	double passed_ns = (double)(now_ns - c->now_ns);

	c->now_ns = now_ns;
	if (c->stolen)
		c->stolen_for += passed_ns;
	for (size_t i = 0; i < c->groups; i++) {
		struct cpu_group *g = c->group[i];

		if (g->rate <= 0 && !g->throttled && !g->jobs)
			continue;
		c->used += g->rate * passed_ns;
		advance_group(g, now_ns, passed_ns, c->stolen);
	}
}

void cpu_start(struct cpu_group *g, uint32_t id, double work_ns)
{
	struct cpu_job fresh = {g->virtual_ns + work_ns, id};
	size_t i = g->jobs++;

	if (g->jobs > g->capacity) {
		g->capacity = g->capacity ? 2 * g->capacity : 8;
		g->job = realloc(g->job, g->capacity * sizeof(*g->job));
		if (!g->job)
			abort();
	}
	while (i && fresh.due < g->job[(i - 1) / 2].due) {
		g->job[i] = g->job[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	g->job[i] = fresh;
}

void cpu_set_quota(struct cpu_group *g, double cores)
{
	double added = (cores - g->quota) * (double)PERIOD_NS;

	g->quota = cores;
	g->budget_ns = fmax(0, g->budget_ns + added);
	g->throttled = cores > 0 && g->budget_ns <= NEAR_NS;
}

bool cpu_take_done(struct cpu_group *g, uint32_t *id)
{
	struct cpu_job last;
	size_t i = 0;

	if (!g->jobs || g->job[0].due > g->virtual_ns + NEAR_NS)
		return false;
	*id = g->job[0].id;
	last = g->job[--g->jobs];
	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= g->jobs)
			break;
		if (child + 1 < g->jobs && g->job[child + 1].due < g->job[child].due)
			child++;
		if (last.due <= g->job[child].due)
			break;
		g->job[i] = g->job[child];
		i = child;
	}
	g->job[i] = last;
	return true;
}

/*
 * Max-min fair by weight: whoever wants less than its share gets what it wants, and the others
 * share the rest.
 */
static void share(struct cpu *c)
{
	double left = c->cores, weight = 0, all = 0;
	bool settled = false;

	for (size_t i = 0; i < c->groups; i++) {
		struct cpu_group *g = c->group[i];
		double want = c->stolen ? 0 : wanted(g);

		all += want;
		g->rate = want;
		weight += want > 0 ? g->weight : 0;
	}
	if (all <= c->cores)
		return;
	for (size_t i = 0; i < c->groups; i++)
		c->group[i]->rate = 0;
	while (!settled) {
		settled = true;
		for (size_t i = 0; i < c->groups; i++) {
			struct cpu_group *g = c->group[i];
			double want = wanted(g);

			if (g->rate > 0 || want <= 0 || want > left * g->weight / weight)
				continue;
			g->rate = want;
			left -= want;
			weight -= g->weight;
			settled = false;
		}
	}
	for (size_t i = 0; i < c->groups; i++)
		if (c->group[i]->rate <= 0 && wanted(c->group[i]) > 0)
			c->group[i]->rate = left * c->group[i]->weight / weight;
}

/* ns from now until something of this container is due. */
static double due_in(const struct cpu_group *g, uint64_t now_ns)
{
	double rest_ns = (double)(g->period_ns + PERIOD_NS - now_ns), in = INFINITY, own;

	if (g->throttled)
		return rest_ns;
	if (g->rate <= 0)
		return INFINITY;
	own = own_rate(g);
	if (g->jobs && own > 0)
		in = fmax(0, (g->job[0].due - g->virtual_ns) * (double)g->jobs / own);
	if (g->quota <= 0 || g->rate <= g->quota)
		return in;
	return fmin(in, fmin(rest_ns, g->budget_ns / g->rate));
}

/* Idle periods are not walked through one by one: a container that wakes begins a new budget. */
static void wake(struct cpu_group *g, uint64_t now_ns)
{
	if (g->quota > 0 && now_ns - g->period_ns >= PERIOD_NS)
		refill(g, now_ns);
}

uint64_t cpu_plan(struct cpu *c)
{
	double in = INFINITY;

	for (size_t i = 0; i < c->groups; i++)
		if (c->group[i]->rate <= 0 && c->group[i]->jobs + c->group[i]->neighbours)
			wake(c->group[i], c->now_ns);
	share(c);
	for (size_t i = 0; i < c->groups; i++)
		in = fmin(in, due_in(c->group[i], c->now_ns));
	c->next_ns = isinf(in) ? CPU_NEVER : c->now_ns + (uint64_t)ceil(in);
	return c->next_ns;
}
