/*
 * What was answered before causal models: simple published methods, on the same windows and
 * with the same form of answer as the others, so that the scorecard can hold them side by side.
 * They are asked about missed targets only, as all methods are.
 *
 * One thread at a time; the recording must outlive the call.
 */
#ifndef SAGE_ANALYZER_BASELINE_H
#define SAGE_ANALYZER_BASELINE_H

#include "analyzer/diagnosis.h"
#include "analyzer/frame.h"

/* What a method has against a service. Columns are those of the series, SERIES_NONE for none. */
struct finding {
	double score;    /* higher = more suspect, in the method's own unit; 0 = nothing */
	bool named;      /* a member of the answer set */
	uint32_t column; /* what told most */
	uint32_t cause;  /* what told most of those that belong to a resource */
	double cause_score;
};

struct baseline {
	const struct frame *f;
	const struct slo *slo;
	uint32_t front;          /* service where requests come in */
	struct finding *finding; /* [entities] services only */
	float *value;            /* [total] scratch */
};

/* Fill in the findings. Returns 0 or -ENOMEM. */
typedef int baseline_method(struct baseline *b);

/*
 * The resource with the highest use, whatever it usually is: scaled out by step scaling at 50 and
 * 70 % (Sage, ASPLOS 2021, compares itself with both).
 */
baseline_method baseline_autoscale50, baseline_autoscale70;

/* Alarms: metrics past the 99th percentile of their own normal windows. */
baseline_method baseline_thresholds;

/* The mean of the incident by standard deviations of normal windows (as compared with in CIRCA). */
baseline_method baseline_nsigma;

/*
 * Two-sample test of each metric's values by their energy distance (e-Diagnosis: Shan et al.,
 * WWW 2019), its significance bounded as by Szekely and Bakirov (2003).
 */
baseline_method baseline_ediagnosis;

/*
 * A random walk with restart on the call graph, drawn to services whose latency follows the
 * target's (MonitorRank: Kim et al., SIGMETRICS 2013; MicroRCA: Wu et al., NOMS 2020).
 */
baseline_method baseline_walk;

/*
 * From the front through abnormal services to those that call no abnormal one (CauseInfer: Chen et
 * al., INFOCOM 2014; Microscope: Lin et al., ICSOC 2018).
 */
baseline_method baseline_deepest;

/*
 * Residuals of each metric given its causal parents, by a regression on normal windows, with the
 * adjustment by descendants (CIRCA: Li et al., KDD 2022).
 */
baseline_method baseline_circa;

/* Diagnose with one of them. Fills all of *d but `seconds`. Returns 0 or -ENOMEM. */
int baseline_rank(struct diagnosis *d, const struct recording *r, const struct slo *slo,
	double from_s, double to_s, const bool *use, const char *name, baseline_method *method);

/* ---- for the methods ---- */

/* Whom a column of the series tells about: of a call, the callee. GRAPH_NONE: nobody who could be
 * blamed, or it is the target itself. */
uint32_t baseline_owner(const struct baseline *b, uint32_t column);

/* Keep what `column` says against `service` if it says more than the others. */
void baseline_accuse(struct baseline *b, uint32_t service, uint32_t column, double score);

/*
 * The latency (or errors, as the target) of a service, out [total]: its own, else the largest its
 * callers see. Returns one of its columns, or SERIES_NONE with *out untouched.
 */
uint32_t baseline_latency(struct baseline *b, uint32_t service, float *out);

/* |Pearson correlation| of two columns over all windows that have both; 0 where there is none. */
double baseline_correlation(const struct frame *f, const float *a, const float *b);

/* For methods that find services: the cause is the resource that follows the target best. */
int baseline_find_causes(struct baseline *b);

/* The answer set of methods that rank: the first. Of those that alarm: all. */
void baseline_name_first(struct baseline *b);
void baseline_name_all(struct baseline *b);

#endif
