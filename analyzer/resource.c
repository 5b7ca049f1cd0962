#include "analyzer/resource.h"

#include <string.h>

static const char *const name_of[RESOURCES] = {
	[RESOURCE_NONE] = "",
	[RESOURCE_CPU] = "cpu",
	[RESOURCE_MEMORY] = "memory",
	[RESOURCE_DISK] = "disk",
	[RESOURCE_NETWORK] = "network",
	[RESOURCE_WORKLOAD] = "workload",
	[RESOURCE_CODE] = "code",
	[RESOURCE_UNKNOWN] = "unknown",
};

static const struct {
	const char *prefix;
	enum resource resource;
} class_of[] = {
	{"cpu_", RESOURCE_CPU},
	{"psi_cpu", RESOURCE_CPU},
	{"mem_", RESOURCE_MEMORY},
	{"psi_mem", RESOURCE_MEMORY},
	{"blk_", RESOURCE_DISK},
	{"psi_io", RESOURCE_DISK},
	{"net_", RESOURCE_NETWORK},
	{"network_", RESOURCE_NETWORK},
	{"requests_", RESOURCE_WORKLOAD},
};

/* What tells how the calls went, at either end or between. */
static const char *const outcome[] = {"server_", "client_", "self_", "request_network_",
	"response_network_", "connect_", "error_"};

static bool begins_with(const char *metric, const char *prefix)
{
	return !strncmp(metric, prefix, strlen(prefix));
}

const char *resource_name(enum resource r)
{
	return name_of[r];
}

bool resource_parse(const char *name, enum resource *out)
{
	for (int r = 0; r < RESOURCES; r++) {
		if (!strcmp(name_of[r], name)) {
			*out = (enum resource)r;
			return true;
		}
	}
	return false;
}

enum resource resource_of_metric(const char *metric)
{
	for (size_t i = 0; i < sizeof(class_of) / sizeof(*class_of); i++)
		if (begins_with(metric, class_of[i].prefix))
			return class_of[i].resource;
	return RESOURCE_UNKNOWN;
}

bool resource_is_opaque(const char *metric)
{
	for (size_t i = 0; i < sizeof(outcome) / sizeof(*outcome); i++)
		if (begins_with(metric, outcome[i]))
			return false;
	return resource_of_metric(metric) == RESOURCE_UNKNOWN;
}
