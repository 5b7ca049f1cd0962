#include "tests/sim/events.h"

#include <stdbool.h>
#include <stdlib.h>

#define CHILDREN 4

static bool before(const struct event *a, const struct event *b)
{
	return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->order < b->order;
}

void events_push(struct events *e, uint64_t at_ns, uint32_t kind, uint32_t what)
{
	struct event fresh = {at_ns, e->pushed++, kind, what};
	size_t i = e->count++;

	if (e->count > e->capacity) {
		e->capacity = e->capacity ? 2 * e->capacity : 4096;
		e->heap = realloc(e->heap, e->capacity * sizeof(*e->heap));
		if (!e->heap)
			abort();
	}
	while (i) {
		size_t up = (i - 1) / CHILDREN;

		if (!before(&fresh, &e->heap[up]))
			break;
		e->heap[i] = e->heap[up];
		i = up;
	}
	e->heap[i] = fresh;
}

struct event events_pop(struct events *e)
{
	struct event top = e->heap[0], last = e->heap[--e->count];
	size_t i = 0;

	for (;;) {
		size_t child = CHILDREN * i + 1, least = child;

		if (child >= e->count)
			break;
		for (size_t k = child + 1; k < child + CHILDREN && k < e->count; k++)
			if (before(&e->heap[k], &e->heap[least]))
				least = k;
		if (!before(&e->heap[least], &last))
			break;
		e->heap[i] = e->heap[least];
		i = least;
	}
	e->heap[i] = last;
	return top;
}

void events_clear(struct events *e)
{
	free(e->heap);
	*e = (struct events){0};
}
