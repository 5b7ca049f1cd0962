/*
 * What holds of captured calls on any machine, however busy it is.
 *
 * What is captured of a call lies within what whoever made it recorded by the same clock, from
 * before the call until after it. So the longest captured is no longer than the longest
 * recorded, nor the second longest than the second, down to the last: whoever lost the CPU where.
 * Include after cmocka.h.
 */
#ifndef SAGE_TESTS_NESTED_H
#define SAGE_TESTS_NESTED_H

#include <stdbool.h>

#include "common/hist.h"

/*
 * Whether that can be so. Of what was recorded up to `missing` need not have been captured; more
 * may have been. `slack_ns` allows for a coarser clock.
 */
bool nested_within(const struct hist *captured, const struct hist *recorded, uint64_t missing,
	uint64_t slack_ns);

/* The same, or the test fails and says of what. */
void nested_assert(const char *what, const struct hist *captured, const struct hist *recorded,
	uint64_t missing, uint64_t slack_ns);

/* How many values are certainly below `ns`. */
uint64_t nested_below(const struct hist *h, uint64_t ns);

/*
 * How far off the time may be at which capture says that a message came: what has waited for its
 * reader is dated by the kernel's ticks.
 */
uint64_t nested_arrival_ns(void);

#endif
