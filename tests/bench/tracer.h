/*
 * What watches a run: nothing, sage-agent, bpftrace tracing the same calls into histograms, or
 * a BPF object of somebody else; and what that costs by the kernel's own account. Main thread
 * only.
 */
#ifndef SAGE_TESTS_BENCH_TRACER_H
#define SAGE_TESTS_BENCH_TRACER_H

#include <stdint.h>

#include "tests/bench/place.h"

enum tracer_kind {
	TRACER_NONE,
	TRACER_SAGE,
	TRACER_BPFTRACE,
	TRACER_PEER,  /* the object given to tracer_use_peer() */
	TRACER_EMPTY, /* bpftrace with probes that do nothing: what a run costs here at least */
	TRACERS
};

struct tracer {
	enum tracer_kind kind;
	pid_t pid; /* 0: nothing runs */
	char control[PLACE_PATH], state[PLACE_PATH], log[PLACE_PATH], rule[PLACE_PATH];
};

const char *tracer_name(enum tracer_kind k);

/* Measure this BPF object too; the path must stay good. */
void tracer_use_peer(const char *object);

/* Whether it can be had here; `why` says why not. */
bool tracer_there(enum tracer_kind k, const char **why);

/* Start it and wait until it traces. Returns 0, or -errno with the end of its log on stderr. */
int tracer_start(struct tracer *t, enum tracer_kind k, const struct place *p);
void tracer_stop(struct tracer *t);

struct tracer_usage {
	uint64_t cpu_ns; /* of all its threads, since its start */
	double rss_mb, peak_mb;
};

void tracer_usage(const struct tracer *t, struct tracer_usage *out);

#endif
