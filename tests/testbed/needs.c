#include "tests/testbed/needs.h"

#include <arpa/inet.h>
#include <cap-ng.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"

#define BTF "/sys/kernel/btf/vmlinux"

static const struct {
	unsigned capability;
	const char *why;
} wanted[] = {
	{CAP_SYS_ADMIN, "makes network namespaces and loads BPF programs"},
	{CAP_NET_ADMIN, "makes links between the services"},
	{CAP_SYS_PTRACE, "reads which sockets the services listen at"},
};

bool needs_rights(void)
{
	bool all = true;

	if (geteuid()) {
		log_error("root is needed, for cgroups, network namespaces and BPF: try sudo");
		return false;
	}
	capng_get_caps_process();
	for (size_t i = 0; i < sizeof(wanted) / sizeof(*wanted); i++) {
		if (capng_have_capability(CAPNG_EFFECTIVE, wanted[i].capability))
			continue;
		log_error("cap_%s is missing, which %s: run on the host, or in a container with "
			  "--privileged",
			capng_capability_to_name(wanted[i].capability), wanted[i].why);
		all = false;
	}
	if (access(BTF, R_OK)) {
		log_error("%s: %s: a kernel with CONFIG_DEBUG_INFO_BTF is needed", BTF,
			strerror(errno));
		all = false;
	}
	return all;
}

bool needs_port(const char *port, const char *what, const char *option)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), err = 0;

	if (fd < 0)
		return true; /* whoever listens will say why not */
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) || listen(fd, 1))
		err = errno;
	close(fd);
	if (err)
		log_error("port %s, for %s: %s: stop what listens there, or choose another with "
			  "%s PORT",
			port, what, strerror(err), option);
	return !err;
}
