#include "analyzer/symptom.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOSS_METRIC "net_retransmit_ratio"

enum direction { UP, DOWN, EITHER };

/*
 * What a metric says when it moves. `step` is the change that counts half, in
 * the metric's unit, or as a share of its normal value when `relative`; `trust` is the
 * most it can weigh: a stall is a symptom by itself, use that rises is not.
 */
struct rule {
	const char *metric;
	enum resource resource;
	enum direction direction;
	bool relative;
	double step, trust;
};

static const struct rule service_rules[] = {
	{"cpu_throttled_ratio", RESOURCE_CPU, UP, false, 0.08, 1},
	{"cpu_runq_ratio", RESOURCE_CPU, UP, false, 0.10, 0.9},
	{"psi_cpu_ratio", RESOURCE_CPU, UP, false, 0.10, 0.9},
	{"cpu_limit_cores", RESOURCE_CPU, DOWN, true, 0.10, 1},
	{"cpu_util_ratio", RESOURCE_CPU, UP, false, 0.15, 0.7},
	{"cpu_cores", RESOURCE_CPU, UP, true, 0.5, 0.5},
	{"cpu_instructions_per_cycle", RESOURCE_CPU, DOWN, true, 0.2, 0.6},
	{"cpu_llc_misses_per_s", RESOURCE_CPU, UP, true, 1, 0.4},
	{"mem_major_faults_per_s", RESOURCE_MEMORY, UP, false, 10, 1},
	{"mem_reclaim_pages_per_s", RESOURCE_MEMORY, UP, false, 100, 1},
	{"mem_oom_kills", RESOURCE_MEMORY, UP, false, 0.5, 1},
	{"mem_util_ratio", RESOURCE_MEMORY, UP, false, 0.15, 0.6},
	{"psi_mem_ratio", RESOURCE_MEMORY, UP, false, 0.03, 1},
	{"blk_wait_ratio", RESOURCE_DISK, UP, false, 0.10, 1},
	{"psi_io_ratio", RESOURCE_DISK, UP, false, 0.10, 0.9},
	{"blk_read_bytes_per_s", RESOURCE_DISK, UP, true, 1, 0.4},
	{"blk_write_bytes_per_s", RESOURCE_DISK, UP, true, 1, 0.4},
	{"requests_per_s", RESOURCE_WORKLOAD, UP, true, 0.2, 1},
};

static const struct rule edge_rules[] = {
	{"net_rtt_us", RESOURCE_NETWORK, UP, true, 0.5, 1},
	{LOSS_METRIC, RESOURCE_NETWORK, UP, false, 0.01, 1},
	{"connect_p99_us", RESOURCE_NETWORK, UP, true, 1, 0.6},
};

static const struct rule host_rules[] = {
	{"cpu_steal_ratio", RESOURCE_CPU, UP, false, 0.05, 1},
};

#define RULES(table) (sizeof(table) / sizeof(*(table)))

/*
 * Metrics nobody here knows: where their prefix gives a class, their rise has a little weight;
 * where it does not, nor is it known which way is the bad one.
 */
static const struct rule classed_rule = {NULL, RESOURCE_UNKNOWN, UP, true, 0.5, 0.4};
static const struct rule opaque_rule = {NULL, RESOURCE_UNKNOWN, EITHER, true, 0.5, 0.4};

#define NOTICED_SIGMAS 2.0
#define CERTAIN_SIGMAS 6.0

static double strength_of(const struct rule *rule, const struct shift *s)
{
	double change = s->observed - s->normal, sure = fabs(s->sigmas) - NOTICED_SIGMAS;

	if (rule->direction == DOWN || (rule->direction == EITHER && change < 0))
		change = -change;
	if (rule->relative)
		change /= fmax(fabs(s->normal), 1e-9);
	if (change <= 0 || sure <= 0)
		return 0;
	return rule->trust * fmin(1, sure / (CERTAIN_SIGMAS - NOTICED_SIGMAS)) * change /
	       (change + rule->step);
}

/* A spread that a quiet metric gets: a tenth of the step, or of its own size. */
static double floor_of(const struct rule *rule, double normal)
{
	return rule->relative ? fmax(0.05 * fabs(normal), 1e-6) : 0.2 * rule->step;
}

/* Memory that fills slowly is what caches do; it hurts near the limit only. */
static bool harmless(const char *metric, const struct shift *s)
{
	return !strcmp(metric, "mem_util_ratio") && s->observed < 0.9;
}

static void weigh(const struct frame *f, uint32_t entity, const char *metric,
	const struct rule *rule, enum resource resource, float *scratch,
	struct symptom out[RESOURCES])
{
	double normal, strength;
	struct shift s;

