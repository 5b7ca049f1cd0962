#include "analyzer/prospect.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

int prospect_open(struct prospect *p, size_t capacity)
{
	*p = (struct prospect){.capacity = capacity};
	p->value = calloc(capacity + 1, sizeof(*p->value));
	return p->value ? 0 : -ENOMEM;
}

void prospect_close(struct prospect *p)
{
	free(p->value);
	*p = (struct prospect){0};
}

void prospect_add(struct prospect *p, const float *value, size_t count, double weight)
{
	size_t known = 0;

	for (size_t i = 0; i < count; i++)
		known += isnan(value[i]) ? 0 : 1;
	for (size_t i = 0; i < count && p->values < p->capacity; i++)
		if (!isnan(value[i]))
			p->value[p->values++] = (struct weighed){value[i], weight / (double)known};
}

static int ascending(const void *a, const void *b)
{
	const struct weighed *x = a, *y = b;

	return (x->value > y->value) - (x->value < y->value);
}

/* Where it falls between two values, the middle of them, as of medians. */
static double quantile(const struct prospect *p, double whole, double q)
{
	double sum = 0;

	for (size_t i = 0; i < p->values; i++) {
		double here = (double)p->value[i].value;

		sum += p->value[i].weight;
		if (sum > q * whole * (1 + 1e-9))
			return here;
		if (sum >= q * whole * (1 - 1e-9))
			return i + 1 < p->values ? (here + (double)p->value[i + 1].value) / 2
						 : here;
	}
	return NAN;
}

struct spread prospect_spread(struct prospect *p)
{
	double whole = 0;

	if (p->values)
		qsort(p->value, p->values, sizeof(*p->value), ascending);
	for (size_t i = 0; i < p->values; i++)
		whole += p->value[i].weight;
	return (struct spread){
		quantile(p, whole, 0.5), quantile(p, whole, 0.9), quantile(p, whole, 0.99)};
}

double prospect_within(const struct prospect *p, double target)
{
	double within = 0, whole = 0;

	for (size_t i = 0; i < p->values; i++) {
		whole += p->value[i].weight;
		within += (double)p->value[i].value <= target ? p->value[i].weight : 0;
	}
	return whole > 0 ? within / whole : NAN;
}

int prospect_observed(struct counterfactual *c, const struct frame *f, const float *slo_value)
{
	struct prospect p;
	int error = prospect_open(&p, f->total - f->normals);

	if (error)
		return error;
	prospect_add(&p, slo_value + f->normals, f->total - f->normals, 1);
	c->with = prospect_spread(&p);
	prospect_close(&p);
	return 0;
}

int prospect_promise(struct promise *out, const struct frame *f, const float *slo_value,
	double chance, const float *other, size_t others, double target)
{
	struct prospect p;
	int error = prospect_open(&p, f->normals + others);

	if (error)
		return error;
	prospect_add(&p, slo_value, f->normals, chance);
	prospect_add(&p, other, others, 1 - chance);
	out->spread = prospect_spread(&p);
	out->within = prospect_within(&p, target);
	prospect_close(&p);
	return 0;
}

int prospect_promise_share(struct promise *out, const struct frame *f, const float *slo_value,
	double chance, double share, double normal, double target)
{
	size_t count = f->total - f->normals;
	float *rest = malloc((count + 1) * sizeof(*rest));
	int error;

	if (!rest)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		double value = (double)slo_value[f->normals + i];

		rest[i] = (float)(value - share * fmax(0, value - normal));
	}
	error = prospect_promise(out, f, slo_value, chance, rest, count, target);
	free(rest);
	return error;
}
