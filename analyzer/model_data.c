#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/model_parts.h"

#define NORMAL_SHARE 0.8 /* of the target: at most this much is a normal window (Sage 4.4) */
#define ENOUGH_NORMAL 5  /* windows; with fewer the lowest quarter stands for them */

int model_view_begin(struct model_view *v, const struct gvae *g, const struct recording *r)
{
	memset(v, 0, sizeof(*v));
	v->value = calloc((size_t)g->xs + g->ys + 1, sizeof(*v->value));
	if (!v->value)
		return -ENOMEM;
	v->g = g;
	v->r = r;
	v->windows = r->series.windows;
	return 0;
}

void model_view_find(struct model_view *v, uint32_t column)
{
	const struct gvae_column *c = &v->g->column[column];
	uint32_t entity = graph_find(&v->r->graph, c->entity);

	if (entity != GRAPH_NONE)
		v->value[column] = series_values(&v->r->series, entity, c->metric);
}

int model_view_open(struct model_view *v, const struct gvae *g, const struct recording *r)
{
	int err = model_view_begin(v, g, r);

	for (uint32_t c = 0; !err && c < g->xs + g->ys; c++)
		model_view_find(v, c);
	return err;
}

void model_view_close(struct model_view *v)
{
	free(v->value);
	memset(v, 0, sizeof(*v));
}

static float view_value(const struct model_view *v, uint32_t column, size_t row)
{
	return v->value[column] ? v->value[column][row] : NAN;
}

bool model_view_known(const struct model_view *v, size_t row, uint32_t column)
{
	return isfinite(view_value(v, column, row));
}

bool model_view_usable(const struct model_view *v, size_t row)
{
	return model_view_known(v, row, v->g->xs + v->g->slo_y);
}

static float bend(const struct gvae_column *c, float value)
{
	return c->log ? log1pf(fmaxf(value, 0)) : value;
}

float model_to_z(const struct gvae_column *c, float value)
{
	return (bend(c, value) - c->center) / c->spread;
}

float model_from_z(const struct gvae_column *c, float z)
{
	float value = z * c->spread + c->center;

	return c->log ? expm1f(fminf(value, 80)) : value;
}

float model_view_cell(const struct model_view *v, size_t row, uint32_t column)
{
	const struct gvae_column *c = &v->g->column[column];
	float value = view_value(v, column, row);
	float z = isfinite(value) ? model_to_z(c, value) : c->typical;

	return column < v->g->xs ? gvae_compress(z) : z;
}

static int ascending(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return (x > y) - (x < y);
}

/* The known values of a column in those windows, in order. Returns how many. */
static size_t gather(
	const struct model_view *v, uint32_t column, const size_t *row, size_t count, float *out)
{
	size_t known = 0;

	for (size_t i = 0; i < count; i++) {
		float value = view_value(v, column, row[i]);

		if (isfinite(value))
			out[known++] = bend(&v->g->column[column], value);
	}
	qsort(out, known, sizeof(*out), ascending);
	return known;
}

static float median(const float *sorted, size_t count)
{
	return count % 2 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
}

static void moments(struct gvae_column *c, const float *value, size_t count)
{
	double sum = 0, squares = 0;

	for (size_t i = 0; i < count; i++)
		sum += value[i];
	c->center = count ? (float)(sum / (double)count) : 0;
	for (size_t i = 0; i < count; i++)
		squares += ((double)value[i] - c->center) * ((double)value[i] - c->center);
	c->spread = count ? (float)sqrt(squares / (double)count) : 0;
	if (!(c->spread > 1e-6F))
		c->spread = 1;
}

/* The windows well within target, at the front of `out`. Returns how many. */
static size_t normal_rows(const struct model_view *v, const size_t *row, size_t count,
	double target, float *sorted, size_t *out)
{
	const float *slo = v->value[v->g->xs + v->g->slo_y];
	size_t found = 0;
	float limit;

	for (size_t i = 0; i < count; i++)
		if (slo[row[i]] <= NORMAL_SHARE * target)
			out[found++] = row[i];
	if (found >= ENOUGH_NORMAL)
		return found;
	for (size_t i = 0; i < count; i++)
		sorted[i] = slo[row[i]];
	qsort(sorted, count, sizeof(*sorted), ascending);
	limit = sorted[count / 4];
	found = 0;
	for (size_t i = 0; i < count; i++)
		if (slo[row[i]] <= limit)
			out[found++] = row[i];
	return found;
}

int model_scale(struct gvae *g, const struct model_view *v, const size_t *row, size_t count,
	double target, const bool *anew)
{
	float *value = malloc((count + 1) * sizeof(*value));
	size_t *normal = malloc((count + 1) * sizeof(*normal));
	size_t normals, known;

	if (!value || !normal) {
		free(value);
		free(normal);
		return -ENOMEM;
	}
	normals = normal_rows(v, row, count, target, value, normal);
	for (uint32_t i = 0; i < g->xs + g->ys; i++) {
		struct gvae_column *c = &g->column[i];

		if (anew && !anew[i])
			continue;
		known = gather(v, i, row, count, value);
		if (anew || c->spread == 0)
			moments(c, value, known);
		c->typical = known ? (median(value, known) - c->center) / c->spread : 0;
		known = gather(v, i, normal, normals, value);
		c->normal = known ? (median(value, known) - c->center) / c->spread : c->typical;
		if (i < g->xs) {
			c->typical = gvae_compress(c->typical);
			c->normal = gvae_compress(c->normal);
		}
	}
	free(value);
	free(normal);
	return 0;
}
