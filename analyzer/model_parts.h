/*
 * What the files of the model share: the struct behind model.h and the way from
 * a recording's rows to rows of z-scores. Not for other parts of the analyzer.
 */
#ifndef SAGE_ANALYZER_MODEL_PARTS_H
#define SAGE_ANALYZER_MODEL_PARTS_H

#include "analyzer/gvae.h"
#include "analyzer/model.h"

struct model {
	struct gvae g;
	float *weights; /* [g.parameters] owned */
};

/* A model's columns found in a recording, which may number its entities in its own way. */
struct model_view {
	const struct gvae *g;
	size_t windows;
	const float **value; /* [xs + ys] by window, NULL = no such column; owned */
};

int model_view_open(struct model_view *v, const struct gvae *g, const struct recording *r);
void model_view_close(struct model_view *v);

/* Is the target's metric known in this window? */
bool model_view_usable(const struct model_view *v, size_t row);

/* z-score of one column in a window, of its median where it is not known. */
float model_view_cell(const struct model_view *v, size_t row, uint32_t column);

/*
 * z-scores of a window: z [xs + ys]; mask [ys], 1 = measured. What is not
 * known is imputed by the column's median.
 */
void model_view_row(const struct model_view *v, size_t row, float *z, float *mask);

/* Between a column's own unit and z-scores. */
float model_to_z(const struct gvae_column *c, float value);
float model_from_z(const struct gvae_column *c, float z);

/* Learn the columns' scales from `count` windows; columns with a spread keep theirs. `target` tells
 * the normal windows. Returns 0 or -ENOMEM. */
int model_scale(
	struct gvae *g, const struct model_view *v, const size_t *row, size_t count, double target);

/*
 * What a new model takes over from an old one: the scales of its columns, and the weights of
 * every net that has the same inputs and outputs, by name. m->weights must be there. Return 0
 * or -ENOMEM.
 */
int model_inherit_scales(struct model *m, const struct model *old);
int model_inherit_weights(struct model *m, const struct model *old);

/* Room to run nets on tiles of state (gvae.h); one thread. */
struct model_run {
	size_t tiles;
	float *state; /* [tiles][S][T], and the owner of what follows */
	float *x, *kept, *out;
};

int model_run_open(struct model_run *run, const struct gvae *g, size_t tiles);
void model_run_close(struct model_run *run);

/* Up to T windows into the lanes of the first tile; the others repeat the first window. */
void model_run_windows(
	struct model_run *run, const struct model_view *v, const size_t *row, size_t count);

/* Re-decode the nodes n with which[n] (NULL = all), callees first, into run->state. */
void model_decode(const struct model *m, struct model_run *run, const bool *which);

/* Means, then log variances [2][T] of entity z, from the first tile of run->state: by its encoder,
 * or by its prior. */
void model_infer(const struct model *m, struct model_run *run, uint32_t z, bool prior, float *out);

#endif
