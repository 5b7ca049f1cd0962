/*
 * What the files of the model share: the struct behind model.h, the way from
 * a recording's rows to z-scores, and from one model to the next. Not for other parts of the
 * analyzer.
 */
#ifndef SAGE_ANALYZER_MODEL_PARTS_H
#define SAGE_ANALYZER_MODEL_PARTS_H

#include "analyzer/gvae.h"
#include "analyzer/model.h"

struct model {
	struct gvae g;
	float *weights;  /* [g.parameters] owned */
	float *expected; /* [g.nodes] of model_expect(), NaN = not known; owned */
};

/* A model's columns found in a recording, which may number its entities in its own way. */
struct model_view {
	const struct gvae *g;
	const struct recording *r;
	size_t windows;
	const float **value; /* [xs + ys] by window, NULL = no such column; owned */
};

int model_view_open(struct model_view *v, const struct gvae *g, const struct recording *r);
void model_view_close(struct model_view *v);

/* The same for who needs few columns: none is there but those that are then found. */
int model_view_begin(struct model_view *v, const struct gvae *g, const struct recording *r);
void model_view_find(struct model_view *v, uint32_t column);

/* Was the column measured in this window? Was the target's metric? */
bool model_view_known(const struct model_view *v, size_t row, uint32_t column);
bool model_view_usable(const struct model_view *v, size_t row);

/* z-score of one column in a window, of its median where it is not known. */
float model_view_cell(const struct model_view *v, size_t row, uint32_t column);

/* Between a column's own unit and z-scores. */
float model_to_z(const struct gvae_column *c, float value);
float model_from_z(const struct gvae_column *c, float z);

/*
 * Learn the columns' scales from `count` windows; columns with a spread keep theirs. `target` tells
 * the normal windows. anew: [xs + ys] these alone, whatever they have; NULL = all. Returns 0 or
 * -ENOMEM.
 */
int model_scale(struct gvae *g, const struct model_view *v, const size_t *row, size_t count,
	double target, const bool *anew);

/*
 * What a new model takes over from an old one: the scales of its columns; its weights and expected
 * errors. A net that has the same inputs and outputs, by name, is the same one. One that lost or
 * gained inputs keeps what it knows of the others, if they are half of them. m->weights and
 * m->expected must be there. same: [nets] is each the same? Return 0 or -ENOMEM.
 */
int model_inherit_scales(struct model *m, const struct model *old);
int model_inherit_weights(struct model *m, const struct model *old, bool *same);

/*
 * How far each node's latencies are from what it makes of its parents as they were measured, in
 * windows row[count]: squared errors, a quantile (0..1) over the windows. out: [nodes], NaN where
 * nothing was measured. Returns 0 or -ENOMEM.
 */
int model_node_errors(const struct model *m, const struct model_view *v, const size_t *row,
	size_t count, double quantile, float *out);

/* What has changed, as nets to be learnt. */
struct model_change {
	bool *learn;  /* [nets] owned */
	bool drifted; /* some only in what they do of late */
	double share; /* of the parameters */
};

/*
 * m: with what it took over, and same[nets] of it. The latest of row[count] tell who
 * does other things of late. Nets of what changed and of all that is downstream of it. Returns 0 or
 * -ENOMEM.
 */
int model_change_find(struct model_change *c, const struct model *m, const bool *same,
	const struct model_view *v, const size_t *row, size_t count);
void model_change_clear(struct model_change *c);

#define MODEL_RECENT 32 /* windows that tell what happens of late */

/* Room to run nets on a tile of state (gvae.h), its lanes windows; one thread. */
struct model_run {
	float *state; /* [S][T], and the owner of what follows */
	float *x;     /* [inputs][T] of any net */
	float *kept, *out;
};

int model_run_open(struct model_run *run, const struct gvae *g);
void model_run_close(struct model_run *run);

/* One column of up to T windows into their lanes; the others repeat the first window. */
void model_run_column(struct model_run *run, const struct model_view *v, const size_t *row,
	size_t count, uint32_t column);

/* Means, then log variances [2][T] of entity z: by its encoder from run->state, or by its prior
 * from `normal` [xs][T]. */
void model_infer(const struct model *m, struct model_run *run, uint32_t z, float *out);
void model_infer_prior(
	const struct model *m, struct model_run *run, const float *normal, uint32_t z, float *out);

#endif
