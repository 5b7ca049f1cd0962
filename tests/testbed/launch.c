#include "tests/testbed/launch.h"

#include <errno.h>
#include <glob.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "tests/testbed/links.h"
#include "tests/testbed/peer.h"
#include "tests/testbed/spawn.h"

#define READY_TIMEOUT_NS 30000000000ULL
#define READY_PAUSE_NS 20000000

/* What starting one service needs at hand. */
struct launch {
	const struct site *site;
	const struct service *service;
	unsigned index;
	char address[SITE_PATH], port[8], directory[SITE_PATH], log[SITE_PATH];
	char cgroup[SITE_PATH], namespace[SITE_PATH];
	struct spawn how;
};

static void prepare(struct launch *l, const struct site *s, const char *name, const char *container)
{
	*l = (struct launch){.site = s};
	site_file(s, name, "", l->directory);
	site_file(s, name, "log", l->log);
	site_container(s, name, container, l->cgroup);
	site_namespace(s, name, l->namespace);
	l->how = (struct spawn){
		.cgroups = &s->cgroups,
		.cgroup = l->cgroup,
		.namespace = l->namespace,
		.log = l->log,
	};
}

static pid_t start_tier(struct launch *l)
{
	char program[SITE_PATH + 16], topology[SITE_PATH];
	char *argv[] = {program, topology, (char *)l->service->name, (char *)l->site->subnet,
		l->directory, NULL};

	snprintf(program, sizeof(program), "%s/sage-tier", l->site->tools);
	snprintf(topology, sizeof(topology), "%.200s/topology.conf", l->site->directory);
	return spawn_start(&l->how, argv);
}

static int write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	if (!f)
		return -errno;
	fputs(text, f);
	return fclose(f) ? -errno : 0;
}

static pid_t start_nginx(struct launch *l)
{
	const struct topology *t = &l->site->topology;
	unsigned next = l->service->calls ? l->service->call[0].callee : l->index;
	char conf[SITE_PATH], address[SITE_PATH], text[4096];
	char *argv[] = {"nginx", "-p", l->directory, "-c", conf, "-e", "stderr", NULL};

	snprintf(text, sizeof(text),
		"daemon off;\nuser root;\nworker_processes 1;\npid nginx.pid;\n"
		"events { worker_connections 1024; }\n"
		"http {\n"
		"  access_log off;\n"
		"  keepalive_requests 1000000000;\n"
		"  client_body_temp_path body;\n  proxy_temp_path proxy;\n"
		"  fastcgi_temp_path fastcgi;\n  uwsgi_temp_path uwsgi;\n  scgi_temp_path scgi;\n"
		"  upstream next {\n    server %s:%u;\n    keepalive 96;\n"
		"    keepalive_requests 1000000000;\n  }\n"
		"  server {\n    listen %s:%u backlog=512;\n"
		"    location / {\n      proxy_pass http://next;\n"
		"      proxy_http_version 1.1;\n      proxy_set_header Connection \"\";\n"
		"    }\n  }\n}\n",
		site_address(l->site, next, address), t->service[next].port, l->address,
		l->service->port);
	site_file(l->site, l->service->name, "nginx.conf", conf);
	if (write_file(conf, text))
		return -EIO;
	return spawn_start(&l->how, argv);
}

static pid_t start_redis(struct launch *l)
{
	char *argv[] = {"redis-server", "--bind", l->address, "--port", l->port, "--save", "",
		"--appendonly", "no", "--protected-mode", "no", "--dir", l->directory, NULL};

	return spawn_start(&l->how, argv);
}

static pid_t start_memcached(struct launch *l)
{
	char *argv[] = {"memcached", "-u", "root", "-l", l->address, "-p", l->port, "-t", "2", "-m",
		"32", NULL};

	return spawn_start(&l->how, argv);
}

/* Debian keeps the server's programs out of PATH, in a directory per version. */
static int find_postgresql(char *to, size_t size)
{
	glob_t found;
	int err = glob("/usr/lib/postgresql/*/bin", 0, NULL, &found);

	if (err || !found.gl_pathc) {
		log_error("postgresql: not found below /usr/lib/postgresql: install it");
		return -ENOENT;
	}
	snprintf(to, size, "%s", found.gl_pathv[found.gl_pathc - 1]);
	globfree(&found);
	return 0;
}

/* A new database cluster with the table the tiers read and write. */
static int make_database(const struct launch *l, const char *programs, char *data)
{
	char program[SITE_PATH], sql[512], path[SITE_PATH + 16];
	char *init[] = {program, "-N", "-A", "trust", "-U", "postgres", "-D", data, NULL};
	char *fill[] = {program, "--single", "-F", "-D", data, "postgres", NULL};
	struct spawn how = {.user = "postgres", .log = l->log};
	int err;

	snprintf(program, sizeof(program), "%.200s/initdb", programs);
	err = spawn_run(&how, init);
	if (err)
		return err;
	snprintf(program, sizeof(program), "%.200s/postgres", programs);
	snprintf(sql, sizeof(sql),
		"CREATE TABLE post (id int PRIMARY KEY, seen int, body text) WITH (fillfactor=50)\n"
		"INSERT INTO post SELECT i, 0, repeat('x', %u) FROM generate_series(0, %d) i\n",
		(unsigned)l->service->reply_bytes, PEER_KEYS - 1);
	how.input = sql;
	err = spawn_run(&how, fill);
	if (err)
		return err;
	snprintf(path, sizeof(path), "%s/pg_hba.conf", data);
	return write_file(path, "host all all 10.88.0.0/16 trust\n");
}

