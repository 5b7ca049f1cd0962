#include "analyzer/premise.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NORMALS_WANTED 5
#define FLOOR_RATIO 0.05 /* least spread of the target's metric, as a share of the target */

void premise_healthy(struct diagnosis *d, double observed)
{
	d->verdict = VERDICT_HEALTHY;
	snprintf(d->why, sizeof(d->why), "the target was met in every window");
	d->counterfactual.restored = observed;
}

static bool target_missed(const struct frame *f, const float *value, double target)
{
	for (size_t i = f->normals; i < f->total; i++)
		if ((double)value[i] > target)
			return true;
	return false;
}

static double known_median(const struct frame *f, const float *value)
{
	memcpy(f->scratch, value + f->normals, (f->total - f->normals) * sizeof(*value));
	return frame_median(f->scratch, f->total - f->normals);
}

static bool check(struct premise *p, struct diagnosis *d, const struct frame *f,
	const struct slo *slo, float *value)
{
	if (!frame_gather(f, slo->entity, slo->metric, value)) {
		diagnosis_unknown(d, "the recording has no %s of %.120s", slo->metric,
			f->r->graph.entity[slo->entity].name);
		return false;
	}
	d->counterfactual.observed = known_median(f, value);
	if (isnan(d->counterfactual.observed)) {
		diagnosis_unknown(d, "no window of the interval has a value of %s", slo->metric);
		return false;
	}
	p->missed = target_missed(f, value, slo->target);
	if (f->normals < NORMALS_WANTED && !p->missed) {
		premise_healthy(d, d->counterfactual.observed);
		return false;
	}
	if (f->normals < NORMALS_WANTED) {
		diagnosis_unknown(d, "only %zu normal windows to compare with, %d are needed",
			f->normals, NORMALS_WANTED);
		return false;
	}
	if (!frame_shift(f, value, fmax(1e-9, FLOOR_RATIO * fabs(slo->target)), &p->slo))
		return false;
	d->counterfactual.normal = p->slo.normal;
	return true;
}

int premise_check(
	struct premise *p, struct diagnosis *d, const struct frame *f, const struct slo *slo)
{
	float *value = malloc((f->total + 1) * sizeof(*value));
	bool holds;

	if (!value)
		return -ENOMEM;
	*p = (struct premise){0};
	holds = check(p, d, f, slo, value);
	free(value);
	return holds;
}
