/* Starting processes for the testbed. Main thread only: children die with it. */
#ifndef SAGE_TESTBED_SPAWN_H
#define SAGE_TESTBED_SPAWN_H

#include <sys/types.h>

#include "tests/testbed/cgroups.h"

struct spawn {
	const struct cgroups *cgroups;
	const char *cgroup;    /* NULL: stay in the caller's */
	const char *namespace; /* network namespace, a name of ip-netns; NULL: the caller's */
	const char *user;      /* NULL: the caller */
	const char *log;       /* file for its output, appended to; NULL: the caller's */
	const char *input;     /* text for its stdin; NULL: /dev/null */
};

/*
 * Start argv[0], looked up in PATH. It gets SIGTERM when the caller ends, however that
 * ends. Returns its pid or -errno; what fails in the child shows as exit status 127.
 */
pid_t spawn_start(const struct spawn *how, char *const argv[]);

/* Start it and wait for its end. Returns 0, or -EIO when it did not exit with 0. */
int spawn_run(const struct spawn *how, char *const argv[]);

#endif
