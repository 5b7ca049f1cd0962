/*
 * What the model costs: training and diagnosis of made-up applications of 28 to 10,000 services
 * with 150 and 600 windows, beside the sgemm peak of the machine in the same run. Before that,
 * single layers beside sgemm, and a training beside PyTorch.
 */
#include <argp.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "common/clock.h"
#include "tests/bench/arguments.h"
#include "tests/bench/contest.h"
#include "tests/bench/growth.h"
#include "tests/bench/layers.h"
#include "tests/bench/model_case.h"
#include "tests/bench/output.h"
#include "tests/bench/peak.h"

#define PEAK_SECONDS 0.5
#define SHARE_OF_TIME 0.9 /* of what is left, for training; the rest is for diagnosing */
#define SEED 1

#define COUNT(array) (sizeof(array) / sizeof(*(array)))
#define CASES (COUNT(services) * COUNT(windows) * SYNTHETIC_SHAPES) /* at most */

static const unsigned services[] = {28, 100, 1024, 10000}, windows[] = {150, 600};

struct options {
	const char *json;
	double seconds, epochs, rounds;
};

static double since_s(uint64_t start_ns)
{
	return (double)(clock_monotonic_ns() - start_ns) / 1e9;
}

/* ---- the table ----------------------------------------------------------------------- */

static void print_head(void)
{
	printf("%-6s %8s %8s %10s %6s %8s %10s %8s %8s %8s %9s %7s %10s %11s %12s\n", "shape",
		"services", "windows", "parameters", "steps", "train s", "all steps", "GFLOP/s",
		"of peak", "peak MB", "changed s", "of all", "robust ms", "guarded ms",
		"faithful ms");
}

/* Never below a tenth of all: what is done once was timed in another training. */
static double stepping_s(const struct model_case *r)
{
	return fmax(r->seconds - r->once_s, 0.1 * r->seconds);
}

static double all_steps_s(const struct model_case *r)
{
	return r->seconds + stepping_s(r) * (r->usual_steps - r->steps) / r->steps;
}

static double gflops(const struct model_case *r)
{
	return r->gflop / stepping_s(r);
}

static void print_row(const struct synthetic *s, const struct model_case *r, double peak)
{
	printf("%-6s %8u %8u %10zu %6u %8.2f %10.2f %8.2f %7.1f%% %8.1f %9.2f %6.1f%% %9.1f%c "
	       "%10.1f%c ",
		synthetic_shape_name(s->shape), s->services, s->windows, r->parameters, r->steps,
		r->seconds, all_steps_s(r), gflops(r), 100 * gflops(r) / peak, r->peak_mb,
		r->changed.seconds, 100 * r->changed.share, r->robust.seconds * 1e3,
		r->robust.right ? ' ' : '*', r->guarded.seconds * 1e3,
		r->guarded.right ? ' ' : '*');
	if (r->faithful.seconds > 0)
		printf("%11.1f%c\n", r->faithful.seconds * 1e3, r->faithful.right ? ' ' : '*');
	else
		printf("%11s\n", "-");
	fflush(stdout);
}

static json_t *row_json(const struct synthetic *s, const struct model_case *r)
{
	json_t *row = json_pack(
		"{s:s, s:i, s:i, s:I, s:i, s:i, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:b, s:f, s:b}",
		"shape", synthetic_shape_name(s->shape), "services", (int)s->services, "windows",
		(int)s->windows, "parameters", (json_int_t)r->parameters, "steps", (int)r->steps,
		"usual_steps", (int)r->usual_steps, "training_s", r->seconds,
		"training_all_steps_s", all_steps_s(r), "gflops", gflops(r), "peak_rss_mb",
		r->peak_mb, "changed_s", r->changed.seconds, "changed_share", r->changed.share,
		"robust_s", r->robust.seconds, "robust_right", r->robust.right, "guarded_s",
		r->guarded.seconds, "guarded_right", r->guarded.right);

	if (r->faithful.seconds > 0)
		json_object_update_new(
			row, json_pack("{s:f, s:b}", "faithful_s", r->faithful.seconds,
				     "faithful_right", r->faithful.right));
	return row;
}

/* Chains are as long as calls go; what is learnt from is not the question where there are many. */
static bool is_case(const struct synthetic *s)
{
	return s->services <= MODEL_CASE_FAITHFUL ||
	       (s->shape != SYNTHETIC_CHAIN && s->windows == windows[0]);
}

