#include "analyzer/kernels.h"

#include <math.h>
#include <pthread.h>

#include "analyzer/kernels_vector.h"

static const struct kernels *const built[] = {
#ifdef __x86_64__
	&kernels_avx512,
	&kernels_avx2,
#endif
	&kernels_plain,
};

#define BUILT (sizeof(built) / sizeof(*built))

static pthread_once_t once = PTHREAD_ONCE_INIT;
static const struct kernels *best;

static void choose(void)
{
	size_t i = 0;

	while (!built[i]->usable()) /* the last one always is */
		i++;
	best = built[i];
}

const struct kernels *kernels_best(void)
{
	pthread_once(&once, choose);
	return best;
}

const struct kernels *kernels_built(size_t number)
{
	return number < BUILT ? built[number] : NULL;
}

struct kernels_adam kernels_adam_step(float rate, size_t step, size_t samples)
{
	double t = (double)step;

	return (struct kernels_adam){.rate = rate * (float)(sqrt(1 - pow(KERNELS_BETA2, t)) /
							    (1 - pow(KERNELS_BETA1, t))),
		.scale = 1.0F / (float)samples};
}
