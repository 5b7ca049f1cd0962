/*
 * The loss and its gradient beside those of PyTorch on the same tensors. `parity_test dump FILE`
 * writes wiring and tensors for parity.py, which adds what PyTorch makes of them.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "analyzer/gvae.h"
#include "system.h"

#define ROWS 5

static const struct gvae_loss loss = {.alpha = 0.9F, .beta = 1, .gamma = 0.5F};

static void open_chain(struct recording *r, struct gvae *g)
{
	system_record(r, &(struct system){.services = 2, .windows = 16, .seed = 3});
	assert_int_equal(gvae_open(g, r, r->slo, NULL, 4, 2), 0);
}

/* ---- the file ------------------------------------------------------------------------ */

static void write_nets(FILE *to, const struct gvae *g, const char *kind, const struct gvae_net *net,
	uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct mlp *m = &net[i].shape;

		fprintf(to, "%s %u %u %u %u %zu %u", kind, m->inputs, m->hidden, m->layers,
			m->outputs, net[i].weight, net[i].output);
		for (uint32_t s = 0; s < m->inputs; s++)
			fprintf(to, " %u", g->source[net[i].first_source + s]);
		fputc('\n', to);
	}
}

static void write_wiring(FILE *to, const struct gvae *g)
{
	fprintf(to, "sizes %u %u %u %d\n", g->xs, g->ys, g->entities, ROWS);
	write_nets(to, g, "encoder", g->encoder, g->entities);
	write_nets(to, g, "prior", g->prior, g->entities);
	write_nets(to, g, "decoder", g->decoder, g->nodes);
}

static void write_normals(
	FILE *to, const char *name, size_t count, float scale, struct random *random)
{
	fprintf(to, "%s", name);
	for (size_t i = 0; i < count; i++) {
		float value;

		random_normals(random, &value, 1);
		fprintf(to, " %.6g", (double)(scale * value));
	}
	fputc('\n', to);
}

static int dump(const char *path)
{
	FILE *to = fopen(path, "w");
	struct recording r;
	struct random random;
	struct gvae g;

	if (!to)
		return 1;
	open_chain(&r, &g);
	random_init(&random, 11, 0);
	write_wiring(to, &g);
	write_normals(to, "weights", g.parameters, 0.5F, &random);
	write_normals(to, "z", (size_t)ROWS * (g.xs + g.ys), 2, &random); /* some past 4 */
	fprintf(to, "mask");
	for (uint32_t i = 0; i < ROWS * g.ys; i++)
		fprintf(to, " %d", i % 7 != 3);
	fputc('\n', to);
	write_normals(to, "noise", 2 * (size_t)g.entities * KERNELS_TILE, 1, &random);
	gvae_close(&g);
	recording_clear(&r);
	return fclose(to) != 0;
}

static FILE *open_file(void)
{
	FILE *from = fopen(SAGE_TEST_DATA "/gvae_parity.txt", "r");

	assert_non_null(from);
	return from;
}

/* The numbers on the next line, which begins with that name. */
static float *read_tensor(FILE *from, const char *name, size_t count)
{
	float *out = calloc(count, sizeof(*out));
	char word[32];

	assert_non_null(out);
	assert_int_equal(fscanf(from, "%31s", word), 1);
	assert_string_equal(word, name);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(fscanf(from, "%f", &out[i]), 1);
	return out;
}

/* The file is of the network that is wired today; else it must be made again. */
static void skip_wiring(FILE *from, const struct gvae *g)
{
	char *text = NULL, *read;
	size_t size = 0;
	FILE *memory = open_memstream(&text, &size);

	assert_non_null(memory);
	write_wiring(memory, g);
	fclose(memory);
	read = calloc(1, size + 1);
	assert_non_null(read);
	assert_int_equal(fread(read, 1, size, from), size);
	assert_string_equal(read, text);
	free(read);
	free(text);
}

/* ---- the test ------------------------------------------------------------------------ */

struct tensors {
	float *weights, *z, *mask, *noise, *loss, *gradient; /* owned */
};

static void read_all(struct tensors *t, const struct gvae *g)
{
	FILE *from = open_file();

	skip_wiring(from, g);
	t->weights = read_tensor(from, "weights", g->parameters);
	t->z = read_tensor(from, "z", (size_t)ROWS * (g->xs + g->ys));
	t->mask = read_tensor(from, "mask", (size_t)ROWS * g->ys);
	t->noise = read_tensor(from, "noise", 2 * (size_t)g->entities * KERNELS_TILE);
	t->loss = read_tensor(from, "loss", 1);
	t->gradient = read_tensor(from, "gradient", g->parameters);
	fclose(from);
}

static void loss_and_gradient_are_those_of_pytorch(void **state)
{
	const float *z[ROWS], *mask[ROWS];
	struct gvae_work *work;
	struct recording r;
	struct tensors t;
	struct gvae g;
	float *gradient;
	double found, largest = 0;

	(void)state;
	open_chain(&r, &g);
	read_all(&t, &g);
	work = gvae_work_new(&g);
	gradient = calloc(g.parameters, sizeof(*gradient));
	assert_true(work && gradient);
	for (size_t i = 0; i < ROWS; i++) {
		z[i] = t.z + i * (g.xs + g.ys);
		mask[i] = t.mask + i * g.ys;
	}
	found = gvae_gradient(&g, work, &loss, t.weights, z, mask, t.noise, ROWS, gradient);
	assert_true(fabs(found - (double)*t.loss) < 1e-5 * fabs((double)*t.loss));
	for (size_t i = 0; i < g.parameters; i++)
		largest = fmax(largest, fabs((double)t.gradient[i]));
	for (size_t i = 0; i < g.parameters; i++)
		assert_true(fabs((double)gradient[i] - (double)t.gradient[i]) < 1e-5 * largest);
	free(t.weights);
	free(t.z);
	free(t.mask);
	free(t.noise);
	free(t.loss);
	free(t.gradient);
	free(gradient);
	gvae_work_free(work);
	gvae_close(&g);
	recording_clear(&r);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(loss_and_gradient_are_those_of_pytorch),
	};

	if (argc == 3 && !strcmp(argv[1], "dump"))
		return dump(argv[2]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