/* From small to large; what time a case does not need is left to those after it. Returns how many.
 */
static size_t list_cases(struct synthetic list[CASES])
{
	size_t count = 0;

	for (size_t n = 0; n < COUNT(services); n++)
		for (size_t w = 0; w < COUNT(windows); w++)
			for (int shape = 0; shape < SYNTHETIC_SHAPES; shape++) {
				list[count] =
					(struct synthetic){.shape = (enum synthetic_shape)shape,
						.services = services[n],
						.windows = windows[w],
						.seed = SEED};
				count += is_case(&list[count]);
			}
	return count;
}

static int run_cases(json_t *rows, json_t **growth, double seconds, double peak)
{
	uint64_t start_ns = clock_monotonic_ns();
	struct synthetic list[CASES];
	struct model_case result[CASES];
	size_t count;

	count = list_cases(list);
	for (size_t i = 0; i < count; i++) {
		double time_s = (seconds - since_s(start_ns)) / (double)(count - i);

		if (model_case_run(&result[i], &list[i], SHARE_OF_TIME * time_s)) {
			fprintf(stderr, "model_bench: %s of %u services: failed\n",
				synthetic_shape_name(list[i].shape), list[i].services);
			return -1;
		}
		print_row(&list[i], &result[i], peak);
		json_array_append_new(rows, row_json(&list[i], &result[i]));
	}
	*growth = growth_print(list, result, count, MODEL_CASE_FAITHFUL);
	return 0;
}

/* ---- the program --------------------------------------------------------------------- */

static const struct argp_option option[] = {
	ARGUMENT_JSON,
	{"epochs", 'e', "N", 0, "of the training done beside PyTorch (10; the whole job is 50)", 0},
	{"rounds", 'r', "N", 0, "of that, in turns (3; 0 = none)", 0},
	{"seconds", 's', "N", 0, "take about this long (80) for the rest: with less, fewer steps",
		0},
	{0},
};

static error_t parse(int key, char *text, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'e':
		o->epochs = argument_number(state, text, 1, 1000);
		return 0;
	case 'r':
		o->rounds = argument_number(state, text, 0, 15);
		return 0;
	case 's':
		o->seconds = argument_number(state, text, 1, 3600);
		return 0;
	default:
		return argument_common(key, text, state, &o->json);
	}
}

static unsigned cpus(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n < 1 ? 1 : n > PEAK_THREADS ? PEAK_THREADS : (unsigned)n;
}

int main(int argc, char **argv)
{
	static const struct argp argp = {
		option, parse, NULL, "Measure training and diagnosis.", NULL, NULL, NULL};
	struct options o = {.seconds = 80, .epochs = 10, .rounds = 3};
	json_t *rows = json_array(), *growth = NULL, *contest = NULL, *layers, *model;
	double one, all;
	int err;

	peak_start(argv);
	argp_parse(&argp, argc, argv, 0, NULL, &o);
	one = peak_gflops(1, PEAK_SECONDS);
	all = peak_gflops(cpus(), PEAK_SECONDS);
	printf("model: %u threads; sgemm peak %.0f GFLOP/s with 1 thread, %.0f with %u (kernels: "
	       "%s)\n",
		cpus(), one, all, cpus(), peak_kernels());
	layers = layers_run();
	if (o.rounds >= 1)
		contest = contest_run(&(struct contest_options){.epochs = (unsigned)o.epochs,
			.rounds = (unsigned)o.rounds,
			.threads = cpus()});
	print_head();
	err = run_cases(rows, &growth, o.seconds, all);
	printf("all steps: seconds for the usual number, from the steps done in the time there "
	       "was; *: the planted service was not first\n");
	model = json_pack("{s:i, s:f, s:f, s:s, s:O, s:o*, s:o*}", "threads", (int)cpus(),
		"peak_gflops_1", one, "peak_gflops", all, "kernels", peak_kernels(), "cases", rows,
		"growth", growth, "layers", layers);
	if (contest)
		json_object_set_new(model, "training", contest);
	else if (o.rounds >= 1)
		err = -1;
	if (!layers)
		err = -1;
	if (!err && o.json)
		err = output_json(o.json, "model", model);
	json_decref(model);
	json_decref(rows);
	return err ? 1 : 0;
}
