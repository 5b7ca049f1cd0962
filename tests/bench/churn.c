#include "tests/bench/churn.h"

#include <math.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/testbed/record.h"

/* Ten calls in about half a second. */
#define RATE "20"
#define SECONDS "0.5"
#define LAST_MS 5000 /* for one to end by itself */

static struct churn_one *free_slot(struct churn *c)
{
	for (size_t i = 0; i < CHURN_LIVE; i++)
		if (!c->one[i].pid)
			return &c->one[i];
	return NULL;
}

static void start(struct churn *c)
{
	const struct workload *w = c->server;
	struct churn_one *one = free_slot(c);
	char name[64], log[PLACE_PATH];
	char *argv[] = {SAGE_CALLER, (char *)workload_name(w->kind), (char *)w->address,
		(char *)w->port, "1", RATE, SECONDS, NULL, NULL};

	c->started++;
	if (!one) { /* all are still at it */
		c->failed++;
		return;
	}
	snprintf(name, sizeof(name), "churn/c%u", c->started);
	place_file(w->place, "churn.log", log);
	if (place_cgroup(w->place, name, one->cgroup)) {
		c->failed++;
		return;
	}
	snprintf(name, sizeof(name), "churn%zu.csv", (size_t)(one - c->one));
	place_file(w->place, name, one->record);
	argv[7] = one->record;
	unlink(one->record);
	one->pid = place_start(w->place, one->cgroup, log, argv);
	if (one->pid < 0) {
		one->pid = 0;
		c->failed++;
		cgroups_remove(&w->place->cgroups, one->cgroup);
	}
}

static void finish(struct churn *c, struct churn_one *one, int status)
{
	struct record_second r;

	if (status || record_read(one->record, 0, INFINITY, &r) != 1)
		c->failed++;
	else
		c->calls += r.done;
	cgroups_remove(&c->server->place->cgroups, one->cgroup);
	c->ended++;
	one->pid = 0;
}

void churn_tick(struct churn *c, uint64_t now_ns)
{
	int status;

	for (size_t i = 0; i < CHURN_LIVE; i++)
		if (c->one[i].pid && waitpid(c->one[i].pid, &status, WNOHANG) > 0)
			finish(c, &c->one[i], status);
	if (!c->every_ns || now_ns < c->next_ns)
		return;
	c->next_ns = (c->next_ns ? c->next_ns : now_ns) + c->every_ns;
	start(c);
}

void churn_close(struct churn *c)
{
	for (size_t i = 0; i < CHURN_LIVE; i++)
		if (c->one[i].pid)
			finish(c, &c->one[i], place_join(c->one[i].pid, LAST_MS));
}
