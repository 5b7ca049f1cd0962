#include "analyzer/search.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_WINDOWS 6 /* asked about, spread over the incident */
#define DRAWS 1000     /* in all windows together, at least */
#define SEED 1

static int ascending(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return (x > y) - (x < y);
}

static double median(float *value, size_t count)
{
	qsort(value, count, sizeof(*value), ascending);
	return count % 2 ? (double)value[count / 2]
			 : ((double)value[count / 2 - 1] + (double)value[count / 2]) / 2;
}

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

static int open_run(struct search *s, const struct model *m, const struct recording *r,
	const struct slo *slo, double from_s, double to_s)
{
	const float *value;
	size_t from, to;
	size_t draws;
	int err;

	value = series_values(&r->series, slo->entity, slo->metric);
	if (!value || !same_target(m, r, slo))
		return -ENODATA;
	series_range(&r->series, from_s, to_s, &from, &to);
	if (!pick_rows(s, value, from, to))
		return -ENODATA;
	for (size_t i = 0; i < s->rows; i++)
		s->middle[i] = value[s->row[i]];
	s->observed = median(s->middle, s->rows);
	draws = (DRAWS + s->rows - 1) / s->rows;
	s->draws = draws * s->rows;
	s->draw = malloc(s->draws * sizeof(*s->draw));
	if (!s->draw)
		return -ENOMEM;
	err = counterfactual_open(&s->run, m, r, (unsigned)draws, SEED);
	return err ? err : counterfactual_windows(&s->run, s->row, s->rows);
}

int search_open(struct search *s, const struct model *m, const struct recording *r,
	const struct slo *slo, double from_s, double to_s)
{
	int err = -ENOMEM;

	memset(s, 0, sizeof(*s));
	s->target = slo->target;
	s->row = calloc(MOST_WINDOWS, sizeof(*s->row));
	s->middle = calloc(MOST_WINDOWS, sizeof(*s->middle));
	if (s->row && s->middle)
		err = open_run(s, m, r, slo, from_s, to_s);
	if (err)
		search_close(s);
	return err;
}

void search_close(struct search *s)
{
	counterfactual_close(&s->run);
	free(s->row);
	free(s->middle);
	free(s->draw);
	memset(s, 0, sizeof(*s));
}

int search_ask(struct search *s, const struct intervention *set, size_t count, struct answer *out)
{
	size_t draws = s->run.draws, within = 0;
	int err = counterfactual_ask(&s->run, set, count, s->draw);

	if (err)
		return err;
	for (size_t i = 0; i < s->rows; i++) {
		float *draw = s->draw + i * draws;

		for (size_t d = 0; d < draws; d++)
			within += (double)draw[d] <= s->target;
		s->middle[i] = (float)median(draw, draws);
	}
	out->restored = median(s->middle, s->rows);
	out->probability = (double)within / (double)s->draws;
	return 0;
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
	double sum = 0;

	for (size_t i = 0; i < s->rows; i++)
		sum += fabs((double)s->run.factual[column * KERNELS_TILE + i] - (double)c->normal);
	return sum;
}

void search_metric(struct search *s, uint32_t service, enum resource resource, char out[64])
{
	const struct gvae *g = &s->run.m->g;
	uint32_t z = gvae_find(g, s->run.r->graph.entity[service].name);
	double most = 0;

	snprintf(out, 64, "latent");
	for (uint32_t k = 0; z != GVAE_NONE && k < g->entities; k++) {
		const struct gvae_entity *e = &g->entity[k];

		if (k != z && e->callee != z)
			continue;
		for (uint32_t i = e->first_x; i < e->first_x + e->xs; i++) {
			double far = resource_of_metric(g->column[i].metric) == resource
					     ? moved(s, i)
					     : 0;

			if (far > most) {
				most = far;
				snprintf(out, 64, "%s", g->column[i].metric);
			}
		}
	}
}
