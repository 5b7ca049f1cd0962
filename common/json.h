/* JSON of measured values: what is unknown is null. Header only, for users of jansson. */
#ifndef SAGE_COMMON_JSON_H
#define SAGE_COMMON_JSON_H

#include <jansson.h>
#include <math.h>

/* A new reference; null for NaN and infinities, which JSON does not have. */
static inline json_t *json_number_or_null(double value)
{
	return isfinite(value) ? json_real(value) : json_null();
}

#endif
