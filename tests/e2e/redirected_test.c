/*
 * Calls from one node to another through addresses that the first node redirects (DNAT, as
 * kube-proxy does): the ends that two agents saw are one edge at the analyzer.
 *
 *   pod 10.77.1.2 -- 10.77.1.1 node 10.77.2.1 -- 10.77.2.2 far
 *
 * Namespaces of the test's own, and two agents that each know the cgroups of their node alone. Two
 * services are called equally often, so that only the connections tell which is behind which
 * address.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <jansson.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "tests/bpf/traffic.h"
#include "tests/testbed/api.h"
#include "transport_fixture.h"

#define PATIENCE_NS 120000000000ULL /* an agent may wait long for a CPU */
#define SERVICE_PORT 80

enum { NEAR, FAR, NODES };
enum { FRONT, CART, STOCK, SERVICES };

static const char *const node_name[NODES] = {"near", "far"};

struct service {
	const char *name, *namespace;
	int node;
	uint16_t port;       /* that it listens at */
	const char *virtual; /* address that stands for it */
	struct traffic_cgroup cgroup;
	pid_t pid;
};

static struct service service[SERVICES] = {
	[FRONT] = {.name = "front", .namespace = "pod", .node = NEAR},
	[CART] = {.name = "cart",
		.namespace = "far",
		.node = FAR,
		.port = 8001,
		.virtual = "10.77.9.1"},
	[STOCK] = {.name = "stock",
		.namespace = "far",
		.node = FAR,
		.port = 8002,
		.virtual = "10.77.9.2"},
};

static struct traffic_cgroup node[NODES];
static pid_t analyzer, agent[NODES];
static int port;
static struct api api;

/* ---- the two nodes' network */

static const char network[] =
	"exec >/dev/null 2>&1; set -e;"
	" for n in pod node far; do ip netns add $n; ip -n $n link set lo up; done;"
	" ip -n pod link add p0 type veth peer name n0 netns node;"
	" ip -n node link add n1 type veth peer name f0 netns far;"
	" ip -n pod address add 10.77.1.2/24 dev p0; ip -n pod link set p0 up;"
	" ip -n node address add 10.77.1.1/24 dev n0; ip -n node link set n0 up;"
	" ip -n node address add 10.77.2.1/24 dev n1; ip -n node link set n1 up;"
	" ip -n far address add 10.77.2.2/24 dev f0; ip -n far link set f0 up;"
	" ip -n pod route add default via 10.77.1.1; ip -n far route add default via 10.77.2.1;"
	" ip netns exec node sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward';"
	" ip netns exec node nft 'add table ip sage;"
	" add chain ip sage in { type nat hook prerouting priority -100; };"
	" add rule ip sage in ip daddr 10.77.9.1 tcp dport 80 dnat to 10.77.2.2:8001;"
	" add rule ip sage in ip daddr 10.77.9.2 tcp dport 80 dnat to 10.77.2.2:8002'";

/* In a mount namespace of our own: what is mounted there, names of namespaces too, ends with us. */
static bool make_network(void)
{
	(void)mkdir("/run/netns", 0755);
	return unshare(CLONE_NEWNS) == 0 && mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("sage", "/run/netns", "tmpfs", 0, NULL) == 0 && system(network) == 0;
}

static void enter_namespace(const char *name)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/run/netns/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET))
		_exit(98);
	close(fd);
}

static struct sockaddr_in address(const char *text, uint16_t number)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
		.sin_port = htons(number),
		.sin_addr.s_addr = inet_addr(text)};
}

/* ---- the services */

static int run_server(void *ctx)
{
	const struct service *s = ctx;
	struct sockaddr_in a = address("0.0.0.0", s->port);
	int listener, fd;

	enter_namespace(s->namespace);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(listener, (void *)&a, sizeof(a)) || listen(listener, 128))
		return 1;
	while ((fd = accept(listener, NULL, NULL)) >= 0) {
		traffic_serve_connection(fd);
		close(fd);
	}
	return 1;
}

static void call(const struct service *to)
{
	const struct traffic_request request = {.chunks = 1};
	struct sockaddr_in a = address(to->virtual, SERVICE_PORT);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	uint64_t waited = 0;

	if (connect(fd, (void *)&a, sizeof(a)) == 0) /* else its server is not there yet */
		for (int i = 0; i < 5; i++)
			(void)traffic_call(fd, &request, &waited);
	close(fd);
}

/* Until it is stopped. */
static int run_client(void *ctx)
{
	const struct service *s = ctx;

	enter_namespace(s->namespace);
	for (;; traffic_pause_us(5000)) {
		call(&service[CART]);
		call(&service[STOCK]);
	}
	return 0;
}

/* ---- analyzer and agents */

