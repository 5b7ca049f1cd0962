/*
 * Training beside serving: one thread that turns a copy of the recording into a
 * model and checks it on windows it did not see.
 *
 * One job at a time. The caller (the analyzer's loop) hands over ownership of the job and
 * takes the result when there is one. `old` stays the caller's and must live until then.
 */
#ifndef SAGE_ANALYZER_TRAINER_H
#define SAGE_ANALYZER_TRAINER_H

#include "analyzer/model.h"

struct trainer;

struct trainer_job {
	struct recording recording; /* a copy */
	struct slo slo;
	bool *use;               /* [windows] owned: rows to learn from */
	const struct model *old; /* continue from it, or NULL */
	bool changes;            /* learn only what has changed since `old` */
};

struct trainer_result {
	int err;                 /* 0, or why there is no model; -EALREADY: nothing has changed */
	struct model *model;     /* owned by the taker */
	double share;            /* of the parameters, learnt */
	size_t windows;          /* learnt from, held-out ones included */
	double error, old_error; /* on held-out windows; NaN where there is none */
	double seconds;
};

int trainer_open(struct trainer **out);

/* Asks a running training to stop, waits for it, releases everything. NULL is fine. */
void trainer_close(struct trainer *t);

/* Returns 0 and takes over what the job owns, or -EBUSY and takes nothing. */
int trainer_submit(struct trainer *t, struct trainer_job *job);

/* True with *out filled once per finished job. */
bool trainer_take(struct trainer *t, struct trainer_result *out);

bool trainer_busy(struct trainer *t);

/* Is the new model fit to replace the old one? */
bool trainer_accepts(const struct trainer_result *r);

#endif
