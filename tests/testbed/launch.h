/* Starting the services of a site, each in its cgroup and namespace. Main thread. */
#ifndef SAGE_TESTBED_LAUNCH_H
#define SAGE_TESTBED_LAUNCH_H

#include "tests/testbed/site.h"

/*
 * Make directory, limits and configuration of a service and start it. Returns
 * its pid or -errno, having logged why.
 */
pid_t launch_service(const struct site *s, unsigned index);

/* Start the load generator. As above. */
pid_t launch_loadgen(const struct site *s, const char *seed);

/* Wait until a service takes connections. Returns 0 or -ETIMEDOUT, having logged that. */
int launch_wait(const struct site *s, unsigned index);

/* Put the limits of a pod to what the topology says. Returns 0 or -errno. */
int launch_limit(const struct site *s, const struct service *service);

#endif
