/*
 * Faults of a simulated application, each a change of one capacity. How hard it is follows from
 * what the service usually uses, and can be made harder while nobody feels it.
 */
#ifndef SAGE_SIM_FAULT_H
#define SAGE_SIM_FAULT_H

#include "tests/sim/sim.h"

enum fault_kind {
	FAULT_ANTAGONIST, /* busy threads in the same pod, under its quota */
	FAULT_HOST_CPU,   /* batch work on the host takes most of its CPUs */
	FAULT_QUOTA,      /* CPU quota cut to little more than what is used */
	FAULT_MEMORY,     /* memory limit below the working set */
	FAULT_DISK,       /* large reads keep the host's disk busy */
	FAULT_BANDWIDTH,  /* link limited, both directions */
	FAULT_LOSS,       /* segments to the service lost */
	FAULT_CODE,       /* a slow code path under a lock */
	FAULT_PAUSE,      /* long stop-the-world pauses */
	FAULT_POOL,       /* most connections to the service's callees leak away */
	FAULT_ERRORS,     /* the service fails requests, which are made again */
	FAULT_SURGE,      /* more requests of users */
	FAULT_STEAL,      /* the hypervisor takes the CPUs of the service's host, time and again */
	FAULT_KINDS
};

extern const char *const fault_name[FAULT_KINDS];

/* The class a diagnosis should name. */
extern const char *const fault_resource[FAULT_KINDS];

struct fault {
	enum fault_kind kind;
	uint32_t service;
	unsigned level; /* 0, and higher the harder */
};

/* What services use at the mean load in a phase, [services] but for the last. */
struct usage {
	double *requests; /* per second */
	double *visits;   /* chance that a user's request comes by; at most 1 */
	double *cores, *sent_mbit, *received_mbit;
	double *connections; /* [edges] in use */
};

void usage_open(struct usage *u, const struct app *a, uint32_t phase);
void usage_close(struct usage *u);

/* Whether this service can have this fault, and users would notice it. */
bool fault_fits(const struct app *a, const struct usage *u, enum fault_kind kind, uint32_t service);

/* Is a service one of those at fault: all on the host of a fault that containers on it make. */
bool fault_names(const struct app *a, const struct fault *f, uint32_t service);

/* The host at fault itself, where no container can be, else APP_NO_HOST. */
uint32_t fault_host(const struct app *a, const struct fault *f);

void fault_apply(struct sim *s, const struct usage *u, const struct fault *f);
void fault_undo(struct sim *s, const struct fault *f);

#endif
