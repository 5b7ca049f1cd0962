/* Clocks. */
#ifndef SAGE_COMMON_CLOCK_H
#define SAGE_COMMON_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_read_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
}

/* Never jumps: for intervals and deadlines. */
static inline uint64_t clock_monotonic_ns(void)
{
	return clock_read_ns(CLOCK_MONOTONIC);
}

/* Since 1970: for what is shown or stored. */
static inline uint64_t clock_wall_ns(void)
{
	return clock_read_ns(CLOCK_REALTIME);
}

/* The same in seconds, the unit of recordings and reports. */
static inline double clock_monotonic_s(void)
{
	return (double)clock_monotonic_ns() / 1e9;
}

static inline double clock_wall_s(void)
{
	return (double)clock_wall_ns() / 1e9;
}

#endif
