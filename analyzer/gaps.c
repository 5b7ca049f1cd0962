#include "analyzer/gaps.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CALLEE_FIRST 1.3   /* a gap between two services is the callee's, all else equal */
#define COMPARABLE 0.2     /* gaps from this share of the largest on have one cause in common */
#define STARVED_BONUS 0.25 /* for a service whose CPU counters moved */
#define WITHOUT_LOSS 0.25  /* of a gap is believed where segments are lost, but at other links */

struct work {
	struct suspicion *s;
	const struct graph *g;
	double *gap;   /* [entities] what is left */
	double *lost;  /* [entities] of an edge: how clearly more segments are lost, 0..1; owned */
	double losses; /* sum of them */
};

static uint32_t edge_of(const struct entity *e, uint32_t i)
{
	return i < e->ins ? e->in[i] : e->out[i - e->ins];
}

/* Most links lose nothing more than usual, as is known of both ends of their calls. */
static bool may_lose(const struct work *k, uint32_t edge)
{
	const struct entity *e = &k->g->entity[edge];

	return e->kind == ENTITY_EDGE &&
	       k->s->suspect[e->caller].moved[RESOURCE_NETWORK].strength +
			       k->s->suspect[e->callee].moved[RESOURCE_NETWORK].strength >
		       0;
}

static void read_losses(struct work *k, float *scratch)
{
	for (uint32_t i = 0; i < k->g->entities; i++) {
		if (!may_lose(k, i))
			continue;
		k->lost[i] = symptom_of_loss(k->s->f, i, scratch);
		k->losses += k->lost[i];
	}
}

/* How clearly a call's link moved, in the lens where it did so most; NaN when none knows it. */
static double moved_clearly(const struct work *k, uint32_t edge)
{
	double most = k->lost[edge] > 0 ? k->lost[edge] : NAN;

	for (size_t l = 0; l < k->s->lenses; l++)
		if (k->s->seen[l].part[edge].known)
			most = fmax(most, k->s->seen[l].part[edge].weight);
	return most;
}

/* 0..1: all calls of a service cross its one link, so what is wrong there is seen in each. */
static double seen_in_all(const struct work *k, const struct entity *e)
{
	double moved = 0, calls = 0;

	for (uint32_t i = 0; i < e->ins + e->outs; i++) {
		double m = moved_clearly(k, edge_of(e, i));

		if (!isnan(m)) {
			moved += m;
			calls++;
		}
	}
	return calls > 0 ? moved / calls : 1;
}

/* Segments lost in a neighbour's other calls too are not lost at the link of this service. */
static double explains_losses(const struct work *k, const struct entity *e)
{
	double own = 0;

	if (k->losses <= 0)
		return 1;
	for (uint32_t i = 0; i < e->ins + e->outs; i++)
		own += k->lost[edge_of(e, i)];
	return WITHOUT_LOSS + (1 - WITHOUT_LOSS) * own / k->losses;
}

/*
 * How well one service explains the gaps that are left: those of all calls it takes part
 * in, small ones beside the largest aside. A starved process reads late at its end of every call.
 */
static double cover(const struct work *k, uint32_t service, double largest)
{
	const struct entity *e = &k->g->entity[service];
	double sum = 0, starved = k->s->suspect[service].moved[RESOURCE_CPU].strength;

	for (uint32_t i = 0; i < e->ins; i++)
		if (k->gap[e->in[i]] >= COMPARABLE * largest)
			sum += CALLEE_FIRST * k->gap[e->in[i]];
	for (uint32_t i = 0; i < e->outs; i++)
		if (k->gap[e->out[i]] >= COMPARABLE * largest)
			sum += k->gap[e->out[i]];
	if (sum <= 0)
		return 0;
	return sum * (1 + STARVED_BONUS * starved) * sqrt(seen_in_all(k, e)) *
	       explains_losses(k, e);
}

static double largest_gap(const struct work *k)
{
	double largest = 0;

	for (uint32_t i = 0; i < k->g->entities; i++)
		largest = fmax(largest, k->gap[i]);
	return largest;
}

static void take_gap(struct work *k, struct suspect *p, uint32_t edge, double *largest)
{
	p->between += k->gap[edge];
	if (k->gap[edge] > *largest) {
		*largest = k->gap[edge];
		p->edge = edge;
	}
	k->gap[edge] = 0;
}

/* Give every gap to the service that most of them have in common. */
static void share_out(struct work *k)
{
	for (;;) {
		uint32_t best = GRAPH_NONE;
		double most = 1e-3, taken = 0, largest = largest_gap(k);
		const struct entity *e;

		for (uint32_t i = 0; i < k->g->entities; i++) {
			double covered;

			if (k->g->entity[i].kind != ENTITY_SERVICE ||
				!strcmp(k->g->entity[i].name, GRAPH_USER))
				continue;
			covered = cover(k, i, largest);
			if (covered > most) {
				most = covered;
				best = i;
			}
		}
		if (best == GRAPH_NONE)
			return;
		e = &k->g->entity[best];
		for (uint32_t i = 0; i < e->ins + e->outs; i++)
			take_gap(k, &k->s->suspect[best], edge_of(e, i), &taken);
	}
}

int gaps_share_out(struct suspicion *s, double *gap)
{
	struct work k = {.s = s, .g = &s->f->r->graph, .gap = gap};
	float *scratch = malloc((s->f->total + 1) * sizeof(*scratch));
	int error = -ENOMEM;

	k.lost = calloc(k.g->entities, sizeof(*k.lost));
	if (k.lost && scratch) {
		read_losses(&k, scratch);
		share_out(&k);
		error = 0;
	}
	free(k.lost);
	free(scratch);
	return error;
}
