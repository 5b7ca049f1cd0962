#include "analyzer/search.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analyzer/frame.h"

#define MOST_WINDOWS 6 /* asked about, spread over the incident */
#define DRAWS 1000     /* in all windows together, at least */
#define SEED 1

#define FEW_DRAWS 96 /* in all windows together, at least: tell who has no chance to be lowest */
#define FINALISTS 2  /* who are then asked by all draws */
#define MOST_WORKERS 8
#define WORTH_A_THREAD 4 /* questions */

bool search_missed(const struct recording *r, const struct slo *slo, double from_s, double to_s)
{
	const float *value = series_values(&r->series, slo->entity, slo->metric);
	size_t from, to;

	series_range(&r->series, from_s, to_s, &from, &to);
	for (size_t i = from; value && i < to; i++)
		if ((double)value[i] > slo->target)
			return true;
	return false;
}

/* Of the windows that missed the target, some from all over the incident. */
static size_t pick_rows(struct search *s, const float *slo, size_t from, size_t to)
{
	size_t missed = 0, seen = 0, want;

	for (size_t i = from; i < to; i++)
		missed += (double)slo[i] > s->target;
	want = missed < MOST_WINDOWS ? missed : MOST_WINDOWS;
	for (size_t i = from; i < to; i++) {
		if (!((double)slo[i] > s->target))
			continue;
		if (s->rows < want && seen * want >= s->rows * missed)
			s->row[s->rows++] = i;
		seen++;
	}
	return s->rows;
}

static bool same_target(const struct model *m, const struct recording *r, const struct slo *slo)
{
	const struct gvae_column *c = &m->g.column[m->g.xs + m->g.slo_y];

	return !strcmp(c->metric, slo->metric) &&
	       !strcmp(c->entity, r->graph.entity[slo->entity].name);
}

static unsigned draws_of_window(const struct search *s, unsigned of_all)
{
	return (of_all + (unsigned)s->rows - 1) / (unsigned)s->rows;
}

static unsigned count_cpus(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	return cpus < 1 ? 1 : cpus > MOST_WORKERS ? MOST_WORKERS : (unsigned)cpus;
}

static int open_run(struct search *s, const struct model *m, const struct recording *r,
	const struct slo *slo, double from_s, double to_s)
{
	float middle[MOST_WINDOWS];
	const float *value;
	size_t from, to;
	unsigned draws;
	int err;

	value = series_values(&r->series, slo->entity, slo->metric);
	if (!value || !same_target(m, r, slo))
		return -ENODATA;
	series_range(&r->series, from_s, to_s, &from, &to);
	if (!pick_rows(s, value, from, to))
		return -ENODATA;
	for (size_t i = 0; i < s->rows; i++)
		middle[i] = value[s->row[i]];
	s->observed = frame_median(middle, s->rows);
	draws = draws_of_window(s, DRAWS);
	s->draws = draws * s->rows;
	s->workers = count_cpus();
	s->work = calloc(s->workers, sizeof(*s->work));
	s->draw = calloc(s->workers * s->draws, sizeof(*s->draw));
	if (!s->work || !s->draw)
		return -ENOMEM;
	err = counterfactual_open(&s->run, m, r, draws, SEED);
	if (!err)
		err = counterfactual_work_open(&s->work[0], &s->run);
	return err ? err : counterfactual_windows(&s->run, s->row, s->rows);
}

int search_open(struct search *s, const struct model *m, const struct recording *r,
	const struct slo *slo, double from_s, double to_s)
{
	int err = -ENOMEM;

	memset(s, 0, sizeof(*s));
	s->target = slo->target;
	s->row = calloc(MOST_WINDOWS, sizeof(*s->row));
	if (s->row)
		err = open_run(s, m, r, slo, from_s, to_s);
	if (err)
		search_close(s);
	return err;
}

void search_close(struct search *s)
{
	for (unsigned i = 0; s->work && i < s->workers; i++)
		counterfactual_work_close(&s->work[i]);
	counterfactual_close(&s->run);
	free(s->work);
	free(s->row);
	free(s->draw);
	memset(s, 0, sizeof(*s));
}

/* Of draws [rows][draws], which it reorders within a window. */
static struct answer sum_up(const struct search *s, float *draw, unsigned draws)
{
	float middle[MOST_WINDOWS];
	size_t within = 0;

	for (size_t i = 0; i < s->rows; i++, draw += draws) {
		for (size_t d = 0; d < draws; d++)
			within += (double)draw[d] <= s->target;
		middle[i] = (float)frame_median(draw, draws);
	}
	return (struct answer){.restored = frame_median(middle, s->rows),
		.probability = (double)within / (double)(draws * s->rows)};
}

int search_ask(struct search *s, const struct intervention *set, size_t count, struct answer *out)
{
	int err = counterfactual_prepare(&s->run, &s->work[0], set, count);

	if (err)
		return err;
	counterfactual_answer(&s->run, &s->work[0], set, count, s->run.draws, s->draw);
	*out = sum_up(s, s->draw, s->run.draws);
	return 0;
}

