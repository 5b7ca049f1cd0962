#include "analyzer/recording.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void recording_init(struct recording *r)
{
	memset(r, 0, sizeof(*r));
	graph_init(&r->graph);
	series_init(&r->series, 0);
}

void recording_clear(struct recording *r)
{
	graph_clear(&r->graph);
	series_clear(&r->series);
	free(r->slo);
	free(r->truth);
	recording_init(r);
}

/* A copy of `count` members, NULL for none. False when out of memory. */
static bool duplicate(void **to, const void *from, size_t count, size_t size)
{
	*to = NULL;
	if (!count)
		return true;
	*to = malloc(count * size);
	if (*to)
		memcpy(*to, from, count * size);
	return *to;
}

int recording_copy(struct recording *to, const struct recording *from)
{
	struct recording r;

	recording_init(&r);
	if (graph_copy(&r.graph, &from->graph) || series_copy(&r.series, &from->series) ||
		!duplicate((void **)&r.slo, from->slo, from->slos, sizeof(*r.slo)) ||
		!duplicate((void **)&r.truth, from->truth, from->truths, sizeof(*r.truth))) {
		recording_clear(&r);
		return -ENOMEM;
	}
	r.slos = from->slos;
	r.truths = from->truths;
	*to = r;
	return 0;
}
