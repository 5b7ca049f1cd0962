/*
 * sage-hog: the antagonist, until it is killed.
 *
 *   sage-hog         two threads that use all the CPU their cgroup lets them have
 *   sage-hog FILE    threads that read FILE past the page cache, see hog_disk.h
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "tests/testbed/hog_disk.h"

static void *spin(void *unused)
{
	volatile uint64_t x = 1;

	(void)unused;
	for (;;)
		x = x * 2862933555777941757ULL + 3037000493ULL;
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t second;

	if (argc > 1) {
		int err = hog_disk(argv[1]);

		fprintf(stderr, "sage-hog: %s: %s\n", argv[1], strerror(-err));
		return 1;
	}
	if (pthread_create(&second, NULL, spin, NULL))
		return 1;
	spin(NULL);
	return 0;
}
