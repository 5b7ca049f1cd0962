#include "analyzer/stolen.h"

#include <math.h>

#define LEAST_SHARE 0.005 /* of the rise: who added less is no victim */

struct sums {
	double share, squares; /* of the rise; and of its squares, over the host's services */
	unsigned services, victims;
};

static struct sums sum_of(const struct suspicion *s, uint32_t host)
{
	const struct graph *g = &s->f->r->graph;
	struct sums sum = {0};

	for (uint32_t i = 0; i < g->entities; i++) {
		double share = s->suspect[i].own + s->suspect[i].between;

		if (g->entity[i].kind != ENTITY_SERVICE || g->entity[i].host != host)
			continue;
		sum.share += share;
		sum.squares += share * share;
		sum.services++;
		sum.victims += share >= LEAST_SHARE;
	}
	return sum;
}

/*
 * 1 when all services of the host added the same, near 0 when one of many added all: less
 * Herfindahl's index, the chance that two moments drawn from the added time were lost at the same
 * service, which is at least 1 / services. Of one service alone nothing can be told.
 */
static double spread_of(const struct sums *sum)
{
	double concentration = sum->squares / (sum->share * sum->share);

	return fmin(1, 1 - concentration + 1.0 / sum->services);
}

void stolen_share(struct suspicion *s)
{
	const struct graph *g = &s->f->r->graph;

	for (uint32_t i = 0; i < g->entities; i++) {
		struct suspect *p = &s->suspect[i];
		struct sums sum;

		if (g->entity[i].kind != ENTITY_HOST || p->moved[RESOURCE_CPU].strength <= 0)
			continue;
		sum = sum_of(s, i);
		if (sum.share > 0)
			p->own = p->moved[RESOURCE_CPU].strength * spread_of(&sum) * sum.share;
	}
}

unsigned stolen_victims(const struct suspicion *s, uint32_t host)
{
	return sum_of(s, host).victims;
}
