/*
 * What the model costs: training and diagnosis of made-up applications of 28, 100 and 1,024
 * services with 150 and 600 windows, beside the sgemm peak of the machine in the same run. Each
 * case has a process of its own, so that its peak memory is its own. Before that, single layers
 * beside sgemm, and a training beside PyTorch.
 */
#include <argp.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "analyzer/diagnose.h"
#include "common/clock.h"
#include "tests/bench/arguments.h"
#include "tests/bench/contest.h"
#include "tests/bench/flops.h"
#include "tests/bench/layers.h"
#include "tests/bench/output.h"
#include "tests/bench/peak.h"
#include "tests/bench/synthetic.h"

#define PEAK_SECONDS 0.5
#define SHARE_OF_TIME 0.9 /* of what is left, for training; the rest is for diagnosing */
#define SEED 1

#define COUNT(array) (sizeof(array) / sizeof(*(array)))
#define CASES (COUNT(services) * COUNT(windows) * SYNTHETIC_SHAPES) /* at most */
#define FAITHFUL_SERVICES 100 /* of more, what a diagnosis by evidence takes is the question */
#define DIAGNOSES 5

static const unsigned services[] = {28, 100, 1024}, windows[] = {150, 600};

struct options {
	const char *json;
	double seconds, epochs, rounds;
};

struct diagnosed {
	double seconds; /* median of some; 0 = not asked */
	bool right;     /* the planted service, first */
};

struct result {
	int err;
	unsigned steps, usual_steps; /* fewer when the time did not suffice */
	size_t parameters;
	double gflop, seconds, peak_mb; /* of training */
	double once_s;                  /* before its first step */
	struct diagnosed robust, guarded, faithful;
};

static double since_s(uint64_t start_ns)
{
	return (double)(clock_monotonic_ns() - start_ns) / 1e9;
}

/* ---- one case, in its own process --------------------------------------------------- */

/* On all windows but the incident's, as the analyzer does. */
static int train(struct model **m, const struct recording *r, const struct model_options *o)
{
	size_t all = r->series.windows;
	bool *use = calloc(all, sizeof(*use));
	int err;

	if (!use)
		return -1;
	memset(use, true, all - SYNTHETIC_INCIDENT);
	err = model_train(m, r, r->slo, use, o);
	free(use);
	return err;
}

static unsigned steps_of_an_epoch(const struct recording *r, const struct model_options *o)
{
	size_t used = r->series.windows - SYNTHETIC_INCIDENT;

	return (unsigned)(used < o->batch ? 1 : used / o->batch);
}

static unsigned usual_steps(const struct recording *r, const struct model_options *o)
{
	unsigned steps = o->epochs * steps_of_an_epoch(r, o);

	return o->steps && o->steps < steps ? o->steps : steps;
}

static int time_epochs(const struct recording *r, unsigned epochs, double *seconds)
{
	uint64_t start_ns = clock_monotonic_ns();
	struct model_options o;
	struct model *m;
	int err;

	model_options_default(&o);
	o.epochs = epochs;
	err = train(&m, r, &o);
	if (err)
		return err;
	*seconds = since_s(start_ns);
	model_free(m);
	return 0;
}

/*
 * No epoch tells what is done once; one, counted and timed, the work of a step, and how many
 * the time suffices for.
 */
