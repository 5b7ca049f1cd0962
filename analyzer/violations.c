#include "analyzer/diagnose.h"

#include <errno.h>
#include <stdlib.h>

#define JOINED_GAP 2       /* quiet windows inside one violation */
#define LONG_WINDOW_S 30.0 /* from here on one window is enough */

struct found {
	struct violation *list; /* owned */
	size_t count, capacity;
};

static int keep(struct found *f, const struct violation *v)
{
	if (f->count == f->capacity) {
		size_t capacity = f->capacity ? 2 * f->capacity : 16;
		struct violation *bigger = realloc(f->list, capacity * sizeof(*bigger));

		if (!bigger)
			return -ENOMEM;
		f->list = bigger;
		f->capacity = capacity;
	}
	f->list[f->count++] = *v;
	return 0;
}

/* Windows that are missing count as quiet ones, by the time they would have taken. */
static bool joins(const struct series *s, size_t last, size_t next)
{
	double step = s->window_s > 0 ? s->window_s : 1;

	return s->start_s[next] - s->start_s[last] < (JOINED_GAP + 1.5) * step;
}

static int find(struct found *f, const struct series *s, const struct slo *slo)
{
	const float *value = series_values(s, slo->entity, slo->metric);
	size_t wanted = s->window_s >= LONG_WINDOW_S ? 1 : 2;
	size_t w = 0;

	while (value && w < s->windows) {
		size_t first = w, last = w, missed = 0;
		struct violation v = {.slo = slo};

		for (; w < s->windows && (!missed || joins(s, last, w)); w++) {
			if (!((double)value[w] > slo->target)) {
				if (!missed)
					first = w + 1;
				continue;
			}
			last = w;
			missed++;
		}
		v.from_s = missed ? s->start_s[first] : 0;
		v.to_s = missed ? s->start_s[last] + (s->window_s > 0 ? s->window_s : 1) : 0;
		if (missed >= wanted && keep(f, &v))
			return -ENOMEM;
	}
	return 0;
}

long diagnose_find_violations(const struct recording *r, struct violation **out)
{
	struct found f = {0};

	for (size_t i = 0; i < r->slos; i++) {
		if (find(&f, &r->series, &r->slo[i])) {
			free(f.list);
			return -ENOMEM;
		}
	}
	*out = f.list;
	return (long)f.count;
}
