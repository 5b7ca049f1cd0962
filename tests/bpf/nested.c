#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/bpf/nested.h"

#include <time.h>

static uint64_t up_to(const struct hist *h, unsigned bucket)
{
	uint64_t n = 0;

	for (unsigned i = 0; i <= bucket; i++)
		n += h->count[i];
	return n;
}

/* The first bucket up to which too few were captured; HIST_BUCKETS = none. */
static unsigned too_few(const struct hist *captured, const struct hist *recorded, uint64_t missing,
	uint64_t slack_ns)
{
	unsigned b = 0;

	while (b < HIST_BUCKETS - 1) {
		uint64_t highest = hist_bucket_low_ns(b + 1) - 1 + slack_ns;

		if (up_to(captured, hist_bucket(highest)) + missing < up_to(recorded, b))
			return b;
		b++;
	}
	return up_to(captured, b) + missing < up_to(recorded, b) ? b : HIST_BUCKETS;
}

bool nested_within(const struct hist *captured, const struct hist *recorded, uint64_t missing,
	uint64_t slack_ns)
{
	return too_few(captured, recorded, missing, slack_ns) == HIST_BUCKETS;
}

void nested_assert(const char *what, const struct hist *captured, const struct hist *recorded,
	uint64_t missing, uint64_t slack_ns)
{
	unsigned b = too_few(captured, recorded, missing, slack_ns);

	if (b < HIST_BUCKETS)
		fail_msg("%s: %llu calls of up to %.1f us were captured, of %llu there were", what,
			(unsigned long long)up_to(captured, b),
			(double)hist_bucket_low_ns(b + 1) / 1000,
			(unsigned long long)up_to(recorded, b));
}

uint64_t nested_below(const struct hist *h, uint64_t ns)
{
	unsigned b = hist_bucket(ns);

	return b ? up_to(h, b - 1) : 0;
}

uint64_t nested_arrival_ns(void)
{
	struct timespec tick = {.tv_nsec = 10000000};

	(void)clock_getres(CLOCK_MONOTONIC_COARSE, &tick);
	return 2 * (uint64_t)tick.tv_nsec;
}
