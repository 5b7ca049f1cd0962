#include "tests/testbed/site.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"

static int check_name(const char *name)
{
	size_t length = strlen(name);

	for (size_t i = 0; i < length; i++)
		if (!isalnum((unsigned char)name[i]) && name[i] != '-')
			return -1;
	return length && length < 24 ? 0 : -1;
}

static int find_tools(struct site *s)
{
	ssize_t n = readlink("/proc/self/exe", s->tools, sizeof(s->tools) - 1);

	if (n < 0)
		return -1;
	s->tools[n] = 0;
	*strrchr(s->tools, '/') = 0;
	return 0;
}

int site_open(struct site *s, const char *name)
{
	unsigned sum = 0;
	int err;

	*s = (struct site){0};
	if (check_name(name) || find_tools(s)) {
		log_error("instance '%s': letters, digits and '-' are wanted, at most 23", name);
		return -22;
	}
	strcpy(s->name, name);
	for (const char *c = name; *c; c++)
		sum = sum * 31 + (unsigned char)*c;
	snprintf(s->subnet, sizeof(s->subnet), "10.88.%u", sum % 256);
	snprintf(s->directory, sizeof(s->directory), "/var/lib/%s", name);
	err = cgroups_open(&s->cgroups);
	if (err)
		log_error("cgroups: the cpu, cpuacct, memory, io or cpuset controller is mounted "
			  "nowhere: mount cgroup v1 or v2 below /sys/fs/cgroup");
	return err;
}

int site_load(struct site *s, const char *topology)
{
	char path[SITE_PATH], error[256];
	int err;

	if (!topology)
		snprintf(path, sizeof(path), "%.200s/topology.conf", s->directory);
	err = topology_load(&s->topology, topology ? topology : path, error, sizeof(error));
	if (err)
		log_error("%s", error);
	return err;
}

char *site_pod(const struct site *s, const char *service, char *to)
{
	snprintf(to, SITE_PATH, "/%s/%s", s->name, service);
	return to;
}

char *site_container(const struct site *s, const char *service, const char *container, char *to)
{
	snprintf(to, SITE_PATH, "/%s/%s/%s", s->name, service, container);
	return to;
}

char *site_file(const struct site *s, const char *service, const char *file, char *to)
{
	snprintf(to, SITE_PATH, "%.120s/%s/%s", s->directory, service, file);
	return to;
}

char *site_namespace(const struct site *s, const char *service, char *to)
{
	snprintf(to, SITE_PATH, "%s-%s", s->name, service);
	return to;
}

char *site_address(const struct site *s, unsigned index, char *to)
{
	snprintf(to, SITE_PATH, "%s.%u", s->subnet, 10 + index);
	return to;
}
