#include "tests/bench/model_case.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "analyzer/diagnose.h"
#include "common/clock.h"
#include "tests/bench/flops.h"

#define DIAGNOSES 5

static double since_s(uint64_t start_ns)
{
	return (double)(clock_monotonic_ns() - start_ns) / 1e9;
}

/* All windows but the incident's, as the analyzer does. */
static bool *usual_windows(const struct recording *r)
{
	bool *use = calloc(r->series.windows, sizeof(*use));

	if (use)
		memset(use, true, r->series.windows - SYNTHETIC_INCIDENT);
	return use;
}

static int train(struct model **m, const struct recording *r, const struct model_options *o)
{
	bool *use = usual_windows(r);
	int err = use ? model_train(m, r, r->slo, use, o) : -1;

	free(use);
	return err;
}

/* Go on from a model of one service less. */
static int train_changed(struct changed *out, const struct model *old, const struct synthetic *s,
	const struct model_options *o)
{
	struct synthetic more = *s;
	struct recording r;
	struct model *m = NULL;
	uint64_t start_ns;
	bool *use = NULL;
	int err;

	more.services++;
	err = synthetic_make(&r, &more);
	if (!err)
		use = usual_windows(&r);
	start_ns = clock_monotonic_ns();
	if (use)
		err = model_retrain_changed(&m, old, &r, r.slo, use, o, &out->share);
	out->seconds = since_s(start_ns);
	model_free(m);
	free(use);
	recording_clear(&r);
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
static int measure_epoch(struct model_case *out, const struct recording *r, double time_s)
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

static int measure(
	struct model_case *out, const struct recording *r, const struct synthetic *s, double time_s)
{
	bool few = s->services <= MODEL_CASE_FAITHFUL;
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
	if (!err)
		err = train_changed(&out->changed, m, s, &o);
	model_free(m);
	return err;
}

static void run_child(int to, const struct synthetic *s, double time_s)
{
	struct model_case out = {0};
	struct recording r;

	out.err = synthetic_make(&r, s);
	if (!out.err)
		out.err = measure(&out, &r, s, time_s);
	recording_clear(&r);
	_exit(write(to, &out, sizeof(out)) != sizeof(out));
}

int model_case_run(struct model_case *out, const struct synthetic *s, double time_s)
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
