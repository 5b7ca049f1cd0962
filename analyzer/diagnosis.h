/*
 * The answer: which service and which resource made the target be missed, how
 * sure, and how that is known. Made by diagnose(); shown by the CLI, the HTTP
 * interface and the planner, all through diagnosis_to_json() or these structs.
 */
#ifndef SAGE_ANALYZER_DIAGNOSIS_H
#define SAGE_ANALYZER_DIAGNOSIS_H

#include <jansson.h>

#include "analyzer/recording.h"

enum verdict { VERDICT_HEALTHY, VERDICT_DIAGNOSED, VERDICT_UNKNOWN };

const char *verdict_name(enum verdict v);

struct candidate {
	uint32_t service; /* entity number; of a host where stolen.h blames one */
	enum resource resource;
	char metric[64];    /* the metric that moved most, or "latent" */
	double probability; /* P(this is the cause), 0..1 */
	double score;       /* method's own, for ordering; higher = more suspect */
	bool culprit;       /* member of the answer set */
	double restored;    /* the SLO metric had this one alone been normal: what acting on it */
	double met;         /* would bring; and P(target met) then. NaN = not worked out */
};

struct evidence {
	uint32_t entity;
	char metric[64];
	double normal, observed; /* median in normal windows, median in the incident */
	double sigmas;           /* robust: (observed - normal) / (1.4826 MAD) */
	double since_s;          /* first window past 3 sigmas, Unix seconds; NaN if never */
};

/* Looked at, and not blamed. */
struct ruled_out {
	uint32_t service;
	char why[160];
};

#define DIAGNOSIS_RULED_OUT 8

/* Quantiles over windows, or over what they could have been. */
struct spread {
	double p50, p90, p99;
};

struct counterfactual {
	double observed; /* the SLO metric in the incident (median over its windows) */
	double restored; /* the same had the culprits been normal */
	double target;
	double probability;          /* P(restored <= target) */
	double normal;               /* median of normal windows */
	double explained;            /* share of the rise above it that the evidence finds at the
					culprits, 0..1 */
	struct spread with, without; /* the fault: observed, and had the culprits been normal */
};

struct diagnosis {
	enum verdict verdict;
	char method[32];     /* its name, as in diagnose.h */
	char why[256];       /* for unknown: the reason; else a one-sentence summary */
	double from_s, to_s; /* the incident */
	uint32_t slo_entity;
	char slo_metric[64];
	struct candidate *candidate; /* [candidates] best first; owned */
	size_t candidates;
	struct evidence *evidence; /* [evidences] owned */
	size_t evidences;
	struct counterfactual counterfactual;            /* NaN members when the method has none */
	struct ruled_out ruled_out[DIAGNOSIS_RULED_OUT]; /* [ruled] most conspicuous first; one that
							    became a culprit is not shown */
	size_t ruled;
	double seconds;    /* time it took, with the model at hand */
	double training_s; /* time that model took to train for it; 0 = none was trained */
};

/* An empty answer about [from_s, to_s), without a verdict yet. */
void diagnosis_begin(
	struct diagnosis *d, const char *method, const struct slo *slo, double from_s, double to_s);

void diagnosis_clear(struct diagnosis *d);

/* Set the verdict, and why. */
void diagnosis_unknown(struct diagnosis *d, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Say why a service is not the cause; the first word about it stays, the ninth service is left out.
 */
void diagnosis_rule_out(struct diagnosis *d, uint32_t service, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * Does it slow whatever it meets: a surge, or a host that lost its CPU? Such a cause stands alone,
 * and is no state of a service that a model could be asked about.
 */
bool diagnosis_is_common(const struct candidate *c, const struct graph *g);

/* Is the service a member of the answer set? */
bool diagnosis_blames(const struct diagnosis *d, uint32_t service);

/* How sure the answer set is the cause: the sum of its probabilities, 0..1. */
double diagnosis_confidence(const struct diagnosis *d);

/* Put the candidates in order: best score first, ties by number. */
void diagnosis_rank(struct diagnosis *d);

/* verdict, ranking, culprits, evidence, counterfactual, ...: the object of
 * `sage-analyzer diagnose --json` and of /api/v1/incidents. NULL when out of memory. */
json_t *diagnosis_to_json(const struct diagnosis *d, const struct graph *g);

#endif
