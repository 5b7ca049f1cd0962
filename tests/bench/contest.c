#include "tests/bench/contest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analyzer/kernels.h"
#include "common/clock.h"
#include "tests/bench/cvae.h"
#include "tests/bench/peak.h"

#define PYTHON "/usr/bin/python3" /* the one that Debian's python3-torch is for */
#define PEAK_SECONDS 0.3
#define MOST_ROUNDS 15

struct timed {
	double seconds, loss;
};

struct round {
	struct timed own, best, plain;
	double peak_gflops;
};

struct contest {
	struct cvae_job job;
	float *data;
	char path[64]; /* the data, for PyTorch */
	bool torch;
	unsigned rounds;
	struct round round[MOST_ROUNDS];
};

static int write_data(struct contest *c)
{
	const struct cvae_job *j = &c->job;
	int32_t head[] = {(int32_t)j->services, (int32_t)j->windows, (int32_t)j->features,
		(int32_t)j->targets, (int32_t)j->batch};
	size_t floats = (size_t)j->services * j->windows * (j->features + j->targets);
	int fd = mkstemp(strcpy(c->path, "/tmp/cvae-XXXXXX"));
	FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
	bool done;

	if (!file)
		return -1;
	done = fwrite(head, sizeof(head), 1, file) == 1 &&
	       fwrite(c->data, sizeof(float), floats, file) == floats;
	return fclose(file) || !done ? -1 : 0;
}

static int train(const struct contest *c, struct timed *out)
{
	uint64_t start_ns = clock_monotonic_ns();
	int err = cvae_train(&c->job, c->data, &out->loss);

	out->seconds = (double)(clock_monotonic_ns() - start_ns) / 1e9;
	return err;
}

/* Processes share the services where the variant is made for it. */
static int train_torch(
	const struct contest *c, const char *variant, unsigned processes, struct timed *out)
{
	char command[256];
	json_t *said;
	FILE *from;
	int err;

	snprintf(command, sizeof(command), "%s %s %s %s %u %u", PYTHON, SAGE_CVAE_TORCH, c->path,
		variant, processes, c->job.epochs);
	from = popen(command, "r");
	if (!from)
		return -1;
	said = json_loadf(from, 0, NULL);
	err = json_unpack(said, "{s:F, s:F}", "seconds", &out->seconds, "loss", &out->loss);
	json_decref(said);
	return pclose(from) || err ? -1 : 0;
}

static int run_round(struct contest *c, struct round *r)
{
	int err = train(c, &r->own);

	r->peak_gflops = peak_gflops(c->job.threads, PEAK_SECONDS);
	if (!err && c->torch)
		err = train_torch(c, "batched", c->job.threads, &r->best);
	return err;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double flops_per_s(const struct contest *c, const struct round *r)
{
	return cvae_flops(&c->job) / 1e9 / r->own.seconds;
}

static double share_of_peak(const struct contest *c, const struct round *r)
{
	return flops_per_s(c, r) / r->peak_gflops;
}

static double times_best(const struct contest *c, const struct round *r)
{
	(void)c;
	return r->best.seconds / r->own.seconds;
}

/* The plain loop takes long, and so has its turn in the first round only. */
static double own_seconds(const struct contest *c, const struct round *r)
{
	(void)c;
	return r->own.seconds;
}

static double best_seconds(const struct contest *c, const struct round *r)
{
	(void)c;
	return r->best.seconds;
}

static double median_of(
	const struct contest *c, double (*of)(const struct contest *c, const struct round *r))
{
	double value[MOST_ROUNDS];

	for (unsigned i = 0; i < c->rounds; i++)
		value[i] = of(c, &c->round[i]);
	qsort(value, c->rounds, sizeof(*value), ascending);
	return value[c->rounds / 2];
}

static void print(const struct contest *c)
{
	const struct round *r = &c->round[0];

	printf("training: %u services x %u windows, %u epochs = %.1f GFLOP, %u threads (kernels: "
	       "%s); medians of %u rounds\n",
		c->job.services, c->job.windows, c->job.epochs, cvae_flops(&c->job) / 1e9,
		c->job.threads, kernels_best()->name, c->rounds);
	printf("%-34s %9s %12s %10s\n", "", "seconds", "times as long", "last loss");
	printf("%-34s %9.2f %12s %10.4f   %.0f %% of the sgemm peak of the same moments\n",
		"this engine", median_of(c, own_seconds), "1", r->own.loss,
		100 * median_of(c, share_of_peak));
	if (!c->torch) {
		printf("PyTorch: not here; ./run bench installs python3-torch\n");
		return;
	}
	printf("%-34s %9.2f %12.1f %10.4f\n", "PyTorch, batched, a process a CPU",
		median_of(c, best_seconds), median_of(c, times_best), r->best.loss);
	printf("%-34s %9.2f %12.1f %10.4f   one round\n", "PyTorch, a service after the other",
		r->plain.seconds, r->plain.seconds / r->own.seconds, r->plain.loss);
}

static json_t *as_json(const struct contest *c)
{
	json_t *all = json_pack("{s:i, s:i, s:i, s:f, s:s, s:f, s:f, s:f}", "epochs",
		(int)c->job.epochs, "threads", (int)c->job.threads, "rounds", (int)c->rounds,
		"gflop", cvae_flops(&c->job) / 1e9, "kernels", kernels_best()->name, "seconds",
		median_of(c, own_seconds), "of_sgemm_peak", median_of(c, share_of_peak), "loss",
		c->round[0].own.loss);

	if (c->torch)
		json_object_update_new(
			all, json_pack("{s:f, s:f, s:f, s:f, s:f, s:f}", "torch_batched_s",
				     median_of(c, best_seconds), "torch_batched_times",
				     median_of(c, times_best), "torch_batched_loss",
				     c->round[0].best.loss, "torch_plain_s",
				     c->round[0].plain.seconds, "torch_plain_times",
				     c->round[0].plain.seconds / c->round[0].own.seconds,
				     "torch_plain_loss", c->round[0].plain.loss));
	return all;
}

static int run(struct contest *c)
{
	int err = 0;

	if (!c->data || write_data(c)) {
		fprintf(stderr, "model_bench: no room for the training data in memory or /tmp\n");
		return -1;
	}
	c->torch = system(PYTHON " -c 'import torch' 2>/dev/null") == 0;
	if (c->torch)
		err = train_torch(c, "plain", 1, &c->round[0].plain);
	for (unsigned i = 0; !err && i < c->rounds; i++)
		err = run_round(c, &c->round[i]);
	if (err)
		fprintf(stderr, "model_bench: the training did not finish\n");
	return err;
}

json_t *contest_run(const struct contest_options *o)
{
	struct contest c = {.rounds = o->rounds < MOST_ROUNDS ? o->rounds : MOST_ROUNDS};
	json_t *out = NULL;

	cvae_job_default(&c.job);
	c.job.epochs = o->epochs;
	c.job.threads = o->threads;
	c.data = cvae_data(&c.job);
	if (!run(&c)) {
		print(&c);
		out = as_json(&c);
	}
	if (c.path[0])
		unlink(c.path);
	free(c.data);
	return out;
}
