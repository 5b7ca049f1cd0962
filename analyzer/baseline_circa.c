/*
 * CIRCA: what a metric's causal parents do not explain. A service has traffic, resources, a
 * latency and errors; traffic causes the callees' traffic and all of its own, resources cause
 * latency, latency causes errors, and both of these the callers'.
 */
#include "analyzer/baseline.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PARENTS 12         /* of one metric; of more, those that follow it best */
#define WINDOWS_A_PARENT 4 /* normal ones, so that a fit means something */
#define RIDGE 1.0          /* in standardised units, beside sums over the windows */
#define ABNORMAL_SIGMAS 3

enum kind { TRAFFIC, RESOURCE, LATENCY, ERRORS, KINDS };

/* What a service has, as [total] of the frame in standardised units, absent = 0. */
struct node {
	float *value[KINDS]; /* owned, NULL where unknown; RESOURCE: see `own` */
	uint32_t column[KINDS];
	uint32_t *own; /* [owns] columns of its resources; owned */
	uint32_t owns;
	double score[KINDS];     /* largest residual in the incident, by deviations */
	uint32_t worst_resource; /* column of that of RESOURCE */
};

struct circa {
	struct baseline *b;
	struct node *node;    /* [entities] */
	const float **parent; /* [parents] of the metric at hand; owned */
	double *follows;      /* [parents] */
	size_t parents, capacity;
	float **resource; /* [columns] standardised, NULL = none; owned */
};

/* To zero mean and unit deviation in normal windows. False for what never varied. */
static bool standardise(const struct frame *f, float *value)
{
	double sum = 0, squares = 0, mean, deviation;
	size_t known = 0;

	for (size_t i = 0; i < f->normals; i++)
		if (!isnan(value[i])) {
			sum += (double)value[i];
			known++;
		}
	if (!known)
		return false;
	mean = sum / (double)known;
	for (size_t i = 0; i < f->normals; i++)
		if (!isnan(value[i]))
			squares += ((double)value[i] - mean) * ((double)value[i] - mean);
	deviation = sqrt(squares / (double)known);
	if (deviation <= 1e-6 * fabs(mean) || deviation <= 0)
		return false;
	for (size_t i = 0; i < f->total; i++)
		value[i] = isnan(value[i]) ? 0 : (float)(((double)value[i] - mean) / deviation);
	return true;
}

static float *standardised(const struct circa *c, uint32_t column)
{
	const struct series_column *s = &c->b->f->r->series.column[column];
	float *value = malloc((c->b->f->total + 1) * sizeof(*value));

	if (value && frame_gather(c->b->f, s->entity, s->metric, value) &&
		standardise(c->b->f, value))
		return value;
	free(value);
	return NULL;
}

/* ---- regression ---- */

/* Solve a x = y for a symmetric positive definite a [n][n] by Cholesky; x takes y's place. */
static void solve(double a[PARENTS][PARENTS], double *y, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j <= i; j++) {
			double sum = a[i][j];

			for (size_t k = 0; k < j; k++)
				sum -= a[i][k] * a[j][k];
			a[i][j] = i == j ? sqrt(sum) : sum / a[j][j];
		}
		for (size_t k = 0; k < i; k++)
			y[i] -= a[i][k] * y[k];
		y[i] /= a[i][i];
	}
	for (size_t i = n; i-- > 0;) {
		for (size_t k = i + 1; k < n; k++)
			y[i] -= a[k][i] * y[k];
		y[i] /= a[i][i];
	}
}

/* The parents that follow `value` best, to the front. Returns how many are taken. */
static size_t choose_parents(struct circa *c, const float *value)
{
	size_t most = c->b->f->normals / WINDOWS_A_PARENT, take;

	most = most < PARENTS ? most : PARENTS;
	take = c->parents < most ? c->parents : most;
	if (take == c->parents)
		return take;
	for (size_t i = 0; i < c->parents; i++)
		c->follows[i] = baseline_correlation(c->b->f, c->parent[i], value);
	for (size_t i = 0; i < take; i++) {
		size_t best = i;
		const float *swap = c->parent[i];
		double follows = c->follows[i];

		for (size_t j = i + 1; j < c->parents; j++)
			if (c->follows[j] > c->follows[best])
				best = j;
		c->parent[i] = c->parent[best];
		c->follows[i] = c->follows[best];
		c->parent[best] = swap;
		c->follows[best] = follows;
	}
	return take;
}

static double residual(
	const struct circa *c, const float *value, const double *weight, size_t n, size_t window)
{
	double left = (double)value[window];

	for (size_t i = 0; i < n; i++)
		left -= weight[i] * (double)c->parent[i][window];
	return left;
}

