#include "agent/privilege.h"

#include <cap-ng.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "common/log.h"

static const unsigned watching[] = {CAP_BPF, CAP_PERFMON, CAP_SYS_PTRACE};
static const unsigned attaching[] = {CAP_SYS_ADMIN};
static const unsigned acting[] = {CAP_SYS_ADMIN, CAP_NET_ADMIN, CAP_DAC_OVERRIDE};

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static bool has(unsigned capability)
{
	return capng_have_capability(CAPNG_EFFECTIVE, capability);
}

bool privilege_check(void)
{
	char missing[128] = "";
	size_t length = 0;

	if (capng_get_caps_process())
		return true; /* unknown: the kernel will say */
	for (size_t i = 0; i < COUNT(watching); i++) {
		if (has(watching[i]) || (watching[i] != CAP_SYS_PTRACE && has(CAP_SYS_ADMIN)))
			continue;
		length += (size_t)snprintf(missing + length, sizeof(missing) - length, "%s%s",
			length ? ", " : "", capng_capability_to_name(watching[i]));
	}
	if (!length)
		return true;
	log_warning(
		"missing capabilities: %s; run as root, or grant them, to see calls, the scheduler "
		"and the network of containers",
		missing);
	return has(CAP_SYS_ADMIN) || (has(CAP_BPF) && has(CAP_PERFMON));
}

static void keep(const unsigned *capability, size_t count, const bool *had)
{
	for (size_t i = 0; i < count; i++) {
		if (had[i])
			capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, capability[i]);
	}
}

int privilege_drop(bool acts, bool attaches)
{
	bool watches[COUNT(watching)], can_act[COUNT(acting)], may_attach[COUNT(attaching)];

	if (capng_get_caps_process()) {
		log_warning("capabilities cannot be read, they are all kept");
		return -EPERM;
	}
	for (size_t i = 0; i < COUNT(watching); i++)
		watches[i] = capng_have_capability(CAPNG_PERMITTED, watching[i]);
	for (size_t i = 0; i < COUNT(acting); i++)
		can_act[i] = capng_have_capability(CAPNG_PERMITTED, acting[i]);
	for (size_t i = 0; i < COUNT(attaching); i++)
		may_attach[i] = capng_have_capability(CAPNG_PERMITTED, attaching[i]);
	capng_clear(CAPNG_SELECT_CAPS);
	keep(watching, COUNT(watching), watches);
	if (acts)
		keep(acting, COUNT(acting), can_act);
	else if (attaches)
		keep(attaching, COUNT(attaching), may_attach);
	if (capng_apply(CAPNG_SELECT_CAPS)) {
		log_warning("capabilities cannot be dropped, they are all kept");
		return -EPERM;
	}
	return 0;
}

void privilege_raise_files(void)
{
	struct rlimit limit, raised;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	raised = limit;
	raised.rlim_cur = raised.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &raised))
		log_warning(
			"the limit of open files stays %llu, not %llu: %s; metrics of containers "
			"past it are absent",
			(unsigned long long)limit.rlim_cur, (unsigned long long)raised.rlim_cur,
			strerror(errno));
}
