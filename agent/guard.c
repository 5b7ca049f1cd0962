#include "agent/guard.h"

#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/own_cgroup.h"

/* Cgroups that hold a whole system or a whole quality-of-service class. */
static const char *const never[] = {
	"/",
	"/init.scope",
	"/system.slice",
	"/user.slice",
	"/machine.slice",
	"/kubepods",
	"/kubepods/burstable",
	"/kubepods/besteffort",
	"/kubepods/guaranteed",
	"/docker",
};

#define SYSTEM "/system.slice/"

void actuator_limits_default(struct actuator_limits *l)
{
	int64_t cpus = sysconf(_SC_NPROCESSORS_ONLN);
	int64_t memory = sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);

	*l = (struct actuator_limits){
		.max_active = 16,
		.max_changes_per_min = 60,
		.cooldown_ms = 5000,
		.max_ttl_ms = 300000,
		.max_step = 10,
		.floor = {[KNOB_CPU_QUOTA] = 10,
			[KNOB_CPU_WEIGHT] = 1,
			[KNOB_MEMORY_HIGH] = 4 << 20,
			[KNOB_IO_READ_BPS] = 64 << 10,
			[KNOB_IO_WRITE_BPS] = 64 << 10,
			[KNOB_IO_READ_IOPS] = 10,
			[KNOB_NET_RATE] = 16 << 10},
		.ceiling = {[KNOB_CPU_QUOTA] = cpus * 1000,
			[KNOB_CPU_WEIGHT] = 10000,
			[KNOB_MEMORY_HIGH] = memory,
			[KNOB_IO_READ_BPS] = -1,
			[KNOB_IO_WRITE_BPS] = -1,
			[KNOB_IO_READ_IOPS] = -1,
			[KNOB_NET_RATE] = -1},
	};
}

int guard_open(struct guard *g, const struct actuator_options *o, const char *mount)
{
	*g = (struct guard){.limits = o->limits};
	if (!o->own_path)
		(void)own_cgroup_find(mount, g->own);
	else if (snprintf(g->own, sizeof(g->own), "%s", o->own_path) >= (int)sizeof(g->own))
		return -EINVAL;
	for (size_t i = 0; o->allow && o->allow[i]; i++) {
		char *pattern = i < GUARD_PATTERNS ? strdup(o->allow[i]) : NULL;

		if (!pattern) {
			guard_close(g);
			return i < GUARD_PATTERNS ? -ENOMEM : -EINVAL;
		}
		g->allow[g->patterns++] = pattern;
	}
	return 0;
}

void guard_close(struct guard *g)
{
	while (g->patterns)
		free(g->allow[--g->patterns]);
}

/* A pod's slice is a target; slices that hold many pods or services are not. */
static bool is_shared_slice(const char *path)
{
	const char *name = strrchr(path, '/');
	size_t n = strlen(path);

	return n > 6 && !strcmp(path + n - 6, ".slice") && !strstr(name ? name : path, "-pod");
}

/* Is `path` the same as or beneath `top`? */
static bool is_within(const char *path, const char *top)
{
	size_t n = strlen(top);

	return !strncmp(path, top, n) && (path[n] == '/' || !path[n]);
}

/* System services only by a pattern that names their slice: "*" is not consent to that. */
static bool is_allowed(const struct guard *g, const char *path)
{
	bool system = !strncmp(path, SYSTEM, strlen(SYSTEM));

	for (size_t i = 0; i < g->patterns; i++)
		if (!fnmatch(g->allow[i], path, 0) &&
			(!system || !strncmp(g->allow[i], SYSTEM, strlen(SYSTEM))))
			return true;
	return false;
}

bool guard_path(const struct guard *g, const char *path, char why[GUARD_WHY])
{
	for (size_t i = 0; i < sizeof(never) / sizeof(*never); i++)
		if (!strcmp(path, never[i]) || !*path || is_shared_slice(path)) {
			snprintf(why, GUARD_WHY, "a root, system or QoS cgroup is never touched");
			return false;
		}
	if (!*g->own) {
		snprintf(why, GUARD_WHY, "the agent cannot tell which cgroup is its own");
		return false;
	}
	if (strcmp(g->own, "/") && (is_within(path, g->own) || is_within(g->own, path))) {
		snprintf(why, GUARD_WHY, "the agent does not touch its own cgroup");
		return false;
	}
	if (!is_allowed(g, path)) {
		snprintf(why, GUARD_WHY, "not allowed on this node: no --allow pattern matches");
		return false;
	}
	return true;
}

static bool is_past_step(double max_step, int64_t old, int64_t value)
{
	double from = (double)old, to = (double)value;

	return old > 0 && value > 0 && (to > from * max_step || to * max_step < from);
}

bool guard_value(const struct guard *g, const struct knob *k, int64_t old, int64_t value,
	char why[GUARD_WHY])
{
	int64_t floor = g->limits.floor[k->kind], ceiling = g->limits.ceiling[k->kind];

	if (value >= 0 && value < floor) {
		snprintf(why, GUARD_WHY, "below this node's floor of %" PRId64, floor);
		return false;
	}
	if (ceiling >= 0 && (value < 0 || value > ceiling)) {
		snprintf(why, GUARD_WHY, "above this node's ceiling of %" PRId64, ceiling);
		return false;
	}
	if (is_past_step(g->limits.max_step, old, value)) {
		snprintf(why, GUARD_WHY, "more than a factor of %g from %" PRId64 " in one step",
			g->limits.max_step, old);
		return false;
	}
	if (k->raise_only && knob_compare(k->kind, value, old) < 0) {
		snprintf(why, GUARD_WHY, "%s is only ever raised, it holds %" PRId64, k->file, old);
		return false;
	}
	return true;
}
