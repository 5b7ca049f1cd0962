#include "tests/sim/cases.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LASTS 6
#define GAP 10
#define CORES 2 /* of the testbed's machine */
#define TRIES 10000

#define BIT(kind) (1u << FAULT_##kind)
/* What the testbed has too. */
#define TESTBED_FAULTS                                                                             \
	(BIT(ANTAGONIST) | BIT(QUOTA) | BIT(MEMORY) | BIT(DISK) | BIT(BANDWIDTH) | BIT(LOSS) |     \
		BIT(CODE) | BIT(SURGE))
#define SOCIAL_FAULTS (TESTBED_FAULTS | BIT(PAUSE) | BIT(POOL))
#define STRONG_FAULTS                                                                              \
	(BIT(QUOTA) | BIT(MEMORY) | BIT(DISK) | BIT(BANDWIDTH) | BIT(CODE) | BIT(PAUSE))

#define SOCIAL                                                                                     \
	.topology = "social", .faults = SOCIAL_FAULTS, .culprits = 1, .incidents = 20,             \
	.window_s = 5, .learn = 60

const struct sim_case sim_cases[] = {
	{.name = "chain10",
		.about = "ten services in a row, as in the testbed",
		.topology = "chain10",
		.faults = SOCIAL_FAULTS,
		.culprits = 1,
		.incidents = 20,
		.window_s = 5,
		.learn = 60},
	{.name = "fanout10",
		.about = "one asks ten at once, as in the testbed",
		.topology = "fanout10",
		.faults = SOCIAL_FAULTS,
		.culprits = 1,
		.incidents = 20,
		.window_s = 5,
		.learn = 60},
	{.name = "social", .about = "the testbed's social network", SOCIAL},
	{.name = "missing-history25",
		.about = "social, a quarter of the services measured during incidents only",
		SOCIAL,
		.omission = {.history = 0.25}},
	{.name = "missing-edge",
		.about = "social, one call not seen at all",
		SOCIAL,
		.omission = {.edge = "random"}},
	{.name = "missing-entity",
		.about = "social, one service without an agent",
		SOCIAL,
		.omission = {.entity = "random"}},
	{.name = "missing-metric",
		.about = "social, one metric nowhere",
		SOCIAL,
		.omission = {.metric = "random"}},
	{.name = "tree100",
		.about = "a tree of 100 services, timeouts and retries",
		.shape = {.shape = SHAPE_TREE, .services = 100, .rate = 60, .fragile = true},
		.faults = CASE_ALL_FAULTS,
		.culprits = 1,
		.incidents = 16,
		.window_s = 5,
		.learn = 60},
	{.name = "hub100",
		.about = "100 services by preferential attachment",
		.shape = {.shape = SHAPE_HUB, .services = 100, .rate = 60, .fragile = true},
		.faults = CASE_ALL_FAULTS,
		.culprits = 1,
		.incidents = 16,
		.window_s = 5,
		.learn = 60},
	{.name = "dag50",
		.about = "50 services, each called by up to three",
		.shape = {.shape = SHAPE_DAG, .services = 50, .rate = 20, .fragile = true},
		.faults = CASE_ALL_FAULTS,
		.culprits = 1,
		.incidents = 16,
		.window_s = 5,
		.learn = 60},
	{.name = "inserted9",
		.about = "30 services, nine put between them; faults in the ten minutes after",
		.shape = {.shape = SHAPE_TREE,
			.services = 30,
			.rate = 60,
			.inserted = 9,
			.fragile = true},
		.faults = CASE_ALL_FAULTS,
		.culprits = 1,
		.incidents = 8,
		.window_s = 5,
		.learn = 72,
		.phase_at = 60},
	{.name = "cycle2",
		.about = "pairs of services that call each other",
		.shape = {.shape = SHAPE_CYCLE, .services = 7, .rate = 80},
		.faults = SOCIAL_FAULTS,
		.culprits = 1,
		.incidents = 16,
		.window_s = 5,
		.learn = 60},
	{.name = "hosts",
		.about = "24 services, four to a host; batch work and disks of hosts at fault",
		.shape = {.shape = SHAPE_TREE,
			.services = 24,
			.rate = 60,
			.per_host = 4,
			.batch = true},
		.faults = BIT(HOST_CPU) | BIT(DISK) | BIT(QUOTA) | BIT(CODE),
		.culprits = 1,
		.incidents = 16,
		.window_s = 5,
		.learn = 60},
	{.name = "stolen",
		.about = "the same; hypervisors take hosts' CPUs, or services lack theirs",
		.shape = {.shape = SHAPE_TREE, .services = 24, .rate = 60, .per_host = 4},
		.faults = BIT(STEAL) | BIT(ANTAGONIST) | BIT(QUOTA) | BIT(CODE),
		.culprits = 1,
		.incidents = 16,
		.window_s = 5,
		.learn = 60},
	{.name = "multi-culprit",
		.about = "two faults at a time",
		.topology = "social",
		.faults = STRONG_FAULTS,
		.culprits = 2,
		.incidents = 12,
		.window_s = 5,
		.learn = 60},
	{.name = "novel-fault",
		.about = "a tree of 30 services, no kind of fault twice",
		.shape = {.shape = SHAPE_TREE, .services = 30, .rate = 60, .fragile = true},
		.faults = CASE_ALL_FAULTS,
		.once = true,
		.culprits = 1,
		.incidents = FAULT_STEAL,
		.window_s = 5,
		.learn = 60},
	{.name = "tree1024",
		.about = "a tree of 1,024 services",
		.shape = {.shape = SHAPE_TREE, .services = 1024, .rate = 40, .fragile = true},
		.faults = CASE_ALL_FAULTS,
		.culprits = 1,
		.incidents = 10,
		.window_s = 10,
		.learn = 40},
	{.name = "hub1024",
		.about = "1,024 services by preferential attachment",
		.shape = {.shape = SHAPE_HUB, .services = 1024, .rate = 40, .fragile = true},
		.faults = CASE_ALL_FAULTS,
		.culprits = 1,
		.incidents = 10,
		.window_s = 10,
		.learn = 40},
	{.name = NULL},
};

