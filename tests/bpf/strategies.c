#include "tests/bpf/strategies.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "agent/capture.h"

int strategies_run(int (*run)(const char *strategy), const char *only)
{
	bool any = false;
	const char *name;
	int failed = 0;

	for (size_t rank = 0; (name = capture_strategy_at(rank)); rank++) {
		const char *lacks = capture_strategy_lacks(rank);

		if (only && strcmp(only, name) != 0)
			continue;
		if (lacks) {
			printf("skipped: strategy %s: this kernel has no %s\n", name, lacks);
			continue;
		}
		any = true;
		printf("strategy %s\n", name);
		fflush(stdout); /* what fails is said on stderr */
		failed += run(name);
	}
	return any ? failed : 77;
}