/* Fit to the normal windows; the largest residual of the incident, by the deviation of theirs. */
static double unexplained(struct circa *c, const float *value)
{
	const struct frame *f = c->b->f;
	double a[PARENTS][PARENTS], weight[PARENTS] = {0}, squares = 0, largest = 0;
	size_t n = choose_parents(c, value);

	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j <= i; j++) {
			a[i][j] = i == j ? RIDGE : 0;
			for (size_t w = 0; w < f->normals; w++)
				a[i][j] += (double)c->parent[i][w] * (double)c->parent[j][w];
		}
		for (size_t w = 0; w < f->normals; w++)
			weight[i] += (double)c->parent[i][w] * (double)value[w];
	}
	solve(a, weight, n);
	for (size_t w = 0; w < f->normals; w++)
		squares += pow(residual(c, value, weight, n, w), 2);
	for (size_t w = f->normals; w < f->total; w++)
		largest = fmax(largest, fabs(residual(c, value, weight, n, w)));
	return largest / fmax(sqrt(squares / (double)f->normals), 1e-3);
}

/* ---- the graph of metrics ---- */

static void add_parent(struct circa *c, const float *value)
{
	if (value && c->parents < c->capacity)
		c->parent[c->parents++] = value;
}

/* Of its callers, or with `outward` of its callees. */
static void add_neighbours(struct circa *c, uint32_t service, enum kind kind, bool outward)
{
	const struct graph *g = &c->b->f->r->graph;
	const struct entity *e = &g->entity[service];

	for (uint32_t i = 0; i < (outward ? e->outs : e->ins); i++) {
		uint32_t other = outward ? g->entity[e->out[i]].callee : g->entity[e->in[i]].caller;

		if (other != service)
			add_parent(c, c->node[other].value[kind]);
	}
}

static void judge(struct circa *c, uint32_t service, enum kind kind)
{
	struct node *n = &c->node[service];

	if (n->value[kind])
		n->score[kind] = unexplained(c, n->value[kind]);
}

static void judge_service(struct circa *c, uint32_t service)
{
	struct node *n = &c->node[service];

	c->parents = 0;
	add_neighbours(c, service, TRAFFIC, false);
	judge(c, service, TRAFFIC);
	for (uint32_t i = 0; i < n->owns; i++) {
		double score;

		c->parents = 0;
		add_parent(c, n->value[TRAFFIC]);
		score = unexplained(c, c->resource[n->own[i]]);
		if (score > n->score[RESOURCE]) {
			n->score[RESOURCE] = score;
			n->worst_resource = n->own[i];
		}
	}
	c->parents = 0;
	add_parent(c, n->value[TRAFFIC]);
	for (uint32_t i = 0; i < n->owns; i++)
		add_parent(c, c->resource[n->own[i]]);
	add_neighbours(c, service, LATENCY, true);
	judge(c, service, LATENCY);
	c->parents = 0;
	add_parent(c, n->value[TRAFFIC]);
	add_parent(c, n->value[LATENCY]);
	add_neighbours(c, service, ERRORS, true);
	judge(c, service, ERRORS);
}

static double worst_of(const struct circa *c, uint32_t service, enum kind kind, bool outward)
{
	const struct graph *g = &c->b->f->r->graph;
	const struct entity *e = &g->entity[service];
	double worst = 0;

	for (uint32_t i = 0; i < (outward ? e->outs : e->ins); i++) {
		uint32_t other = outward ? g->entity[e->out[i]].callee : g->entity[e->in[i]].caller;

		worst = fmax(worst, c->node[other].score[kind]);
	}
	return worst;
}

/* What is abnormal gains by what it causes that is abnormal too: causes stand above effects. */
static void accuse(struct circa *c, uint32_t service)
{
	const struct node *n = &c->node[service];
	double own = fmax(n->score[LATENCY], n->score[ERRORS]);
	double gain[KINDS] = {
		[TRAFFIC] =
			fmax(fmax(n->score[RESOURCE], own), worst_of(c, service, TRAFFIC, true)),
		[RESOURCE] = own,
		[LATENCY] = fmax(n->score[ERRORS], worst_of(c, service, LATENCY, false)),
		[ERRORS] = worst_of(c, service, ERRORS, false),
	};

	for (int kind = 0; kind < KINDS; kind++) {
		uint32_t column = kind == RESOURCE ? n->worst_resource : n->column[kind];

		if (n->score[kind] > ABNORMAL_SIGMAS)
			baseline_accuse(c->b, service, column,
				n->score[kind] + (gain[kind] > ABNORMAL_SIGMAS ? gain[kind] : 0));
	}
}

/* ---- reading ---- */

