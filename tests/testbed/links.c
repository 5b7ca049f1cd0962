#include "tests/testbed/links.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "tests/testbed/spawn.h"

#define BATCH 8192
#define BURST_BYTES 3000 /* two full segments */
#define QUEUE_BYTES 200000

struct batch {
	char text[BATCH];
	size_t used;
};

__attribute__((format(printf, 2, 3))) static void add(struct batch *b, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(b->text + b->used, sizeof(b->text) - b->used, format, args);
	va_end(args);
	if (n > 0 && b->used + (size_t)n < sizeof(b->text))
		b->used += (size_t)n;
}

/* Commands of `ip` run inside a namespace. */
static int run_ip(const char *namespace, const struct batch *b)
{
	char *argv[] = {"ip", "-n", (char *)namespace, "-batch", "-", NULL};
	const struct spawn how = {.input = b->text};
	int err = spawn_run(&how, argv);

	if (err)
		log_error("network: 'ip -n %s -batch' failed: is iproute2 installed, is this root?",
			namespace);
	return err;
}

static int make_namespace(const char *name)
{
	char *argv[] = {"ip", "netns", "add", (char *)name, NULL};
	const struct spawn how = {0};
	int err = spawn_run(&how, argv);

	if (err)
		log_error("network: cannot make namespace %s", name);
	return err;
}

/* Service `index`, or the load generator one past the last. */
static const char *name_of(const struct site *s, unsigned index)
{
	return index < s->topology.services ? s->topology.service[index].name : SITE_USER;
}

/* Name the links of a service at the bridge, and its inside. */
static int make_inside(const struct site *s, unsigned index, const char *namespace)
{
	struct batch b = {.used = 0};
	char address[SITE_PATH];

	add(&b, "link set lo up\n");
	add(&b, "addr add %s/24 dev eth0\n", site_address(s, index, address));
	add(&b, "link set eth0 up\n");
	return run_ip(namespace, &b);
}

int links_make(const struct site *s)
{
	char bridge[SITE_PATH], inside[SITE_PATH];
	struct batch b = {.used = 0};
	unsigned count = (unsigned)s->topology.services + 1;
	int err;

	err = make_namespace(site_namespace(s, "net", bridge));
	add(&b, "link set lo up\nlink add br0 type bridge\nlink set br0 up\n");
	for (unsigned i = 0; i < count && !err; i++) {
		err = make_namespace(site_namespace(s, name_of(s, i), inside));
		add(&b, "link add p%u type veth peer name eth0 netns %s\n", i, inside);
		add(&b, "link set p%u master br0\nlink set p%u up\n", i, i);
	}
	if (!err)
		err = run_ip(bridge, &b);
	for (unsigned i = 0; i < count && !err; i++)
		err = make_inside(s, i, site_namespace(s, name_of(s, i), inside));
	return err;
}

void links_remove(const struct site *s)
{
	char prefix[SITE_PATH];
	const struct spawn how = {0};
	struct dirent *entry;
	DIR *d = opendir("/run/netns");

	if (!d)
		return;
	site_namespace(s, "", prefix);
	while ((entry = readdir(d))) {
		char *argv[] = {"ip", "netns", "del", entry->d_name, NULL};

		if (!strncmp(entry->d_name, prefix, strlen(prefix)))
			spawn_run(&how, argv);
	}
	closedir(d);
}

/* A socket made inside a namespace stays there; the thread goes back. */
static int socket_inside(const char *namespace)
{
	char path[SITE_PATH + 16];
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	int there, fd = -1;

	snprintf(path, sizeof(path), "/run/netns/%s", namespace);
	there = open(path, O_RDONLY | O_CLOEXEC);
	if (home >= 0 && there >= 0 && !setns(there, CLONE_NEWNET)) {
		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (setns(home, CLONE_NEWNET)) {
			close(fd);
			fd = -1;
		}
	}
	close(there);
	close(home);
	return fd;
}

