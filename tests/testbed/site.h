/*
 * One running test application: its name, which all it makes on the machine
 * starts with, and where its parts are. What `up` starts, other commands find
 * by the name alone.
 *
 *   /sage-testbed/SERVICE          cgroup of a pod, with the limits
 *   /sage-testbed/SERVICE/app      the service
 *   /sage-testbed/SERVICE/sidecar  a neighbour in the same pod, empty but for faults
 *   /sage-testbed/user/loadgen     the load generator: `user` is the outside world
 *   /var/lib/sage-testbed/SERVICE  its files, log and control socket
 *   sage-testbed-SERVICE           its network namespace; sage-testbed-net has the bridge
 */
#ifndef SAGE_TESTBED_SITE_H
#define SAGE_TESTBED_SITE_H

#include "tests/testbed/cgroups.h"
#include "tests/testbed/topology.h"

#define SITE_PATH 256
#define SITE_USER "user" /* where the load generator lives, beside the services */

struct site {
	char name[32];
	char directory[SITE_PATH];
	char subnet[12];       /* "10.88.7" */
	char tools[SITE_PATH]; /* where the programs of the testbed lie */
	struct cgroups cgroups;
	struct topology topology;
};

/* Name it and find the cgroups; reads no topology. Returns 0 or -errno, having logged why. */
int site_open(struct site *s, const char *name);

/* Read a topology; NULL: the one the running application was started with. As above. */
int site_load(struct site *s, const char *topology);

/* Paths; each writes at most SITE_PATH bytes to `to` and returns it. */
char *site_pod(const struct site *s, const char *service, char *to);
char *site_container(const struct site *s, const char *service, const char *container, char *to);
char *site_file(const struct site *s, const char *service, const char *file, char *to);
char *site_namespace(const struct site *s, const char *service, char *to);
char *site_address(const struct site *s, unsigned index, char *to);

#endif
