#include "tests/bpf/service.h"

#include <errno.h>
#include <ftw.h>
#include <glob.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Where a program is: in the path, or with the newest PostgreSQL. */
static int find(char *path, size_t size, const char *pattern)
{
	glob_t g;
	int err = glob(pattern, 0, NULL, &g);

	if (err)
		return -ENOENT;
	snprintf(path, size, "%s", g.gl_pathv[g.gl_pathc - 1]);
	globfree(&g);
	return 0;
}

static int write_file(const struct service *s, const char *name, size_t bytes)
{
	char path[160];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", s->dir, name);
	f = fopen(path, "we");
	if (!f)
		return -errno;
	while (bytes--)
		fputc('x', f);
	return fclose(f) ? -errno : 0;
}

static int start_nginx(struct service *s, const struct traffic_cgroup *g)
{
	char path[160], log[200];
	FILE *f;

	if (write_file(s, "http", 1024)) /* what sage-caller asks for; goes by sendfile */
		return -EIO;
	snprintf(path, sizeof(path), "%s/nginx.conf", s->dir);
	snprintf(log, sizeof(log), "%s/error.log", s->dir);
	f = fopen(path, "we");
	if (!f)
		return -errno;
	fprintf(f,
		"daemon off; master_process off; pid %s/pid; error_log %s;\n"
		"events {}\n"
		"http { access_log off; sendfile on; tcp_nopush on; keepalive_requests "
		"1000000000;\n"
		"client_body_temp_path %s; proxy_temp_path %s;\n"
		"fastcgi_temp_path %s; uwsgi_temp_path %s; scgi_temp_path %s;\n"
		"server { listen 127.0.0.1:%u; listen unix:%s/socket;\n"
		"location / { return 200 \"ok\\n\"; } location /bad { return 503; }\n"
		"location = /http { root %s; } } }\n",
		s->dir, log, s->dir, s->dir, s->dir, s->dir, s->dir, s->port, s->dir, s->dir);
	fclose(f);
	s->pid = traffic_exec(g, (char *[]){"nginx", "-e", log, "-c", path, NULL});
	return 0;
}

static int start_postgresql(struct service *s, const struct traffic_cgroup *g)
{
	char initdb[128], postgres[128], data[160], port[8];
	struct passwd *user = getpwnam("postgres");

	if (!user || find(initdb, sizeof(initdb), "/usr/lib/postgresql/*/bin/initdb") ||
		find(postgres, sizeof(postgres), "/usr/lib/postgresql/*/bin/postgres"))
		return -ENOENT;
	if (chown(s->dir, user->pw_uid, user->pw_gid))
		return -errno;
	snprintf(data, sizeof(data), "%s/data", s->dir);
	snprintf(port, sizeof(port), "%u", s->port);
	s->pid = traffic_exec(
		g, (char *[]){"setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups",
			   initdb, "-D", data, "-A", "trust", "-N", "--locale=C", NULL});
	if (traffic_wait(s->pid))
		return -EIO;
	s->pid = traffic_exec(g,
		(char *[]){"setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups",
			postgres, "-D", data, "-p", port, "-k", s->dir, "-h", "127.0.0.1", NULL});
	return 0;
}

/* A tier has its port, so it gets a subnet of its own, in which it is the tenth. */
static int start_thrift(struct service *s, const struct traffic_cgroup *g)
{
	unsigned pid = (unsigned)getpid();
	char path[160], subnet[12];
	FILE *f;

	snprintf(path, sizeof(path), "%s/topology.conf", s->dir);
	f = fopen(path, "we");
	if (!f)
		return -errno;
	fputs("service thrift protocol=thrift cpu_us=0 reply_bytes=100\n", f);
	if (fclose(f))
		return -errno;
	s->port = 9090;
	snprintf(subnet, sizeof(subnet), "127.%u.%u", pid >> 8 & 0xff, pid & 0xff);
	snprintf(s->address, sizeof(s->address), "%s.10", subnet);
	s->pid = traffic_exec(g, (char *[]){SAGE_TIER, path, "thrift", subnet, s->dir, NULL});
	return 0;
}