int links_connect(const struct site *s, unsigned index)
{
	const struct service *service = &s->topology.service[index];
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)service->port)};
	char namespace[SITE_PATH], address[SITE_PATH];
	int fd = socket_inside(site_namespace(s, service->name, namespace));

	if (fd < 0)
		return -ENETDOWN;
	inet_pton(AF_INET, site_address(s, index, address), &to.sin_addr);
	if (connect(fd, (struct sockaddr *)&to, sizeof(to))) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}

static int read_counter(FILE *f, unsigned index, uint64_t *received, uint64_t *sent)
{
	char line[512], name[16];

	snprintf(name, sizeof(name), "p%u:", index);
	while (fgets(line, sizeof(line), f)) {
		char *at = strstr(line, name);

		/* The bridge's end counts what the service sent as received. */
		if (at && sscanf(at + strlen(name),
				  "%" SCNu64 " %*u %*u %*u %*u %*u %*u %*u %" SCNu64, sent,
				  received) == 2)
			return 0;
	}
	return -ENOENT;
}

int links_bytes(const struct site *s, unsigned index, uint64_t *sent, uint64_t *received)
{
	char namespace[SITE_PATH], path[SITE_PATH + 16];
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	int there, err = -ENETDOWN;
	FILE *f = NULL;

	snprintf(path, sizeof(path), "/run/netns/%s", site_namespace(s, "net", namespace));
	there = open(path, O_RDONLY | O_CLOEXEC);
	if (home >= 0 && there >= 0 && !setns(there, CLONE_NEWNET)) {
		f = fopen("/proc/thread-self/net/dev", "re");
		if (f)
			err = read_counter(f, index, received, sent);
		if (setns(home, CLONE_NEWNET))
			err = -errno;
	}
	if (f)
		fclose(f);
	close(there);
	close(home);
	return err;
}

static int run_tc(const char *namespace, const char *device, uint64_t rate)
{
	char rate_text[32], burst[32], limit[32];
	char *set[] = {"tc", "-n", (char *)namespace, "qdisc", "replace", "dev", (char *)device,
		"root", "tbf", "rate", rate_text, "burst", burst, "limit", limit, NULL};
	char *lift[] = {
		"tc", "-n", (char *)namespace, "qdisc", "del", "dev", (char *)device, "root", NULL};
	const struct spawn quiet = {.log = "/dev/null"};

	snprintf(rate_text, sizeof(rate_text), "%" PRIu64 "bps", rate);
	snprintf(burst, sizeof(burst), "%d", BURST_BYTES);
	snprintf(limit, sizeof(limit), "%d", QUEUE_BYTES);
	if (rate)
		return spawn_run(&(struct spawn){0}, set);
	spawn_run(&quiet, lift); /* fails when there is none: as wanted */
	return 0;
}

int links_set_rate(const struct site *s, unsigned index, uint64_t sent, uint64_t received)
{
	char namespace[SITE_PATH], port[16];
	int err = run_tc(site_namespace(s, name_of(s, index), namespace), "eth0", sent);

	snprintf(port, sizeof(port), "p%u", index);
	return err ? err : run_tc(site_namespace(s, "net", namespace), port, received);
}

int links_set_loss(const struct site *s, unsigned index, double share)
{
	char namespace[SITE_PATH], rules[256];
	char *argv[] = {"ip", "netns", "exec", site_namespace(s, name_of(s, index), namespace),
		"nft", "-f", "-", NULL};
	const struct spawn how = {.input = rules};

	snprintf(rules, sizeof(rules), "table inet testbed\ndelete table inet testbed\n");
	if (share > 0)
		snprintf(rules, sizeof(rules),
			"table inet testbed {\n chain input {\n"
			"  type filter hook input priority 0;\n"
			"  iifname \"eth0\" numgen random mod 1000 < %u drop\n }\n}\n",
			(unsigned)(share * 1000));
	return spawn_run(&how, argv);
}
