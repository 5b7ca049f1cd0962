#include "analyzer/cli.h"

#include <argp.h>
#include <math.h>
#include <stdio.h>

#include "analyzer/cli_options.h"
#include "analyzer/download.h"
#include "analyzer/store_recording.h"
#include "common/clock.h"
#include "common/log.h"

struct arguments {
	const char *url, *data, *out;
	double from_s, to_s;
};

static const struct argp_option options[] = {
	{"url", 'u', "URL", 0, "The running analyzer (default http://127.0.0.1:8080)", 0},
	{"from-data", 'd', "DIR", 0, "A data directory of serve, which must not be running", 0},
	{"out", 'o', "DIR", 0, "Where to write the recording", 0},
	{"from", 'f', "TIME", 0, "First window, Unix seconds (default: the oldest)", 0},
	{"to", 't', "TIME", 0, "End, Unix seconds (default: now)", 0},
	{0},
};

static error_t parse(int key, char *text, struct argp_state *state)
{
	struct arguments *a = state->input;

	switch (key) {
	case 'u':
		a->url = text;
		return 0;
	case 'd':
		a->data = text;
		return 0;
	case 'o':
		a->out = text;
		return 0;
	case 'f':
		a->from_s = option_number(state, "--from", text);
		return 0;
	case 't':
		a->to_s = option_number(state, "--to", text);
		return 0;
	case ARGP_KEY_END:
		if (a->url && a->data)
			argp_error(state, "--url or --from-data, not both");
		if (!a->out)
			argp_error(state, "where to? Give --out DIR");
		if (a->from_s >= a->to_s)
			argp_error(state, "--from is not before --to");
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp parser = {options, parse, NULL,
	"Write what an analyzer knows as a directory of CSV files, for replay, diagnose and score: "
	"of a running one over HTTP, of one that has ended from its data directory.",
	NULL, NULL, NULL};

static int get_recording(const struct arguments *a, struct recording *r, char *why, size_t why_size)
{
	if (a->data)
		return store_recording(r, a->data, a->from_s, a->to_s, why, why_size);
	return download_recording(
		r, a->url ? a->url : "http://127.0.0.1:8080", a->from_s, a->to_s, why, why_size);
}

int cli_record(int argc, char **argv)
{
	struct arguments a = {.to_s = clock_wall_s()};
	struct recording r;
	char why[512];
	int status = 0;

	option_parse(&parser, argc, argv, "sage-analyzer record", &a);
	if (get_recording(&a, &r, why, sizeof(why))) {
		log_error("record: %s", why);
		return 1;
	}
	if (!r.series.windows) {
		log_error("record: the analyzer has no windows in that time; nothing written");
		status = 1;
	} else if (recording_write(&r, a.out, why, sizeof(why))) {
		log_error("record: %s", why);
		status = 1;
	} else {
		printf("%s: %zu windows of %.4g s, %u series of %u entities\n", a.out,
			r.series.windows, r.series.window_s, r.series.columns, r.graph.entities);
	}
	recording_clear(&r);
	return status;
}