static void start_analyzer(void)
{
	char listen[64], http[64], data[160], base[64];
	char *arguments[] = {(char *)(uintptr_t)SAGE_ANALYZER, (char[]){"serve"}, listen, http,
		data, (char[]){"--window=1"}, NULL};
	int http_port = free_port();

	port = free_port();
	snprintf(listen, sizeof(listen), "--listen=tcp://127.0.0.1:%d", port);
	snprintf(http, sizeof(http), "--http=127.0.0.1:%d", http_port);
	snprintf(data, sizeof(data), "--data=%s", in_dir("data"));
	snprintf(base, sizeof(base), "http://127.0.0.1:%d", http_port);
	assert_int_equal(api_open(&api, base), 0);
	analyzer = spawn_helper(arguments);
}

/* It knows of the node's cgroups by a mount that shows no others. */
static void start_agent(int which)
{
	char name[64], url[64], control[160], state[160], cgroup[200], below[160];
	char *arguments[] = {(char *)(uintptr_t)SAGE_AGENT, (char[]){"run"}, name, url, control,
		state, cgroup, (char[]){"--name-rule=/{service}/{container}"}, NULL};

	snprintf(below, sizeof(below), "%s/cgroup-%s", transport_dir, node_name[which]);
	snprintf(name, sizeof(name), "--node=%s", node_name[which]);
	snprintf(url, sizeof(url), "--analyzer=tcp://127.0.0.1:%d", port);
	snprintf(control, sizeof(control), "--control=%s", in_dir(node_name[which]));
	snprintf(state, sizeof(state), "--state=%s/state-%s", transport_dir, node_name[which]);
	snprintf(cgroup, sizeof(cgroup), "--cgroup=%s", below);
	assert_int_equal(mkdir(below, 0755), 0);
	assert_int_equal(mount(node[which].path, below, NULL, MS_BIND, NULL), 0);
	agent[which] = spawn_helper(arguments);
}

static void make_cgroup(struct service *s)
{
	struct stat st;

	snprintf(s->cgroup.path, sizeof(s->cgroup.path), "%.180s/%s", node[s->node].path, s->name);
	assert_int_equal(mkdir(s->cgroup.path, 0755), 0);
	strcat(s->cgroup.path, "/app");
	assert_int_equal(mkdir(s->cgroup.path, 0755), 0);
	assert_int_equal(stat(s->cgroup.path, &st), 0);
	s->cgroup.id = st.st_ino;
}

static int start(void **state)
{
	if (make_dir(state))
		return -1;
	for (int i = 0; i < NODES; i++)
		if (traffic_cgroup_open(&node[i], node_name[i]))
			return -1;
	for (int i = 0; i < SERVICES; i++)
		make_cgroup(&service[i]);
	for (int i = SERVICES; i-- > 0;) /* the client last */
		service[i].pid = traffic_spawn(
			&service[i].cgroup, i == FRONT ? run_client : run_server, &service[i]);
	start_analyzer();
	for (int i = 0; i < NODES; i++)
		start_agent(i);
	return 0;
}

static int stop(void **state)
{
	for (int i = 0; i < NODES; i++) {
		char below[160];

		if (agent[i] > 0)
			traffic_stop(agent[i]);
		snprintf(below, sizeof(below), "%s/cgroup-%s", transport_dir, node_name[i]);
		umount2(below, MNT_DETACH);
	}
	if (analyzer > 0)
		traffic_stop(analyzer);
	for (int i = 0; i < SERVICES; i++) {
		if (service[i].pid > 0)
			traffic_stop(service[i].pid);
		traffic_cgroup_close(&service[i].cgroup);
		*strrchr(service[i].cgroup.path, '/') = 0;
		traffic_cgroup_close(&service[i].cgroup);
	}
	for (int i = 0; i < NODES; i++)
		traffic_cgroup_close(&node[i]);
	api_close(&api);
	return remove_dir(state);
}

/* ---- facts */

/* An edge of the graph; NULL while it is not there. */
static json_t *edge_between(const json_t *graph, const char *caller, const char *callee)
{
	json_t *e;
	size_t i;

	json_array_foreach(json_object_get(graph, "edges"), i, e)
	{
		if (!strcmp(api_text(e, "caller"), caller) &&
			!strcmp(api_text(e, "callee"), callee))
			return e;
	}
	return NULL;
}

static bool has_both_ends(const json_t *graph, const char *callee)
{
	const json_t *e = edge_between(graph, "front", callee);

	return e && api_number(e, "client_p99_us") > 0 && api_number(e, "server_p99_us") > 0;
}

static void the_ends_of_redirected_calls_between_nodes_are_one_edge(void **state)
{
	uint64_t deadline = clock_monotonic_ns() + PATIENCE_NS;
	bool joined = false;

	(void)state;
	while (!joined) {
		json_t *graph = api_get(&api, "/api/v1/graph");

		joined = has_both_ends(graph, "cart") && has_both_ends(graph, "stock");
		if (!joined && clock_monotonic_ns() > deadline)
			fail_msg("not in time: %s", json_dumps(graph, JSON_COMPACT));
		json_decref(graph);
		traffic_pause_us(100000);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_ends_of_redirected_calls_between_nodes_are_one_edge),
	};

	if (geteuid() != 0) {
		printf("skipped: agents need root\n");
		return 77;
	}
	if (!make_network()) {
		printf("skipped: no namespaces, or no NAT by nftables here\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, start, stop);
}
