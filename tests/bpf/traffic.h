/*
 * Real traffic for the capture tests: processes in cgroups of their own that talk TCP.
 *
 * A server answers each request as the request itself asks, so one server plays all
 * the parts. Everything is made by the test process and undone by it; helpers abort
 * the test with a message when the machine refuses what they need.
 */
#ifndef SAGE_TESTS_TRAFFIC_H
#define SAGE_TESTS_TRAFFIC_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct traffic_cgroup {
	char path[256];
	uint64_t id; /* inode of the directory */
};

/* The number of the cpu controller for capture_options.cgroup_subsys; -1 on pure v2. */
int traffic_cgroup_subsys(void);

/* Make a cgroup `name` below the root; removed by traffic_cgroup_close(). 0 or -errno. */
int traffic_cgroup_open(struct traffic_cgroup *g, const char *name);
void traffic_cgroup_close(struct traffic_cgroup *g);

/* Run `run(ctx)` in a child that is in `g` from its first instruction; its value is the exit
 * status. */
pid_t traffic_spawn(const struct traffic_cgroup *g, int (*run)(void *ctx), void *ctx);

/* Run a program likewise, its output discarded. */
pid_t traffic_exec(const struct traffic_cgroup *g, char *const argv[]);

/* Zeroed memory that a test and the children it spawns later share; gone with the test. */
void *traffic_share(size_t size);

/* Wait for a child to end by itself; its exit status, or -1 when it was killed. */
int traffic_wait(pid_t pid);

/* Kill a child, and wait. */
void traffic_stop(pid_t pid);

/* Listen on 127.0.0.1, on a port the kernel picks (*port) . */
int traffic_listen(uint16_t *port);

/* Connect to 127.0.0.1, or another address; tried again until it answers or a minute is over. */
int traffic_connect(uint16_t port);
int traffic_connect_to(const char *address, uint16_t port);

/* What a request asks of the server. */
struct traffic_request {
	uint32_t delay_us; /* before the first byte of the answer */
	uint32_t chunks;   /* of the answer; 0 = never answer */
	uint32_t gap_us;   /* before each further chunk */
	uint32_t calls;    /* own calls to `port`, made before the delay */
	uint32_t call_us;  /* delay asked of each */
	uint16_t port;
	uint16_t parallel; /* send all own calls before reading the first answer */
};

struct traffic_chunk {
	uint64_t waited_ns; /* for own calls, by the server's clock */
	uint8_t byte[56];
};

/* Serve one connection after the other, `connections` of them, then return. */
struct traffic_server {
	int listener;
	unsigned connections;
	uint64_t *answered_ns; /* if set, when each answer had left, in shared memory */
};
int traffic_serve(void *server);

/* Answer what comes on one connection, until its end. */
void traffic_serve_connection(int fd);

/*
 * Send one request and read its whole answer. Returns the time it took on this clock in
 * ns, and adds to *waited_ns what the server says it waited for own calls.
 */
uint64_t traffic_call(int fd, const struct traffic_request *r, uint64_t *waited_ns);

/* Write all, read exactly; abort the process on failure. */
void traffic_write(int fd, const void *data, size_t size);
void traffic_read(int fd, void *data, size_t size);

/* Let time pass: the thing under test is time itself. */
void traffic_pause_us(uint32_t us);

#endif