static int measure_epoch(struct result *out, const struct recording *r, double time_s)
{
	struct model_options o;
	double epoch_s, affordable;
	unsigned steps;
	int err = time_epochs(r, 0, &out->once_s);

	if (err)
		return err;
	flops_start();
	err = time_epochs(r, 1, &epoch_s);
	out->gflop = (double)flops_stop() / 1e9;
	if (err)
		return err;
	model_options_default(&o);
	steps = steps_of_an_epoch(r, &o);
	out->usual_steps = usual_steps(r, &o);
	affordable = fmax(1, steps * time_s / epoch_s);
	out->steps = (unsigned)fmin(affordable, out->usual_steps);
	out->gflop *= (double)out->steps / steps;
	return 0;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static int ask(struct diagnosed *out, const struct recording *r, const struct model *m,
	enum method method, size_t times)
{
	const struct truth *t = r->truth;
	double seconds[DIAGNOSES];
	struct diagnosis d;

	for (size_t i = 0; i < times; i++) {
		int err = diagnose(&d, r, r->slo, t->from_s, t->to_s, NULL, m, method);

		if (err)
			return err;
		seconds[i] = d.seconds;
		out->right = d.candidates &&
			     !strcmp(r->graph.entity[d.candidate[0].service].name, t->service);
		diagnosis_clear(&d);
	}
	qsort(seconds, times, sizeof(*seconds), ascending);
	out->seconds = seconds[times / 2];
	return 0;
}

static int measure(struct result *out, const struct recording *r, double time_s, bool few)
{
	struct model_options o;
	struct rusage usage;
	struct model *m;
	uint64_t start_ns;
	int err = measure_epoch(out, r, time_s);

	if (err)
		return err;
	model_options_default(&o);
	o.steps = out->steps;
	start_ns = clock_monotonic_ns();
	err = train(&m, r, &o);
	if (err)
		return err;
	out->seconds = since_s(start_ns);
	getrusage(RUSAGE_SELF, &usage);
	out->peak_mb = (double)usage.ru_maxrss / 1024;
	out->parameters = model_parameters(m);
	err = ask(&out->robust, r, m, METHOD_ROBUST, DIAGNOSES);
	if (!err)
		err = ask(&out->guarded, r, m, METHOD_GUARDED, DIAGNOSES);
	if (!err && few)
		err = ask(&out->faithful, r, m, METHOD_FAITHFUL, DIAGNOSES);
	model_free(m);
	return err;
}

static void run_child(int to, const struct synthetic *s, double time_s)
{
	struct result out = {0};
	struct recording r;

	out.err = synthetic_make(&r, s);
	if (!out.err)
		out.err = measure(&out, &r, time_s, s->services <= FAITHFUL_SERVICES);
	recording_clear(&r);
	_exit(write(to, &out, sizeof(out)) != sizeof(out));
}

static int run_case(struct result *out, const struct synthetic *s, double time_s)
{
	int fd[2], status;
	ssize_t got;
	pid_t pid;

	fflush(NULL);
	if (pipe(fd))
		return -1;
	pid = fork();
	if (!pid)
		run_child(fd[1], s, time_s);
	close(fd[1]);
	got = pid > 0 ? read(fd[0], out, sizeof(*out)) : -1;
	close(fd[0]);
	if (pid > 0)
		waitpid(pid, &status, 0);
	return got == sizeof(*out) ? out->err : -1;
}

/* ---- the table ----------------------------------------------------------------------- */

static void print_head(void)
{
	printf("%-6s %8s %8s %10s %6s %8s %10s %8s %8s %8s %10s %11s %12s\n", "shape", "services",
		"windows", "parameters", "steps", "train s", "all steps", "GFLOP/s", "of peak",
		"peak MB", "robust ms", "guarded ms", "faithful ms");
}

/* Never below a tenth of all: what is done once was timed in another training. */
static double stepping_s(const struct result *r)
{
	return fmax(r->seconds - r->once_s, 0.1 * r->seconds);
}

static double all_steps_s(const struct result *r)
{
	return r->seconds + stepping_s(r) * (r->usual_steps - r->steps) / r->steps;
}

static double gflops(const struct result *r)
{
	return r->gflop / stepping_s(r);
}

static void print_row(const struct synthetic *s, const struct result *r, double peak)
{
	printf("%-6s %8u %8u %10zu %6u %8.2f %10.2f %8.2f %7.1f%% %8.1f %9.1f%c %10.1f%c ",
		synthetic_shape_name(s->shape), s->services, s->windows, r->parameters, r->steps,
		r->seconds, all_steps_s(r), gflops(r), 100 * gflops(r) / peak, r->peak_mb,
		r->robust.seconds * 1e3, r->robust.right ? ' ' : '*', r->guarded.seconds * 1e3,
		r->guarded.right ? ' ' : '*');
	if (r->faithful.seconds > 0)
		printf("%11.1f%c\n", r->faithful.seconds * 1e3, r->faithful.right ? ' ' : '*');
	else
		printf("%11s\n", "-");
	fflush(stdout);
}

static json_t *row_json(const struct synthetic *s, const struct result *r)
{
	json_t *row = json_pack(
		"{s:s, s:i, s:i, s:I, s:i, s:i, s:f, s:f, s:f, s:f, s:f, s:b, s:f, s:b}", "shape",
		synthetic_shape_name(s->shape), "services", (int)s->services, "windows",
		(int)s->windows, "parameters", (json_int_t)r->parameters, "steps", (int)r->steps,
		"usual_steps", (int)r->usual_steps, "training_s", r->seconds,
		"training_all_steps_s", all_steps_s(r), "gflops", gflops(r), "peak_rss_mb",
		r->peak_mb, "robust_s", r->robust.seconds, "robust_right", r->robust.right,
		"guarded_s", r->guarded.seconds, "guarded_right", r->guarded.right);

	if (r->faithful.seconds > 0)
		json_object_update_new(
			row, json_pack("{s:f, s:b}", "faithful_s", r->faithful.seconds,
				     "faithful_right", r->faithful.right));
	return row;
}

/* Chains are as long as calls go; what is learnt from is not the question where there are many. */
static bool is_case(const struct synthetic *s)
{
	return s->services <= FAITHFUL_SERVICES ||
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

/* By which power of the services the time of a diagnosis grows, from one case to another. */
static double exponent(
	const struct synthetic *from, double from_s, const struct synthetic *to, double to_s)
{
	return log(to_s / from_s) / log((double)to->services / from->services);
}

/* Of each shape, from the first case of that many services to the largest; the same windows. */
static void print_growth(
	json_t *growth, const struct synthetic *list, const struct result *result, size_t count)
{
	for (size_t i = 0; i < count; i++)
		for (size_t k = i + 1; k < count; k++) {
			double robust, guarded;

			if (list[i].services != FAITHFUL_SERVICES ||
				list[k].services <= FAITHFUL_SERVICES ||
				list[i].shape != list[k].shape ||
				list[i].windows != list[k].windows)
				continue;
			robust = exponent(&list[i], result[i].robust.seconds, &list[k],
				result[k].robust.seconds);
			guarded = exponent(&list[i], result[i].guarded.seconds, &list[k],
				result[k].guarded.seconds);
			printf("growth from %u to %u services, %s: exponent %.2f robust, %.2f "
			       "guarded\n",
				list[i].services, list[k].services,
				synthetic_shape_name(list[i].shape), robust, guarded);
			json_array_append_new(
				growth, json_pack("{s:s, s:i, s:i, s:f, s:f}", "shape",
						synthetic_shape_name(list[i].shape), "from",
						(int)list[i].services, "to", (int)list[k].services,
						"robust", robust, "guarded", guarded));
		}
}

static int run_cases(json_t *rows, json_t *growth, double seconds, double peak)
{
	uint64_t start_ns = clock_monotonic_ns();
	struct synthetic list[CASES];
	struct result result[CASES];
	size_t count;

	count = list_cases(list);
	for (size_t i = 0; i < count; i++) {
		double time_s = (seconds - since_s(start_ns)) / (double)(count - i);

		if (run_case(&result[i], &list[i], SHARE_OF_TIME * time_s)) {
			fprintf(stderr, "model_bench: %s of %u services: failed\n",
				synthetic_shape_name(list[i].shape), list[i].services);
			return -1;
		}
		print_row(&list[i], &result[i], peak);
		json_array_append_new(rows, row_json(&list[i], &result[i]));
	}
	print_growth(growth, list, result, count);
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
	json_t *rows = json_array(), *growth = json_array(), *contest = NULL, *layers, *model;
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
	err = run_cases(rows, growth, o.seconds, all);
	printf("all steps: seconds for the usual number, from the steps done in the time there "
	       "was; *: the planted service was not first\n");
	model = json_pack("{s:i, s:f, s:f, s:s, s:O, s:o, s:o*}", "threads", (int)cpus(),
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
