#include "tests/sim/shapes.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/testbed/random.h"

#define TREE_CALLEES 4
#define CALLS_MADE 1.6 /* by a service that knows more, of one request */
#define NEARBY 12      /* of a DAG: callers come from so many before */
#define CORES 4

const char *const shape_name[SHAPES] = {"chain", "fanout", "tree", "hub", "dag", "cycle"};

static double between(struct random *r, double low, double high)
{
	return low + (high - low) * random_unit(r);
}

/* What it costs, and which resources it needs. */
static void add_service(struct app *a, const struct shape_options *o, struct random *r)
{
	uint32_t host = a->services / (o->per_host ? o->per_host : 1), number;
	struct app_service *s;
	struct app_operation *p;

	if (host >= a->hosts)
		app_host(a, CORES);
	number = app_service(a, host, NULL);
	app_operation(a, number, between(r, 300, 1500));
	s = &a->service[number];
	p = &a->operation[number];
	p->spread = SPREAD_LOGNORMAL;
	p->later = 0.25;
	p->request_bytes = between(r, 200, 600);
	p->reply_bytes = between(r, 300, 4000);
	if (random_unit(r) < 0.3)
		p->reads = 1 + random_below(r, 3);
	if (random_unit(r) < 0.35) {
		s->work_mb = between(r, 32, 128);
		s->memory_mb = 1.2 * (s->used_mb + s->work_mb);
		p->pages = between(r, 40, 120);
	}
	if (random_unit(r) < 0.15) {
		s->pause_every_s = between(r, 10, 30);
		s->pause_ms = between(r, 5, 15);
	}
}

static void chain(struct app *a, unsigned n, struct random *r)
{
	(void)r;
	for (uint32_t i = 0; i + 1 < n; i++)
		app_call(a, i, i + 1, 1);
}

static void fan_out(struct app *a, unsigned n, struct random *r)
{
	(void)r;
	for (uint32_t i = 1; i < n; i++)
		app_call(a, 0, i, 1);
}

static void tree(struct app *a, unsigned n, struct random *r)
{
	(void)r;
	for (uint32_t i = 1; i < n; i++) {
		uint32_t call = app_call(a, (i - 1) / TREE_CALLEES, i, (i - 1) % TREE_CALLEES / 2);

		a->call[call].pick = 1;
	}
}

/* Calls known so far by caller and callee. */
struct degrees {
	uint32_t *out, *in; /* [services] owned */
};

static void note_call(struct app *a, struct degrees *d, uint32_t from, uint32_t to)
{
	for (uint32_t i = 0; i < a->calls; i++)
		if (a->call[i].caller == from && a->call[i].callee == to)
			return;
	app_call(a, from, to, d->out[from] / 2);
	d->out[from]++;
	d->in[to]++;
}

static void hub(struct app *a, unsigned n, struct random *r)
{
	struct degrees d = {calloc(n, sizeof(*d.out)), calloc(n, sizeof(*d.in))};

	if (!d.out || !d.in)
		abort();
	for (uint32_t i = 1; i < n; i++) {
		/* The caller of a call drawn evenly: by its degree; at times any. */
		uint32_t from = a->calls && random_unit(r) < 0.6
					? a->call[random_below(r, a->calls)].caller
					: random_below(r, i);

		note_call(a, &d, from, i);
	}
	for (uint32_t i = 0; i < n / 2; i++) {
		const struct app_call *popular = &a->call[random_below(r, a->calls)];
		uint32_t to = popular->callee, from = random_below(r, to);

		note_call(a, &d, from, to);
	}
	free(d.out);
	free(d.in);
}

static void dag(struct app *a, unsigned n, struct random *r)
{
	struct degrees d = {calloc(n, sizeof(*d.out)), calloc(n, sizeof(*d.in))};

	if (!d.out || !d.in)
		abort();
	for (uint32_t i = 1; i < n; i++) {
		unsigned callers = 1 + random_below(r, 3);

		for (unsigned k = 0; k < callers; k++)
			note_call(a, &d, i - 1 - random_below(r, i < NEARBY ? i : NEARBY), i);
	}
	free(d.out);
	free(d.in);
}

