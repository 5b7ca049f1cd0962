#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/bench/workload_parts.h"

#define FILE_BYTES 1024 /* that nginx serves */

static int write_file(const struct place *p, const char *name, const char *text)
{
	char path[PLACE_PATH];
	FILE *f;

	place_file(p, name, path);
	f = fopen(path, "we");
	if (!f)
		return -errno;
	fputs(text, f);
	return fclose(f) ? -errno : 0;
}

static pid_t start(const struct workload *w, const char *const arguments[])
{
	char log[PLACE_PATH];

	place_file(w->place, "server.log", log);
	return workload_start_pinned(w->place, w->server_cgroup, log, "0", arguments);
}

static pid_t start_redis(const struct workload *w)
{
	const char *redis[] = {"redis-server", "--port", w->port, "--bind", w->address, "--save",
		"", "--appendonly", "no", NULL};

	return start(w, redis);
}

static pid_t start_nginx(const struct workload *w)
{
	const char *directory = w->place->directory;
	char config[PLACE_PATH], errors[PLACE_PATH], text[1024], body[FILE_BYTES + 1];
	const char *nginx[] = {"nginx", "-c", config, "-e", errors, NULL};
	int err;

	snprintf(text, sizeof(text),
		"daemon off; worker_processes 1; user root; pid %s/nginx.pid;\n"
		"events { worker_connections 256; }\n"
		"http { access_log off; sendfile on; tcp_nopush on; keepalive_requests "
		"1000000000;\n"
		"server { listen %s:%s; root %s; } }\n",
		directory, w->address, w->port, directory);
	snprintf(body, sizeof(body), "%0*d", FILE_BYTES, 0);
	err = write_file(w->place, "nginx.conf", text);
	if (!err)
		err = write_file(w->place, "index.html", body);
	place_file(w->place, "nginx.conf", config);
	place_file(w->place, "nginx.log", errors);
	return err ? err : start(w, nginx);
}

static pid_t start_memcached(const struct workload *w)
{
	const char *memcached[] = {"memcached", "-u", "root", "-l", w->address, "-p", w->port, "-U",
		"0", "-t", "1", NULL};

	return start(w, memcached);
}

/* It listens on its topology's port of the tenth address of a subnet. */
static pid_t start_thrift(const struct workload *w)
{
	char path[PLACE_PATH], subnet[16];
	const char *tier[] = {SAGE_TIER, path, "thrift", subnet, w->place->directory, NULL};
	int err = write_file(w->place, "topology.conf",
		"service thrift protocol=thrift cpu_us=0 reply_bytes=100\n");

	place_file(w->place, "topology.conf", path);
	snprintf(subnet, sizeof(subnet), "%s", w->address);
	*strrchr(subnet, '.') = 0;
	return err ? err : start(w, tier);
}

pid_t workload_server_start(const struct workload *w)
{
	static pid_t (*const by_kind[WORKLOADS])(const struct workload *) = {
		[WORKLOAD_REDIS] = start_redis,
		[WORKLOAD_NGINX] = start_nginx,
		[WORKLOAD_MEMCACHED] = start_memcached,
		[WORKLOAD_THRIFT] = start_thrift,
	};

	return by_kind[w->kind](w);
}
