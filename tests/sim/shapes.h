/*
 * Made-up applications: a shape of calls, and services whose costs, quotas, disks and pauses are
 * drawn. Every service is reached; how many calls a request makes stays bounded, as each service
 * makes about two of the calls it knows. The same options give the same application.
 */
#ifndef SAGE_SIM_SHAPES_H
#define SAGE_SIM_SHAPES_H

#include "tests/sim/app.h"

enum shape {
	SHAPE_CHAIN,   /* one calls the next */
	SHAPE_FAN_OUT, /* the first calls all others at once */
	SHAPE_TREE,    /* four callees each; a request takes two of them */
	SHAPE_HUB,     /* preferential attachment: few services with many callers and callees */
	SHAPE_DAG,     /* up to three callers each, from among those shortly before */
	SHAPE_CYCLE, /* pairs that call each other: a -> b, and b back to another operation of a */
	SHAPES
};

extern const char *const shape_name[SHAPES];

struct shape_options {
	enum shape shape;
	unsigned services;
	double rate;       /* requests/s of users */
	unsigned per_host; /* services that share one; with `batch` a batch container beside them */
	bool batch;        /* an unconnected container on each host, idle but for faults */
	unsigned inserted; /* services put into the middle of calls in phase 1 */
	bool fragile;      /* timeouts and one retry */
	uint64_t seed;
};

void shape_make(struct app *a, const struct shape_options *o);

#endif
