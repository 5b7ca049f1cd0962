/* Resource classes: what a diagnosis blames, beside the service. */
#ifndef SAGE_ANALYZER_RESOURCE_H
#define SAGE_ANALYZER_RESOURCE_H

#include <stdbool.h>
#include <stddef.h>

enum resource {
	RESOURCE_NONE, /* not said */
	RESOURCE_CPU,
	RESOURCE_MEMORY,
	RESOURCE_DISK,
	RESOURCE_NETWORK,
	RESOURCE_WORKLOAD,
	RESOURCE_CODE, /* latent: at this service, in no metric */
	RESOURCE_UNKNOWN,
	RESOURCES
};

/* "cpu", "memory", ...; "" for RESOURCE_NONE. */
const char *resource_name(enum resource r);

/* By name; false, and *out untouched, when there is none of that name. */
bool resource_parse(const char *name, enum resource *out);

/*
 * The class a metric belongs to, from its prefix: cpu_ psi_cpu -> cpu, mem_ psi_mem
 * -> memory, blk_ psi_io -> disk, net_ network_ -> network, requests_ -> workload;
 * anything else -> RESOURCE_UNKNOWN.
 */
enum resource resource_of_metric(const char *metric);

/* Of no class and no latency or error ratio either: a measurement whose name tells nothing. */
bool resource_is_opaque(const char *metric);

#endif