/* A service's own column, else that of its first caller that has one. */
static uint32_t find_column(const struct circa *c, uint32_t service, const char *metric)
{
	const struct recording *r = c->b->f->r;
	const struct entity *e = &r->graph.entity[service];
	uint32_t column = series_find(&r->series, service, metric);

	for (uint32_t i = 0; column == SERIES_NONE && i < e->ins; i++)
		column = series_find(&r->series, e->in[i], metric);
	return column;
}

static int read_node(struct circa *c, uint32_t service)
{
	struct node *n = &c->node[service];
	float *latency = malloc((c->b->f->total + 1) * sizeof(*latency));

	if (!latency)
		return -ENOMEM;
	for (int kind = 0; kind < KINDS; kind++)
		n->column[kind] = SERIES_NONE;
	n->column[TRAFFIC] = find_column(c, service, "requests_per_s");
	n->column[ERRORS] = find_column(c, service, "error_ratio");
	n->column[LATENCY] = baseline_latency(c->b, service, latency);
	for (int kind = 0; kind < KINDS; kind++)
		if (kind != LATENCY && n->column[kind] != SERIES_NONE)
			n->value[kind] = standardised(c, n->column[kind]);
	if (n->column[LATENCY] != SERIES_NONE && standardise(c->b->f, latency))
		n->value[LATENCY] = latency;
	else
		free(latency);
	return 0;
}

static bool is_resource(const char *metric)
{
	enum resource r = resource_of_metric(metric);

	return r != RESOURCE_UNKNOWN && r != RESOURCE_WORKLOAD;
}

static int read_resources(struct circa *c)
{
	const struct series *s = &c->b->f->r->series;

	for (uint32_t i = 0; i < s->columns; i++) {
		uint32_t owner = baseline_owner(c->b, i), *more;
		struct node *n = &c->node[owner == GRAPH_NONE ? 0 : owner];

		if (owner == GRAPH_NONE || !is_resource(s->column[i].metric))
			continue;
		c->resource[i] = standardised(c, i);
		if (!c->resource[i])
			continue;
		more = realloc(n->own, (n->owns + 1) * sizeof(*more));
		if (!more)
			return -ENOMEM;
		n->own = more;
		n->own[n->owns++] = i;
	}
	return 0;
}

/* The most parents a metric can have. */
static size_t count_parents(const struct circa *c)
{
	const struct graph *g = &c->b->f->r->graph;
	size_t most = 0;

	for (uint32_t i = 0; i < g->entities; i++) {
		size_t count = (size_t)g->entity[i].ins + g->entity[i].outs + c->node[i].owns + 2;

		most = count > most ? count : most;
	}
	return most;
}

static bool has_node(const struct graph *g, uint32_t entity)
{
	return g->entity[entity].kind == ENTITY_SERVICE &&
	       strcmp(g->entity[entity].name, GRAPH_USER);
}

static int read_all(struct circa *c)
{
	const struct graph *g = &c->b->f->r->graph;
	int error = read_resources(c);

	for (uint32_t i = 0; !error && i < g->entities; i++)
		if (has_node(g, i))
			error = read_node(c, i);
	if (error)
		return error;
	c->capacity = count_parents(c);
	c->parent = calloc(c->capacity + 1, sizeof(*c->parent));
	c->follows = calloc(c->capacity + 1, sizeof(*c->follows));
	return c->parent && c->follows ? 0 : -ENOMEM;
}

static void circa_close(struct circa *c)
{
	const struct recording *r = c->b->f->r;

	for (uint32_t i = 0; c->node && i < r->graph.entities; i++) {
		for (int kind = 0; kind < KINDS; kind++)
			free(c->node[i].value[kind]);
		free(c->node[i].own);
	}
	for (uint32_t i = 0; c->resource && i < r->series.columns; i++)
		free(c->resource[i]);
	free(c->node);
	free(c->resource);
	free(c->parent);
	free(c->follows);
}

int baseline_circa(struct baseline *b)
{
	const struct recording *r = b->f->r;
	struct circa c = {.b = b};
	int error = -ENOMEM;

	c.node = calloc((size_t)r->graph.entities + 1, sizeof(*c.node));
	c.resource = calloc((size_t)r->series.columns + 1, sizeof(*c.resource));
	if (c.node && c.resource)
		error = read_all(&c);
	for (uint32_t i = 0; !error && i < r->graph.entities; i++)
		if (has_node(&r->graph, i))
			judge_service(&c, i);
	for (uint32_t i = 0; !error && i < r->graph.entities; i++)
		if (has_node(&r->graph, i))
			accuse(&c, i);
	circa_close(&c);
	baseline_name_first(b);
	return error;
}
