/*
 * A recording: everything a diagnosis reads. The live analyzer keeps one in
 * memory; `record` writes it as a directory of CSV files and `replay`,
 * `diagnose` and `score` read it back. docs/operations.md describes the files.
 */
#ifndef SAGE_ANALYZER_RECORDING_H
#define SAGE_ANALYZER_RECORDING_H

#include "analyzer/graph.h"
#include "analyzer/resource.h"
#include "analyzer/series.h"

/* A quality-of-service target: violated while the metric exceeds it. */
struct slo {
	uint32_t entity; /* number in the graph: usually the edge user->FRONT */
	char metric[64]; /* "client_p99_us" */
	double target;   /* in the metric's unit */
	bool proposed;   /* from history, not from the user */
};

/* One culprit of one injected fault. Rows with the same interval are one incident. */
struct truth {
	double from_s, to_s;
	char service[128];
	enum resource resource; /* RESOURCE_NONE when the file leaves it empty */
};

struct recording {
	struct graph graph;
	struct series series;
	struct slo *slo; /* [slos] owned */
	size_t slos;
	struct truth *truth; /* [truths] owned, ordered by from_s */
	size_t truths;
};

void recording_init(struct recording *r);
void recording_clear(struct recording *r);
int recording_copy(struct recording *to, const struct recording *from);

/*
 * Read a directory. On failure returns -errno (-EBADMSG for malformed content)
 * and puts one line into `why`: file, line number, reason.
 */
int recording_read(struct recording *r, const char *dir, char *why, size_t why_size);

/* Write a directory (made if missing; files are replaced whole). */
int recording_write(const struct recording *r, const char *dir, char *why, size_t why_size);

#endif
