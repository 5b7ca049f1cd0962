#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/gvae_part.h"
#include "analyzer/model_fit.h"
#include "analyzer/model_parts.h"

#define FEWEST_WINDOWS 8
#define MOST_CHANGED 0.5 /* share of the parameters: from here on all are learnt */

/* A model on its way, and what it learns from. */
struct lesson {
	const struct model_options *o;
	struct model *m; /* owned until it is handed over */
	struct model_view v;
	size_t *row, count; /* windows, in order of time; owned */
	bool *same;         /* [nets] as the old model has them; owned */
	double target;
	size_t recent; /* of the windows, those to be seen more often */
};

static size_t usable_rows(const struct model_view *v, const bool *use, size_t *row)
{
	size_t count = 0;

	for (size_t i = 0; i < v->windows; i++)
		if ((!use || use[i]) && model_view_usable(v, i))
			row[count++] = i;
	return count;
}

static int take_room(struct lesson *l)
{
	struct model *m = l->m;

	l->row = malloc((l->v.windows + 1) * sizeof(*l->row));
	l->same = calloc((size_t)gvae_nets(&m->g) + 1, sizeof(*l->same));
	m->weights = calloc(m->g.parameters + 1, sizeof(*m->weights));
	m->expected = malloc(((size_t)m->g.nodes + 1) * sizeof(*m->expected));
	if (!l->row || !l->same || !m->weights || !m->expected)
		return -ENOMEM;
	for (uint32_t n = 0; n < m->g.nodes; n++)
		m->expected[n] = NAN;
	return 0;
}

/* All but the learning: a model with fresh weights, or with those of `old` where it has them. */
static int begin(struct lesson *l, const struct model *old, const bool *use)
{
	struct model *m = l->m;
	int err = take_room(l);

	if (!err) {
		l->count = usable_rows(&l->v, use, l->row);
		err = l->count < FEWEST_WINDOWS ? -ENODATA : 0;
	}
	if (!err && old)
		err = model_inherit_scales(m, old);
	if (!err)
		err = model_scale(&m->g, &l->v, l->row, l->count, l->target, NULL);
	if (err)
		return err;
	gvae_init(&m->g, m->weights, l->o->seed);
	return old ? model_inherit_weights(m, old, l->same) : 0;
}

static int lesson_open(struct lesson *l, const struct model *old, const struct recording *r,
	const struct slo *slo, const bool *use, const struct model_options *o)
{
	int err;

	*l = (struct lesson){.o = o, .target = slo->target, .m = calloc(1, sizeof(*l->m))};
	err = l->m ? gvae_open(&l->m->g, r, slo, use, o->hidden, o->layers) : -ENOMEM;
	if (!err)
		err = model_view_open(&l->v, &l->m->g, r);
	return err ? err : begin(l, old, use);
}

static void lesson_close(struct lesson *l)
{
	model_view_close(&l->v);
	model_free(l->m);
	free(l->row);
	free(l->same);
}

/* ---- rows ---- */

static void rows_clear(struct model_rows *rows)
{
	free(rows->z);
	free(rows->mask);
	free(rows->rare);
}

/* One window's columns; `column` tells which of the model they are, NULL = all in order. */
static void fill_row(struct model_rows *rows, const struct lesson *l, const struct gvae *g,
	const uint32_t *column, size_t i)
{
	size_t columns = g->xs + g->ys;

	for (uint32_t c = 0; c < columns; c++) {
		uint32_t from = column ? column[c] : c;

		rows->z[i * columns + c] = model_view_cell(&l->v, l->row[i], from);
		if (c >= g->xs)
			rows->mask[i * g->ys + c - g->xs] =
				model_view_known(&l->v, l->row[i], from) ? 1 : 0;
	}
}