const struct sim_case *case_find(const char *name)
{
	for (const struct sim_case *c = sim_cases; c->name; c++)
		if (!strcmp(c->name, name))
			return c;
	return NULL;
}

static int make_app(struct app *a, const struct sim_case *c, uint64_t seed)
{
	struct shape_options shape = c->shape;
	char path[4096], error[256];
	struct topology t;
	int err;

	if (!c->topology) {
		shape.seed = seed;
		shape_make(a, &shape);
		return 0;
	}
	if (strpbrk(c->topology, "/."))
		snprintf(path, sizeof(path), "%s", c->topology);
	else
		snprintf(path, sizeof(path), "%s/%s.conf", SAGE_TOPOLOGIES, c->topology);
	err = topology_load(&t, path, error, sizeof(error));
	if (err)
		fprintf(stderr, "sage-sim: %s\n", error);
	else
		app_from_topology(a, &t, CORES);
	return err;
}

static bool in_use(const struct incident_plan *p, uint32_t service)
{
	for (unsigned k = 0; k < p->faults; k++)
		if (p->fault[k].service == service)
			return true;
	return false;
}

/* A service for a fault of this kind. False when none fits. */
static bool draw_service(const struct app *a, const struct usage *u, enum fault_kind kind,
	struct incident_plan *p, struct random *random)
{
	for (int i = 0; i < TRIES; i++) {
		uint32_t service = random_below(random, a->services);

		if (in_use(p, service) || !fault_fits(a, u, kind, service))
			continue;
		p->fault[p->faults++] = (struct fault){.kind = kind, .service = service};
		return true;
	}
	return false;
}

/* Kinds in turn, in an order that is drawn anew each time round. */
struct deck {
	enum fault_kind kind[FAULT_KINDS];
	unsigned kinds, next;
};

static enum fault_kind draw_kind(struct deck *d, struct random *random)
{
	if (!d->next)
		for (unsigned i = d->kinds; i-- > 1;) {
			unsigned k = random_below(random, i + 1);
			enum fault_kind kept = d->kind[i];

			d->kind[i] = d->kind[k];
			d->kind[k] = kept;
		}
	d->next = (d->next + 1) % d->kinds;
	return d->kind[(d->next + d->kinds - 1) % d->kinds];
}

static unsigned draw_incidents(const struct app *a, const struct sim_case *c, uint64_t seed,
	struct incident_plan plan[CASE_INCIDENTS])
{
	struct deck deck = {.kinds = 0};
	struct random random;
	struct usage u;
	unsigned incidents = 0;

	random_init(&random, seed ^ 0x5a5a);
	usage_open(&u, a, a->phases - 1);
	for (unsigned kind = 0; kind < FAULT_KINDS; kind++) {
		struct incident_plan any = {.faults = 0};

		if (c->faults & 1u << kind && draw_service(a, &u, kind, &any, &random))
			deck.kind[deck.kinds++] = kind;
	}
	while (deck.kinds && incidents < c->incidents && incidents < CASE_INCIDENTS &&
		!(c->once && incidents == deck.kinds)) {
		struct incident_plan *p = &plan[incidents++];

		*p = (struct incident_plan){.faults = 0};
		while (p->faults < c->culprits)
			draw_service(a, &u, draw_kind(&deck, &random), p, &random);
	}
	usage_close(&u);
	return incidents;
}

int case_run(
	const struct sim_case *c, uint64_t seed, const char *directory, struct scenario_result *out)
{
	static struct incident_plan plan[CASE_INCIDENTS];
	struct scenario scenario = {
		.directory = directory,
		.window_s = c->window_s,
		.learn = c->learn,
		.phase_at = c->phase_at,
		.last = LASTS,
		.gap = GAP,
		.incident = plan,
		.omission = c->omission,
		.seed = seed,
	};
	struct app a;
	int err = make_app(&a, c, seed);

	if (err)
		return err;
	scenario.incidents = draw_incidents(&a, c, seed, plan);
	err = scenario_run(&scenario, &a, out);
	app_clear(&a);
	return err;
}
