#include "tests/testbed/arrivals.h"

#define RATE_MIN 0.1

void arrivals_init(struct arrivals *a, const struct topology *t, uint64_t now_ns, uint64_t seed)
{
	*a = (struct arrivals){
		.rate = t->rate,
		.swing = t->swing,
		.period_s = t->period_s,
		.noise = t->noise,
		.factor = 1,
		.roughness = 1,
		.start_ns = now_ns,
		.next_ns = now_ns,
	};
	random_init(&a->random, seed);
}

double arrivals_rate(struct arrivals *a, uint64_t now_ns)
{
	double t = (double)(now_ns - a->start_ns) * 1e-9;
	double rate;

	if ((uint64_t)t != a->second) {
		a->second = (uint64_t)t;
		a->roughness = 1 + a->noise * random_normal(&a->random);
	}
	rate = a->rate * a->factor * a->roughness;
	rate *= 1 + a->swing * sin(6.283185307179586 * t / a->period_s);
	return rate > RATE_MIN ? rate : RATE_MIN;
}

uint64_t arrivals_take(struct arrivals *a)
{
	uint64_t due = a->next_ns;
	double gap_s = random_exponential(&a->random) / arrivals_rate(a, due);

	a->next_ns = due + (uint64_t)(gap_s * 1e9);
	return due;
}
