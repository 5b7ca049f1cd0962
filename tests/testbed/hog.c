/*
 * sage-hog: the antagonist. Two threads that use all the CPU their cgroup lets
 * them have, until it is killed.
 */
#include <pthread.h>
#include <stdint.h>

static void *spin(void *unused)
{
	volatile uint64_t x = 1;

	(void)unused;
	for (;;)
		x = x * 2862933555777941757ULL + 3037000493ULL;
	return NULL;
}

int main(void)
{
	pthread_t second;

	if (pthread_create(&second, NULL, spin, NULL))
		return 1;
	spin(NULL);
	return 0;
}