	if (!frame_gather(f, entity, metric, scratch))
		return;
	normal = frame_normal(f, scratch);
	if (isnan(normal))
		return;
	frame_shift_from(f, scratch, normal, floor_of(rule, normal), NOTICED_SIGMAS, &s);
	strength = harmless(metric, &s) ? 0 : strength_of(rule, &s);
	if (strength <= out[resource].strength)
		return;
	out[resource].strength = strength;
	out[resource].entity = entity;
	out[resource].shift = s;
	snprintf(out[resource].metric, sizeof(out[resource].metric), "%s", metric);
}

static bool has_rule(const char *metric)
{
	for (size_t i = 0; i < RULES(service_rules); i++)
		if (!strcmp(metric, service_rules[i].metric))
			return true;
	return false;
}

/* Bytes follow the requests and the answers' sizes; they say nothing about who is to blame. */
static bool is_volume(const char *metric)
{
	return !strncmp(metric, "net_rx_", 7) || !strncmp(metric, "net_tx_", 7) ||
	       !strcmp(metric, "mem_bytes");
}

int symptom_read_unknown(const struct frame *f, uint32_t column, struct symptom out[RESOURCES])
{
	const struct series_column *c = &f->r->series.column[column];
	enum resource resource = resource_of_metric(c->metric);
	bool opaque = resource_is_opaque(c->metric);
	float *scratch;

	if ((resource == RESOURCE_UNKNOWN && !opaque) || has_rule(c->metric) ||
		is_volume(c->metric))
		return 0;
	scratch = malloc((f->total + 1) * sizeof(*scratch));
	if (!scratch)
		return -ENOMEM;
	weigh(f, c->entity, c->metric, opaque ? &opaque_rule : &classed_rule, resource, scratch,
		out);
	free(scratch);
	return 0;
}

static void weigh_all(const struct frame *f, uint32_t entity, const struct rule *rule, size_t rules,
	float *scratch, struct symptom out[RESOURCES])
{
	for (size_t i = 0; i < rules; i++)
		weigh(f, entity, rule[i].metric, &rule[i], rule[i].resource, scratch, out);
}

int symptom_read(const struct frame *f, uint32_t entity, struct symptom out[RESOURCES])
{
	const struct entity *e = &f->r->graph.entity[entity];
	float *scratch = malloc((f->total + 1) * sizeof(*scratch));

	if (!scratch)
		return -ENOMEM;
	for (int i = 0; i < RESOURCES; i++)
		out[i] = (struct symptom){.entity = entity};
	if (e->kind == ENTITY_HOST)
		weigh_all(f, entity, host_rules, RULES(host_rules), scratch, out);
	else
		weigh_all(f, entity, service_rules, RULES(service_rules), scratch, out);
	for (uint32_t i = 0; i < e->ins + e->outs; i++)
		weigh_all(f, i < e->ins ? e->in[i] : e->out[i - e->ins], edge_rules,
			RULES(edge_rules), scratch, out);
	free(scratch);
	return 0;
}

double symptom_of_loss(const struct frame *f, uint32_t edge, float *scratch)
{
	struct symptom lost[RESOURCES] = {0};

	for (size_t i = 0; i < sizeof(edge_rules) / sizeof(*edge_rules); i++)
		if (!strcmp(edge_rules[i].metric, LOSS_METRIC))
			weigh(f, edge, LOSS_METRIC, &edge_rules[i], RESOURCE_NETWORK, scratch,
				lost);
	return lost[RESOURCE_NETWORK].strength;
}

/*
 * Order of the questions: a link that retransmits or lengthens is the network, whatever
 * else waits, if time was lost between the ends: TCP's round-trip time alone also holds the
 * peer's delayed acks, and so how long a starved process takes to read. Memory before disk, for
 * faults and swapping read the disk too. CPU before a bare gap between the two ends, for a starved
 * callee takes long to read its requests. A metric whose name
 * tells nothing says that something is wrong inside the service, not what.
 */
enum resource symptom_resource(const struct symptom s[RESOURCES], double own, double between)
{
	const double told = 0.25;
	double cpu = s[RESOURCE_CPU].strength, memory = s[RESOURCE_MEMORY].strength;
	double disk = s[RESOURCE_DISK].strength, network = s[RESOURCE_NETWORK].strength;
	double share = own + between > 0 ? between / (own + between) : 0;

	bool between_ends = own + between <= 0 || share >= 0.1;
	bool lost = !strcmp(s[RESOURCE_NETWORK].metric, LOSS_METRIC);

	if (network >= told && between_ends && (lost || cpu < told) &&
		(share >= 0.3 || network > fmax(cpu, fmax(memory, disk))))
		return RESOURCE_NETWORK;
	if (memory >= told && memory >= 0.6 * cpu)
		return RESOURCE_MEMORY;
	if (disk >= told && disk >= cpu)
		return RESOURCE_DISK;
	if (cpu >= told)
		return RESOURCE_CPU;
	if (share >= 0.5)
		return RESOURCE_NETWORK;
	return RESOURCE_CODE;
}
