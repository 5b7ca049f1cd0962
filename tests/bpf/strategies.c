#include "tests/bpf/strategies.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "agent/capture.h"
#include "agent/support.h"

/* A strategy this kernel lacks is not what the table of support says of it. Gives 1, or 0. */
static int check_table(const char *name, const char *lacks)
{
	struct utsname u;

	if (uname(&u) || !support_offers(u.release, name))
		return 0;
	printf("FAILED: agent/support.c has strategy %s as tested on %s, which has no %s\n", name,
		u.release, lacks);
	return 1;
}

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
			failed += check_table(name, lacks);
			continue;
		}
		any = true;
		printf("strategy %s\n", name);
		fflush(stdout); /* what fails is said on stderr */
		failed += run(name);
	}
	return any || failed ? failed : 77;
}
