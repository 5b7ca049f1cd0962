/*
 * plant DIR SHAPE SEED: write a recording with twelve planted incidents, for
 * `sage-analyzer score DIR`. SHAPE is chain, fan-out or tree.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "planted.h"

#define FAULTS 12
#define APART 30 /* windows from one fault to the next */
#define LASTS 6

static const enum resource kinds[] = {RESOURCE_CPU, RESOURCE_MEMORY, RESOURCE_DISK,
	RESOURCE_NETWORK, RESOURCE_CODE, RESOURCE_WORKLOAD};

static bool parse_shape(const char *name, enum shape *out)
{
	static const char *const known[SHAPES] = {"chain", "fan-out", "tree"};

	for (int i = 0; i < SHAPES; i++)
		if (!strcmp(name, known[i])) {
			*out = (enum shape)i;
			return true;
		}
	return false;
}

/* Every kind twice, and every service once before any is hit again. */
static void lay_faults(struct planted_fault fault[FAULTS], unsigned seed)
{
	for (unsigned i = 0; i < FAULTS; i++)
		fault[i] = (struct planted_fault){.culprit = (3 * i + seed) % PLANTED_SERVICES,
			.resource = kinds[i % (sizeof(kinds) / sizeof(*kinds))],
			.from = (i + 1) * APART,
			.to = (i + 1) * APART + LASTS};
}

int main(int argc, char **argv)
{
	struct planted_fault fault[FAULTS];
	struct planted p = {.windows = (FAULTS + 2) * APART,
		.requests = 40,
		.window_s = 5,
		.statistics = "p99 mean",
		.metrics = PLANTED_ALL,
		.resource = RESOURCE_NONE,
		.later = fault,
		.laters = FAULTS};
	struct recording r;
	char why[200];
	int err;

	if (argc != 4 || !parse_shape(argv[2], &p.shape)) {
		fprintf(stderr, "Usage: plant DIR chain|fan-out|tree SEED\n");
		return 2;
	}
	p.seed = strtoul(argv[3], NULL, 10);
	lay_faults(fault, (unsigned)p.seed);
	planted_make(&r, &p);
	err = recording_write(&r, argv[1], why, sizeof(why));
	if (err)
		fprintf(stderr, "plant: %s\n", why);
	recording_clear(&r);
	return err ? 1 : 0;
}
