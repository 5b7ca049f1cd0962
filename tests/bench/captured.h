/*
 * How many of a server's calls a running agent saw, from its windows, read through its
 * control socket, and what it counted as lost. Main thread only.
 */
#ifndef SAGE_TESTS_BENCH_CAPTURED_H
#define SAGE_TESTS_BENCH_CAPTURED_H

#include <jansson.h>
#include <stdint.h>

struct captured {
	const char *control, *service;
	uint64_t calls;   /* at the server's end, since captured_init() */
	double time_s;    /* start of the newest window read */
	unsigned windows; /* read */
};

void captured_init(struct captured *c, const char *control, const char *service);

/* Read the newest window, if it is not the last one read. Call more often than windows end. */
void captured_read(struct captured *c);

/* {"cause": count}, the causes that are not 0; a new reference, empty when nothing answers. */
json_t *captured_losses(const char *control);

#endif