/* ---- many questions ---- */

/* What threads take questions from. */
struct round {
	struct search *s;
	struct question *q;
	size_t count;
	unsigned draws; /* of a window */
	atomic_size_t next;
};

struct worker {
	struct round *round;
	unsigned number;
	pthread_t thread;
};

static void *answer_some(void *argument)
{
	const struct worker *w = argument;
	struct round *round = w->round;
	struct search *s = round->s;
	float *draw = s->draw + w->number * s->draws;
	size_t i;

	while ((i = atomic_fetch_add(&round->next, 1)) < round->count) {
		struct question *q = &round->q[i];

		if (!q->known)
			continue;
		counterfactual_answer(
			&s->run, &s->work[w->number], q->set, q->count, round->draws, draw);
		q->answer = sum_up(s, draw, round->draws);
	}
	return NULL;
}

static bool has_room(struct search *s, unsigned worker)
{
	return s->work[worker].y || !counterfactual_work_open(&s->work[worker], &s->run);
}

/* With as many threads as can be had; this one is the first. */
static void answer_all(struct search *s, struct question *q, size_t count, unsigned draws)
{
	struct round round = {.s = s, .q = q, .count = count, .draws = draws};
	struct worker worker[MOST_WORKERS];
	unsigned threads = 1;

	for (size_t i = 0; i < count; i++)
		q[i].known = !counterfactual_prepare(&s->run, &s->work[0], q[i].set, q[i].count);
	worker[0] = (struct worker){.round = &round};
	while (threads < s->workers && threads * WORTH_A_THREAD <= count && has_room(s, threads)) {
		struct worker *w = &worker[threads];

		*w = (struct worker){.round = &round, .number = threads};
		if (pthread_create(&w->thread, NULL, answer_some, w))
			break;
		threads++;
	}
	answer_some(&worker[0]);
	for (unsigned i = 1; i < threads; i++)
		pthread_join(worker[i].thread, NULL);
}

void search_ask_all(struct search *s, struct question *q, size_t count)
{
	answer_all(s, q, count, s->run.draws);
}

static int lowest_first(const void *a, const void *b)
{
	const struct question *x = a, *y = b;
	double p = x->known ? x->answer.restored : INFINITY;
	double q = y->known ? y->answer.restored : INFINITY;

	if (p != q)
		return p < q ? -1 : 1;
	return (x->set[x->count - 1].service > y->set[y->count - 1].service) -
	       (x->set[x->count - 1].service < y->set[y->count - 1].service);
}

struct question *question_lowest(struct question *q, size_t count, double bound)
{
	struct question *lowest = NULL;

	for (size_t i = 0; i < count; i++)
		if (q[i].known && q[i].answer.restored < (lowest ? lowest->answer.restored : bound))
			lowest = &q[i];
	return lowest;
}

struct question *search_lowest(struct search *s, struct question *q, size_t count, double bound)
{
	unsigned few = draws_of_window(s, FEW_DRAWS);

	if (count > FINALISTS && few < s->run.draws) {
		answer_all(s, q, count, few);
		qsort(q, count, sizeof(*q), lowest_first);
		count = FINALISTS;
	}
	answer_all(s, q, count, s->run.draws);
	return question_lowest(q, count, bound);
}

double search_relief(const struct search *s, const struct answer *a)
{
	double relief = (s->observed - a->restored) / (s->observed - s->target);

	return fmin(1, fmax(0, relief));
}

/* How far a column is from normal over the windows asked about, in deviations. */
static double moved(struct search *s, uint32_t column)
{
	const struct gvae_column *c = &s->run.m->g.column[column];
	const float *measured = counterfactual_measured(&s->run, column);
	double sum = 0;

	for (size_t i = 0; i < s->rows; i++)
		sum += fabs((double)measured[i] - (double)c->normal);
	return sum;
}

/* The column of an entity's X that is farther off than `most`; its name to `out`. */
static void find_farthest(
	struct search *s, uint32_t z, enum resource resource, double *most, char out[64])
{
	const struct gvae *g = &s->run.m->g;
	const struct gvae_entity *e = &g->entity[z];

	for (uint32_t i = e->first_x; i < e->first_x + e->xs; i++) {
		double far = resource_of_metric(g->column[i].metric) == resource ? moved(s, i) : 0;

		if (far <= *most)
			continue;
		*most = far;
		snprintf(out, 64, "%s", g->column[i].metric);
	}
}

double search_metric(struct search *s, uint32_t service, enum resource resource, char out[64])
{
	const struct reach_map *map = &s->run.map;
	uint32_t z = s->run.service[service];
	double most = 0;

	snprintf(out, 64, "latent");
	if (z == GVAE_NONE)
		return 0;
	find_farthest(s, z, resource, &most, out);
	for (uint32_t i = map->first_edge[z]; i < map->first_edge[z + 1]; i++)
		find_farthest(s, map->edge[i], resource, &most, out);
	return most;
}
