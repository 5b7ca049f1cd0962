/*
 * The load generator's own record: one CSV line per second, with the whole
 * latency histogram, so that a reader can merge seconds and take any quantile.
 *
 *   time,rate,sent,done,errors,dropped,p50_us,p99_us,histogram
 *
 * `time` is the Unix second; histogram is `bucket:count bucket:count ...` over
 * the buckets of common/hist.h. Latency counts from the moment the request
 * should have been sent. One thread writes; others read the file.
 */
#ifndef SAGE_TESTBED_RECORD_H
#define SAGE_TESTBED_RECORD_H

#include <stdint.h>
#include <stdio.h>

#include "common/hist.h"

struct record_second {
	double time; /* Unix seconds, start of the second */
	double rate; /* wanted */
	uint64_t sent, done, errors, dropped;
	struct hist latency;
};

void record_write_header(FILE *f);
void record_write(FILE *f, const struct record_second *s);

/*
 * Add up the seconds that start in [from, to) of a record file. Returns the
 * number of seconds found or -errno.
 */
int record_read(const char *path, double from, double to, struct record_second *sum);

#endif
