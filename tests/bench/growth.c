#include "tests/bench/growth.h"

#include <math.h>
#include <stdio.h>

static double exponent(
	const struct synthetic *from, double from_s, const struct synthetic *to, double to_s)
{
	return log(to_s / from_s) / log((double)to->services / from->services);
}

static bool is_pair(const struct synthetic *from, const struct synthetic *to)
{
	return from->services < to->services && from->shape == to->shape &&
	       from->windows == to->windows;
}

json_t *growth_print(
	const struct synthetic *list, const struct model_case *result, size_t count, unsigned least)
{
	json_t *rows = json_array();

	for (size_t i = 0; i < count; i++)
		for (size_t k = i + 1; k < count; k++) {
			const struct synthetic *from = &list[i], *to = &list[k];
			const char *shape = synthetic_shape_name(from->shape);
			double robust, guarded;

			if (from->services < least || !is_pair(from, to))
				continue;
			robust = exponent(
				from, result[i].robust.seconds, to, result[k].robust.seconds);
			guarded = exponent(
				from, result[i].guarded.seconds, to, result[k].guarded.seconds);
			printf("growth from %u to %u services, %s: exponent %.2f robust, %.2f "
			       "guarded\n",
				from->services, to->services, shape, robust, guarded);
			json_array_append_new(
				rows, json_pack("{s:s, s:i, s:i, s:f, s:f}", "shape", shape, "from",
					      (int)from->services, "to", (int)to->services,
					      "robust", robust, "guarded", guarded));
		}
	return rows;
}
