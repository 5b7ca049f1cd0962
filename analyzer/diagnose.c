#include "analyzer/diagnose.h"

#include <stdio.h>
#include <string.h>

#include "analyzer/baseline.h"
#include "analyzer/faithful.h"
#include "analyzer/guarded.h"
#include "analyzer/robust.h"
#include "analyzer/search.h"
#include "common/clock.h"

static const struct {
	const char *name;
	baseline_method *baseline; /* NULL: one of this project's own */
} method[METHODS] = {
	[METHOD_GUARDED] = {"guarded", NULL},
	[METHOD_FAITHFUL] = {"faithful", NULL},
	[METHOD_ROBUST] = {"robust", NULL},
	[METHOD_AUTOSCALE50] = {"autoscale50", baseline_autoscale50},
	[METHOD_AUTOSCALE70] = {"autoscale70", baseline_autoscale70},
	[METHOD_THRESHOLDS] = {"thresholds", baseline_thresholds},
	[METHOD_NSIGMA] = {"nsigma", baseline_nsigma},
	[METHOD_EDIAGNOSIS] = {"ediagnosis", baseline_ediagnosis},
	[METHOD_RANDOM_WALK] = {"random-walk", baseline_walk},
	[METHOD_DEEPEST] = {"deepest", baseline_deepest},
	[METHOD_CIRCA] = {"circa", baseline_circa},
};

const char *method_name(enum method m)
{
	return method[m].name;
}

const char *method_names(void)
{
	return "guarded, faithful, robust, autoscale50, autoscale70, thresholds, nsigma, "
	       "ediagnosis, random-walk, deepest, circa";
}

bool method_parse(const char *text, enum method *out)
{
	for (int i = 0; i < METHODS; i++)
		if (!strcmp(text, method[i].name)) {
			*out = (enum method)i;
			return true;
		}
	return false;
}

bool method_learns(enum method m)
{
	return m == METHOD_GUARDED || m == METHOD_FAITHFUL;
}

/* Say that the answer was asked of a model which is not there yet. */
static void note_no_model(struct diagnosis *d)
{
	size_t used = strlen(d->why);

	snprintf(d->why + used, sizeof(d->why) - used, " (no model yet: evidence alone)");
}

int diagnose(struct diagnosis *d, const struct recording *r, const struct slo *slo, double from_s,
	double to_s, const bool *use, const struct model *m, enum method asked)
{
	bool missed = search_missed(r, slo, from_s, to_s);
	uint64_t start_ns = clock_monotonic_ns();
	int err;

	if (asked == METHOD_FAITHFUL && (m || !missed))
		err = faithful_search(d, r, slo, from_s, to_s, use, m);
	else if (m && asked == METHOD_GUARDED)
		err = guarded_search(d, r, slo, from_s, to_s, use, m);
	else if (method[asked].baseline)
		err = baseline_rank(
			d, r, slo, from_s, to_s, use, method[asked].name, method[asked].baseline);
	else
		err = robust_rank(d, r, slo, from_s, to_s, use);
	if (err)
		return err;
	if (!m && method_learns(asked) && missed)
		note_no_model(d);
	d->seconds = (double)(clock_monotonic_ns() - start_ns) / 1e9;
	return 0;
}
