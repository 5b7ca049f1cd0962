#include "tests/testbed/record.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void record_write_header(FILE *f)
{
	fputs("time,rate,sent,done,errors,dropped,p50_us,p99_us,histogram\n", f);
	fflush(f);
}

void record_write(FILE *f, const struct record_second *s)
{
	fprintf(f,
		"%.0f,%.1f,%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64
		",",
		s->time, s->rate, s->sent, s->done, s->errors, s->dropped,
		hist_quantile_ns(&s->latency, 0.5) / 1000,
		hist_quantile_ns(&s->latency, 0.99) / 1000);
	for (unsigned i = 0; i < HIST_BUCKETS; i++)
		if (s->latency.count[i])
			fprintf(f, "%u:%u ", i, s->latency.count[i]);
	fputc('\n', f);
	fflush(f);
}

static void add_histogram(struct hist *h, char *text)
{
	char *rest = NULL;

	for (char *w = strtok_r(text, " \n", &rest); w; w = strtok_r(NULL, " \n", &rest)) {
		unsigned bucket, count;

		if (sscanf(w, "%u:%u", &bucket, &count) != 2 || bucket >= HIST_BUCKETS)
			continue;
		h->count[bucket] += count;
		h->total += count;
		h->sum_ns += hist_bucket_mid_ns(bucket) * count;
	}
}

static int add_line(struct record_second *sum, char *line, double from, double to)
{
	struct record_second s;
	int at = 0;

	if (sscanf(line, "%lf,%lf,%" SCNu64 ",%" SCNu64 ",%" SCNu64 ",%" SCNu64 ",%*u,%*u,%n",
		    &s.time, &s.rate, &s.sent, &s.done, &s.errors, &s.dropped, &at) != 6 ||
		!at || s.time < from || s.time >= to || !strchr(line, '\n'))
		return 0;
	sum->rate += s.rate;
	sum->sent += s.sent;
	sum->done += s.done;
	sum->errors += s.errors;
	sum->dropped += s.dropped;
	add_histogram(&sum->latency, line + at);
	return 1;
}

int record_read(const char *path, double from, double to, struct record_second *sum)
{
	struct record_second read = {.time = from};
	char *line = NULL;
	size_t size = 0;
	int seconds = 0;
	FILE *f = fopen(path, "re");

	if (!f)
		return -errno;
	while (getline(&line, &size, f) > 0)
		seconds += add_line(&read, line, from, to);
	free(line);
	fclose(f);
	if (seconds)
		read.rate /= seconds;
	*sum = read;
	return seconds;
}
