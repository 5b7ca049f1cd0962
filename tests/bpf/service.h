/*
 * Real servers for the capture tests, on a free port of loopback, in a given cgroup. nginx and
 * redis listen at DIR/socket too, PostgreSQL at DIR/.s.PGSQL.PORT.
 *
 * service_start() returns when the server accepts connections. -ENOENT: not installed.
 * service_stop() ends it and removes its directory; safe on a zeroed service.
 */
#ifndef SAGE_TESTS_SERVICE_H
#define SAGE_TESTS_SERVICE_H

#include <stdint.h>
#include <sys/types.h>

#include "tests/bpf/traffic.h"

enum service_kind {
	SERVICE_NGINX,
	SERVICE_REDIS,
	SERVICE_MEMCACHED,
	SERVICE_POSTGRESQL,
	SERVICE_MARIADB,
	SERVICE_NATS,
	SERVICE_RABBITMQ,
	SERVICE_THRIFT,  /* the testbed's own tier */
	SERVICE_DNSMASQ, /* on port 53; forwards up.test to UNBOUND */
	SERVICE_UNBOUND,
	SERVICES
};

struct service {
	pid_t pid;
	pid_t helper; /* that it needs beside it; 0 = none */
	uint16_t port;
	char address[16]; /* of 127.0.0.0/8 */
	char dir[128];
};

const char *service_name(enum service_kind kind);

int service_start(struct service *s, enum service_kind kind, const struct traffic_cgroup *g);
void service_stop(struct service *s);

#endif