/* Windows that missed the target are few, and so are those after a change. */
static int rows_fill(struct model_rows *rows, const struct lesson *l, const struct gvae *g,
	const uint32_t *column)
{
	const float *slo = l->v.value[l->m->g.xs + l->m->g.slo_y];
	size_t count = l->count;

	*rows = (struct model_rows){.count = count,
		.z = malloc((count * (g->xs + g->ys) + 1) * sizeof(*rows->z)),
		.mask = malloc((count * g->ys + 1) * sizeof(*rows->mask)),
		.rare = malloc((count + 1) * sizeof(*rows->rare))};
	if (!rows->z || !rows->mask || !rows->rare) {
		rows_clear(rows);
		return -ENOMEM;
	}
	for (size_t i = 0; i < count; i++) {
		fill_row(rows, l, g, column, i);
		rows->rare[i] = (double)slo[l->row[i]] > l->target || count - i <= l->recent;
	}
	return 0;
}

/* ---- learning ---- */

static int learn_all(struct lesson *l)
{
	struct model_rows rows;
	int err = rows_fill(&rows, l, &l->m->g, NULL);

	if (err)
		return err;
	err = model_fit(&l->m->g, l->m->weights, &rows, l->o);
	rows_clear(&rows);
	return err;
}

static int fit_part(struct lesson *l, const struct gvae_part *p)
{
	float *weights = malloc((p->g.parameters + 1) * sizeof(*weights));
	struct model_rows rows = {0};
	int err = weights ? rows_fill(&rows, l, &p->g, p->column) : -ENOMEM;

	if (!err) {
		gvae_part_take(p, &l->m->g, weights, l->m->weights);
		err = model_fit(&p->g, weights, &rows, l->o);
	}
	if (!err)
		gvae_part_give(p, &l->m->g, weights, l->m->weights);
	rows_clear(&rows);
	free(weights);
	return err;
}

static int learn_part(struct lesson *l, const bool *learn)
{
	struct gvae_part p;
	int err = gvae_part_open(&p, &l->m->g, learn);

	if (err)
		return err;
	err = fit_part(l, &p);
	gvae_part_close(&p);
	return err;
}

/*
 * What a learning node puts out may be far from where it was; on new scales it is not, for who
 * reads it and does not learn either.
 */
static int scale_changed(struct lesson *l, const bool *learn)
{
	struct gvae *g = &l->m->g;
	bool *anew = calloc((size_t)g->xs + g->ys + 1, sizeof(*anew));
	int err = -ENOMEM;

	for (uint32_t n = 0; anew && n < g->nodes; n++)
		for (uint32_t i = 0; i < g->decoder[n].shape.outputs; i++)
			anew[g->xs + g->decoder[n].output + i] = learn[2 * g->entities + n];
	if (anew)
		err = model_scale(g, &l->v, l->row, l->count, l->target, anew);
	free(anew);
	return err;
}

static int learn_changed(struct lesson *l, double *share)
{
	struct model_change change;
	int err = model_change_find(&change, l->m, l->same, &l->v, l->row, l->count);

	if (err)
		return err;
	if (change.drifted)
		l->recent = MODEL_RECENT;
	err = change.share > 0 ? scale_changed(l, change.learn) : -EALREADY;
	if (!err)
		err = change.share > MOST_CHANGED ? learn_all(l) : learn_part(l, change.learn);
	if (!err)
		*share = change.share > MOST_CHANGED ? 1 : change.share;
	model_change_clear(&change);
	return err;
}

static void hand_over(struct model **out, struct lesson *l)
{
	*out = l->m;
	l->m = NULL;
}

int model_retrain_changed(struct model **out, const struct model *old, const struct recording *r,
	const struct slo *slo, const bool *use, const struct model_options *o, double *share)
{
	struct lesson l;
	int err = lesson_open(&l, old, r, slo, use, o);

	if (!err)
		err = learn_changed(&l, share);
	if (!err)
		hand_over(out, &l);
	lesson_close(&l);
	return err;
}

int model_retrain(struct model **out, const struct model *old, const struct recording *r,
	const struct slo *slo, const bool *use, const struct model_options *o)
{
	struct lesson l;
	int err = lesson_open(&l, old, r, slo, use, o);

	if (!err)
		err = learn_all(&l);
	if (!err)
		hand_over(out, &l);
	lesson_close(&l);
	return err;
}

int model_train(struct model **out, const struct recording *r, const struct slo *slo,
	const bool *use, const struct model_options *o)
{
	return model_retrain(out, NULL, r, slo, use, o);
}