/*
 * s1 calls the pairs (s2, s3), (s4, s5) ... one after the other. The first of a pair calls the
 * second, which asks the first back for something it answers by itself.
 */
static void cycle(struct app *a, unsigned n, struct random *r)
{
	for (uint32_t i = 1; i + 1 < n; i += 2) {
		uint32_t back = app_operation(a, i, between(r, 200, 600));

		a->operation[back].spread = SPREAD_LOGNORMAL;
		app_call(a, 0, i, i / 2);
		app_call(a, i, i + 1, 1);
		app_call(a, i + 1, back, 1);
	}
	if (n % 2 == 0)
		app_call(a, 0, n - 1, n);
}

/* Of many calls a request makes a few. */
static void thin_out(struct app *a)
{
	uint32_t *out = calloc(a->operations, sizeof(*out));

	if (!out)
		abort();
	for (uint32_t i = 0; i < a->calls; i++)
		out[a->call[i].caller]++;
	for (uint32_t i = 0; i < a->calls; i++)
		a->call[i].chance = fmin(1, CALLS_MADE / out[a->call[i].caller]);
	free(out);
}

/* A call u -> v becomes u -> new -> v. */
static void insert(struct app *a, const struct shape_options *o, struct random *r)
{
	uint32_t known = a->calls;

	a->phases = 2;
	for (unsigned i = 0; i < o->inserted && i < known; i++) {
		uint32_t through = a->operations, old, call;

		do
			old = random_below(r, known);
		while (a->call[old].until != APP_ALWAYS);
		add_service(a, o, r);
		a->service[a->services - 1].from = 1;
		a->call[old].until = 1;
		call = app_call(a, a->call[old].caller, through, a->call[old].step);
		a->call[call].pick = a->call[old].pick;
		a->call[call].chance = a->call[old].chance;
		a->call[call].from = 1;
		call = app_call(a, through, a->call[old].callee, 1);
		a->call[call].from = 1;
	}
}

/* Quotas leave room for a busy hour; a host holds what is placed on it. */
static void give_quotas(struct app *a, struct random *r)
{
	double *rate = calloc(a->operations, sizeof(*rate));
	double *used = calloc(a->services, sizeof(*used));

	if (!rate || !used)
		abort();
	app_rates(a, a->phases - 1, rate);
	for (uint32_t i = 0; i < a->operations; i++)
		used[a->operation[i].service] += rate[i] * a->operation[i].cpu_us / 1e6;
	for (uint32_t i = 0; i < a->services; i++)
		a->service[i].quota = fmax(0.1, used[i] * between(r, 3, 6));
	free(rate);
	free(used);
}

static void add_batch(struct app *a)
{
	for (uint32_t i = 0; i < a->hosts; i++) {
		char name[APP_NAME];

		snprintf(name, sizeof(name), "batch-%.20s", a->host[i].name);
		app_service(a, i, name);
	}
}

void shape_make(struct app *a, const struct shape_options *o)
{
	static void (*const make[SHAPES])(struct app *, unsigned, struct random *) = {
		chain, fan_out, tree, hub, dag, cycle};
	struct random r;

	random_init(&r, o->seed);
	for (int i = 0; i < 8; i++)
		random_next(&r);
	app_init(a);
	a->load.rate = o->rate;
	a->load.swing = 0.15;
	a->load.period_s = 900;
	a->load.noise = 0.05;
	a->burst = 1.3;
	a->burst_every_s = 120;
	a->burst_s = 10;
	if (o->fragile) {
		a->timeout_ms = 1000;
		a->retries = 1;
	}
	for (unsigned i = 0; i < o->services; i++)
		add_service(a, o, &r);
	make[o->shape](a, o->services, &r);
	if (o->shape == SHAPE_HUB || o->shape == SHAPE_DAG)
		thin_out(a);
	if (o->inserted)
		insert(a, o, &r);
	if (o->batch)
		add_batch(a);
	app_finish(a);
	give_quotas(a, &r);
}