static int start_redis(struct service *s, const struct traffic_cgroup *g)
{
	char port[8], local[160];

	snprintf(port, sizeof(port), "%u", s->port);
	snprintf(local, sizeof(local), "%s/socket", s->dir);
	s->pid = traffic_exec(
		g, (char *[]){"redis-server", "--bind", "127.0.0.1", "--port", port, "--unixsocket",
			   local, "--save", "", "--dir", s->dir, NULL});
	return 0;
}

static int start_memcached(struct service *s, const struct traffic_cgroup *g)
{
	char port[8];

	snprintf(port, sizeof(port), "%u", s->port);
	s->pid = traffic_exec(g, (char *[]){"memcached", "-u", "root", "-l", "127.0.0.1", "-p",
					 port, "-U", "0", NULL});
	return 0;
}

/* Without its grant tables everybody may do everything. */
static int start_mariadb(struct service *s, const struct traffic_cgroup *g)
{
	char data[160], port[24], local[160];

	snprintf(data, sizeof(data), "--datadir=%s/data", s->dir);
	snprintf(port, sizeof(port), "--port=%u", s->port);
	snprintf(local, sizeof(local), "--socket=%s/socket", s->dir);
	s->pid = traffic_exec(g,
		(char *[]){"mariadb-install-db", "--no-defaults", "--user=root",
			"--auth-root-authentication-method=normal", "--skip-test-db", data, NULL});
	if (traffic_wait(s->pid))
		return -EIO;
	s->pid = traffic_exec(
		g, (char *[]){"mariadbd", "--no-defaults", "--user=root", "--skip-grant-tables",
			   "--bind-address=127.0.0.1", "--pid-file=pid", data, port, local, NULL});
	return 0;
}

static int start_nats(struct service *s, const struct traffic_cgroup *g)
{
	char port[8];

	snprintf(port, sizeof(port), "%u", s->port);
	s->pid = traffic_exec(g, (char *[]){"nats-server", "-a", "127.0.0.1", "-p", port, NULL});
	return 0;
}

/* The daemon by which Erlang's nodes find each other would outlive the test if RabbitMQ began it.
 */
static int start_rabbitmq(struct service *s, const struct traffic_cgroup *g)
{
	char setting[6][200], port[8];
	uint16_t names, nodes;

	close(traffic_listen(&names));
	close(traffic_listen(&nodes));
	snprintf(port, sizeof(port), "%u", names);
	snprintf(setting[0], sizeof(setting[0]), "HOME=%s", s->dir);
	snprintf(setting[1], sizeof(setting[1]), "RABBITMQ_MNESIA_BASE=%s", s->dir);
	snprintf(setting[2], sizeof(setting[2]), "RABBITMQ_LOG_BASE=%s", s->dir);
	snprintf(setting[3], sizeof(setting[3]), "RABBITMQ_NODE_PORT=%u", s->port);
	snprintf(setting[4], sizeof(setting[4]), "RABBITMQ_DIST_PORT=%u", nodes);
	snprintf(setting[5], sizeof(setting[5]), "ERL_EPMD_PORT=%u", names);
	s->helper = traffic_exec(g, (char *[]){"epmd", "-port", port, NULL});
	s->pid = traffic_exec(g, (char *[]){"env", setting[0], setting[1], setting[2], setting[3],
					 setting[4], setting[5], "RABBITMQ_NODENAME=sage@localhost",
					 "RABBITMQ_NODE_IP_ADDRESS=127.0.0.1",
					 "RABBITMQ_ENABLED_PLUGINS_FILE=/dev/null",
					 "/usr/lib/rabbitmq/bin/rabbitmq-server", NULL});
	return 0;
}

/* Servers of names use their own port, so each is at an address of its own. */
static void take_dns_port(struct service *s, unsigned host)
{
	unsigned pid = (unsigned)getpid();

	s->port = 53;
	snprintf(s->address, sizeof(s->address), "127.%u.%u.%u", pid >> 8 & 0xff, pid & 0xff, host);
}

#define DNSMASQ_HOST 53
#define UNBOUND_HOST 54

/* Whatever ends in .test has one address, but below none.test nothing is; big.test is too long for
 * UDP. */