static pid_t start_postgresql(struct launch *l)
{
	char programs[SITE_PATH], program[SITE_PATH], data[SITE_PATH], address[SITE_PATH + 32];
	char *argv[] = {program, "-D", data, "-p", l->port, "-c", address, "-c", "fsync=off", "-c",
		"unix_socket_directories=", "-c", "shared_buffers=16MB", "-c",
		"max_connections=200", "-c", "autovacuum_naptime=1h", "-c",
		"synchronous_commit=off", NULL};
	const struct passwd *user = getpwnam("postgres");
	int err = find_postgresql(programs, sizeof(programs));

	if (err)
		return err;
	site_file(l->site, l->service->name, "data", data);
	snprintf(address, sizeof(address), "listen_addresses=%s", l->address);
	if (!user || write_file(l->log, "") || chown(l->log, user->pw_uid, user->pw_gid) ||
		chown(l->directory, user->pw_uid, user->pw_gid))
		return -EPERM;
	err = make_database(l, programs, data);
	if (err)
		return err;
	snprintf(program, sizeof(program), "%.200s/postgres", programs);
	l->how.user = "postgres";
	return spawn_start(&l->how, argv);
}

int launch_limit(const struct site *s, const struct service *service)
{
	char pod[SITE_PATH];
	int err;

	site_pod(s, service->name, pod);
	err = cgroups_set_quota(&s->cgroups, pod, service->quota);
	if (err)
		return err;
	return cgroups_set_memory(&s->cgroups, pod, (int64_t)(service->memory_mb * (1 << 20)));
}

static int make_room(const struct launch *l)
{
	char sidecar[SITE_PATH];
	int err;

	if (mkdir(l->directory, 0755) && errno != EEXIST)
		return -errno;
	err = cgroups_make(&l->site->cgroups, l->cgroup);
	if (err || !l->service)
		return err;
	site_container(l->site, l->service->name, "sidecar", sidecar);
	err = cgroups_make(&l->site->cgroups, sidecar);
	return err ? err : launch_limit(l->site, l->service);
}

pid_t launch_service(const struct site *s, unsigned index)
{
	static pid_t (*const start[KINDS])(struct launch *) = {
		[KIND_TIER] = start_tier,
		[KIND_NGINX] = start_nginx,
		[KIND_REDIS] = start_redis,
		[KIND_MEMCACHED] = start_memcached,
		[KIND_POSTGRESQL] = start_postgresql,
	};
	struct launch l;
	pid_t pid;

	prepare(&l, s, s->topology.service[index].name, "app");
	l.service = &s->topology.service[index];
	l.index = index;
	site_address(s, index, l.address);
	snprintf(l.port, sizeof(l.port), "%u", l.service->port);
	pid = make_room(&l);
	if (!pid)
		pid = start[l.service->kind](&l);
	if (pid < 0)
		log_error("service %s: cannot start: %s; see %s", l.service->name, strerror(-pid),
			l.log);
	return pid;
}

pid_t launch_loadgen(const struct site *s, const char *seed)
{
	char program[SITE_PATH + 16], topology[SITE_PATH];
	struct launch l;
	char *argv[] = {program, topology, (char *)s->subnet, l.directory, (char *)seed, NULL};
	pid_t pid;

	prepare(&l, s, SITE_USER, "loadgen");
	snprintf(program, sizeof(program), "%s/sage-loadgen", s->tools);
	snprintf(topology, sizeof(topology), "%.200s/topology.conf", s->directory);
	pid = make_room(&l);
	if (!pid)
		pid = spawn_start(&l.how, argv);
	if (pid < 0)
		log_error("load generator: cannot start: %s", strerror(-pid));
	return pid;
}

int launch_wait(const struct site *s, unsigned index)
{
	const char *name = s->topology.service[index].name;
	const struct timespec pause = {.tv_nsec = READY_PAUSE_NS};
	uint64_t end_ns = clock_monotonic_ns() + READY_TIMEOUT_NS;
	char log[SITE_PATH];

	do {
		int fd = links_connect(s, index);

		if (fd >= 0) {
			close(fd);
			return 0;
		}
		nanosleep(&pause, NULL);
	} while (clock_monotonic_ns() < end_ns);
	log_error("service %s: takes no connections after 30 s; see %s", name,
		site_file(s, name, "log", log));
	return -ETIMEDOUT;
}
