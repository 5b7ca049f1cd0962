/*
 * Faults of a running site, each applied to one service and undone. Strengths
 * follow what the service uses at that moment, so that it gets slow and does
 * not collapse. Main thread of a process that outlives the fault: an
 * antagonist dies with it.
 */
#ifndef SAGE_TESTBED_FAULT_H
#define SAGE_TESTBED_FAULT_H

#include <stdbool.h>
#include <sys/types.h>

#include "tests/testbed/site.h"

enum fault_kind {
	FAULT_ANTAGONIST, /* busy threads in the same pod */
	FAULT_QUOTA,      /* CPU quota cut to little more than what is used */
	FAULT_MEMORY,     /* memory limit below the working set */
	FAULT_DISK,       /* a neighbour in the pod reads the same disk, as much as it can take */
	FAULT_BANDWIDTH,  /* link limited, both directions */
	FAULT_LOSS,       /* packets to the service lost */
	FAULT_CODE,       /* a slow code path under a lock */
	FAULT_SURGE,      /* more requests at the front */
	FAULT_KINDS
};

struct fault {
	enum fault_kind kind;
	const struct service *service;
	pid_t hog;    /* the neighbour, or 0 */
	double cores; /* of a cut quota */
};

/* "antagonist", "quota", ... */
extern const char *const fault_name[FAULT_KINDS];

/* The resource a diagnosis should name: "cpu", "memory", "disk", "network", "code", "workload". */
extern const char *const fault_resource[FAULT_KINDS];

/* Whether raising or capping a limit from outside heals it. */
bool fault_is_fixable(enum fault_kind kind);

/* Whether this service can have this fault. */
bool fault_fits(const struct site *s, enum fault_kind kind, const struct service *service);

/* Apply it, measuring first, for up to eight seconds. Returns 0 or -errno, with nothing applied. */
int fault_apply(
	struct fault *f, const struct site *s, enum fault_kind kind, const struct service *service);

/*
 * Make one harder that nobody feels yet: a service with few requests rarely meets a quota that
 * its mean use fits. Returns 0, -ENOTSUP for kinds that have one strength, or -errno.
 */
int fault_tighten(struct fault *f, const struct site *s);

/* Put back what the topology says. May be called again, also when not applied. */
int fault_undo(struct fault *f, const struct site *s);

#endif