static int start_dnsmasq(struct service *s, const struct traffic_cgroup *g)
{
	struct service above;
	char path[160];
	FILE *f;

	take_dns_port(s, DNSMASQ_HOST);
	take_dns_port(&above, UNBOUND_HOST);
	snprintf(path, sizeof(path), "%s/dnsmasq.conf", s->dir);
	f = fopen(path, "we");
	if (!f)
		return -errno;
	fprintf(f,
		"no-resolv\nno-hosts\nno-ping\nuser=root\npid-file=\nbind-interfaces\ncache-size="
		"0\n"
		"listen-address=%s\naddress=/test/192.0.2.1\naddress=/test/2001:db8::1\n"
		"local=/none.test/\nserver=/up.test/%s\n",
		s->address, above.address);
	for (int i = 0; i < 40; i++)
		fprintf(f, "txt-record=big.test,%d%0100d\n", i, i);
	if (fclose(f))
		return -errno;
	s->pid = traffic_exec(g, (char *[]){"dnsmasq", "-k", "-C", path, NULL});
	return 0;
}

static int start_unbound(struct service *s, const struct traffic_cgroup *g)
{
	char path[160];
	FILE *f;

	take_dns_port(s, UNBOUND_HOST);
	snprintf(path, sizeof(path), "%s/unbound.conf", s->dir);
	f = fopen(path, "we");
	if (!f)
		return -errno;
	fprintf(f,
		"server:\n interface: %s\n do-daemonize: no\n username: \"\"\n chroot: \"\"\n"
		" pidfile: \"\"\n use-syslog: no\n num-threads: 1\n access-control: 127.0.0.0/8 "
		"allow\n"
		" do-not-query-localhost: no\n module-config: \"iterator\"\n"
		" local-zone: \"test.\" static\n local-data: \"a.up.test. A 192.0.2.2\"\n"
		" local-zone: \"refused.\" refuse\n"
		"remote-control:\n control-enable: no\n",
		s->address);
	if (fclose(f))
		return -errno;
	s->pid = traffic_exec(g, (char *[]){"unbound", "-d", "-c", path, NULL});
	return 0;
}

static const struct {
	const char *name, *program;
	int (*start)(struct service *s, const struct traffic_cgroup *g);
} kinds[SERVICES] = {
	[SERVICE_NGINX] = {"nginx", "/usr/sbin/nginx", start_nginx},
	[SERVICE_REDIS] = {"redis", "/usr/bin/redis-server", start_redis},
	[SERVICE_MEMCACHED] = {"memcached", "/usr/bin/memcached", start_memcached},
	[SERVICE_POSTGRESQL] = {"PostgreSQL", "/usr/lib/postgresql/*/bin/postgres",
		start_postgresql},
	[SERVICE_MARIADB] = {"MariaDB", "/usr/sbin/mariadbd", start_mariadb},
	[SERVICE_NATS] = {"NATS", "/usr/sbin/nats-server", start_nats},
	[SERVICE_RABBITMQ] = {"RabbitMQ", "/usr/lib/rabbitmq/bin/rabbitmq-server", start_rabbitmq},
	[SERVICE_THRIFT] = {"Thrift", SAGE_TIER, start_thrift},
	[SERVICE_DNSMASQ] = {"dnsmasq", "/usr/sbin/dnsmasq", start_dnsmasq},
	[SERVICE_UNBOUND] = {"unbound", "/usr/sbin/unbound", start_unbound},
};

const char *service_name(enum service_kind kind)
{
	return kinds[kind].name;
}

int service_start(struct service *s, enum service_kind kind, const struct traffic_cgroup *g)
{
	char path[128];
	int err;

	memset(s, 0, sizeof(*s));
	if (find(path, sizeof(path), kinds[kind].program))
		return -ENOENT;
	snprintf(s->dir, sizeof(s->dir), "/tmp/sage-capture-XXXXXX");
	if (!mkdtemp(s->dir))
		return -errno;
	close(traffic_listen(&s->port));
	snprintf(s->address, sizeof(s->address), "127.0.0.1");
	err = kinds[kind].start(s, g);
	if (err) {
		service_stop(s);
		return err;
	}
	close(traffic_connect_to(s->address, s->port));
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

void service_stop(struct service *s)
{
	if (s->pid > 0) {
		kill(s->pid, SIGTERM);
		(void)traffic_wait(s->pid);
	}
	if (s->helper > 0)
		traffic_stop(s->helper);
	if (s->dir[0])
		(void)nftw(s->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	memset(s, 0, sizeof(*s));
}
