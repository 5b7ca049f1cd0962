#include "agent/run_options.h"

#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/capture.h"
#include "agent/control.h"
#include "agent/run.h"
#include "common/log.h"

#define DEFAULT_OPERATIONS 1024

enum key {
	KEY_ANALYZER = 256,
	KEY_NODE,
	KEY_MODE,
	KEY_SPOOL,
	KEY_SPOOL_BYTES,
	KEY_SPOOL_HOURS,
	KEY_STATE,
	KEY_CONTROL,
	KEY_NAME_RULE,
	KEY_ALLOW,
	KEY_PERF,
	KEY_TLS,
	KEY_DNS_PORTS,
	KEY_INTERVAL,
	KEY_ONCE,
	KEY_CGROUP,
	KEY_STRATEGY,
	KEY_CONTAINERS,
	KEY_EDGES,
	KEY_OPERATIONS,
	KEY_CONNECTIONS,
	KEY_TLS_CA,
	KEY_TLS_CERT,
	KEY_TLS_KEY,
	KEY_TLS_NAME,
	KEY_AGENT_KEY,
	KEY_VERBOSE = 'v',
};

static const struct argp_option options[] = {
	{"analyzer", KEY_ANALYZER, "URL", 0,
		"ship to this analyzer: tcp://HOST:PORT or tls+tcp://HOST:PORT; without, windows "
		"are "
		"spooled",
		1},
	{"node", KEY_NODE, "NAME", 0, "this node's name (its host name)", 1},
	{"spool", KEY_SPOOL, "DIR", 0, "keep windows here until the analyzer has them (in memory)",
		1},
	{"spool-bytes", KEY_SPOOL_BYTES, "N", 0, "at most this much (67108864)", 1},
	{"spool-hours", KEY_SPOOL_HOURS, "N", 0, "at most so old, 1..8760 (24)", 1},
	{"tls-ca", KEY_TLS_CA, "FILE", 0, "the CA of the analyzer's certificate", 1},
	{"tls-cert", KEY_TLS_CERT, "FILE", 0, "this agent's certificate", 1},
	{"tls-key", KEY_TLS_KEY, "FILE", 0, "its key", 1},
	{"tls-name", KEY_TLS_NAME, "NAME", 0, "name in the analyzer's certificate (the URL's host)",
		1},
	{"agent-key", KEY_AGENT_KEY, "FILE", 0,
		"prove to be this node: what `sage-analyzer agent-key` prints for its name", 1},
	{"mode", KEY_MODE, "MODE", 0, "observe, recommend (default: leases are refused) or enforce",
		2},
	{"allow", KEY_ALLOW, "GLOB", 0,
		"cgroup paths actions may touch; repeatable; without, none may be", 2},
	{"state", KEY_STATE, "DIR", 0, "journal of actions (/var/lib/sage/agent)", 2},
	{"name-rule", KEY_NAME_RULE, "PATTERN", 0,
		"name containers by cgroup path: '/apps/{service}/{container}'; repeatable", 3},
	{"cgroup", KEY_CGROUP, "DIR", 0, "use the cgroup mounts below DIR only", 3},
	{"strategy", KEY_STRATEGY, "NAME", 0, "how calls are captured (the best this kernel has)",
		3},
	{"tls", KEY_TLS, "sent", OPTION_ARG_OPTIONAL,
		"look into TLS by uprobes on OpenSSL and Go's crypto/tls; with =sent only at what "
		"is sent, for a fifth of the cost",
		3},
	{"dns-ports", KEY_DNS_PORTS, "PORT,...", 0,
		"where servers of DNS over UDP are, at most 4, or none: not captured (53)", 3},
	{"perf-events", KEY_PERF, NULL, 0,
		"count cycles, instructions, cache misses, context switches and page faults of "
		"containers; costs each switch between containers",
		3},
	{"interval-ms", KEY_INTERVAL, "N", 0, "length of a window, 100..60000 (1000)", 3},
	{"max-containers", KEY_CONTAINERS, "N", 0, "1..4096 (512)", 3},
	{"max-edges", KEY_EDGES, "N", 0, "of one window, 1..16384 (2048)", 3},
	{"operations", KEY_OPERATIONS, "N", OPTION_ARG_OPTIONAL,
		"tell apart what calls ask for, at most N operations of edges in a window, "
		"1..16384 "
		"(1024); costs HTTP/1, Redis and memcached a look at each request",
		3},
	{"max-connections", KEY_CONNECTIONS, "N", 0, "1..1048576 (16384)", 3},
	{"control", KEY_CONTROL, "SOCKET", 0, "answer the other commands here (" CONTROL_SOCKET ")",
		4},
	{"once", KEY_ONCE, NULL, 0, "print one window as JSON and leave", 4},
	{"verbose", KEY_VERBOSE, NULL, 0, "log every container", 4},
	{0},
};

static long number(
	struct argp_state *state, const char *text, const char *name, long low, long high)
{
	char *end;
	long value;

	errno = 0;
	value = strtol(text, &end, 10);
	if (errno || *end || end == text || value < low || value > high)
		argp_error(state, "--%s %s: a number from %ld to %ld is needed", name, text, low,
			high);
	return value;
}

static const char *strategy(struct argp_state *state, const char *name)
{
	const char *known;
	char all[128] = "";
	size_t length = 0;

	for (size_t rank = 0; (known = capture_strategy_at(rank)); rank++) {
		if (!strcmp(known, name))
			return name;
		length += (size_t)snprintf(
			all + length, sizeof(all) - length, "%s%s", length ? ", " : "", known);
		if (length >= sizeof(all))
			break;
	}
	argp_error(state, "--strategy %s: one of %s", name, all);
	return NULL;
}

static void parse_dns_ports(struct argp_state *state, struct collect_options *c, const char *text)
{
	const char *at = text;
	size_t n = 0;

	c->no_dns = !strcmp(text, "none");
	memset(c->dns_port, 0, sizeof(c->dns_port));
	while (!c->no_dns) {
		char *end;
		unsigned long port = strtoul(at, &end, 10);

		if (n == CAPTURE_DNS_PORTS || *at < '0' || *at > '9' || !port ||
			port > UINT16_MAX || (*end && *end != ','))
			argp_error(state,
				"--dns-ports %s: one to %d ports such as 53,5300, or none", text,
				CAPTURE_DNS_PORTS);
		c->dns_port[n++] = (uint16_t)port;
		if (!*end)
			break;
		at = end + 1;
	}
}

static void add_rule(struct argp_state *state, struct run_options *o, const char *pattern)
{
	const char *why;

	if (cgroup_rules_add(&o->collect.rules, pattern, &why))
		argp_error(state, "--name-rule %s: %s; an example: '/apps/{service}/{container}'",
			pattern, why);
}

static void add_allow(struct argp_state *state, struct run_options *o, const char *glob)
{
	size_t n = 0;

	while (o->allow[n])
		n++;
	if (n == RUN_ALLOW)
		argp_error(state, "--allow: at most %d", RUN_ALLOW);
	o->allow[n] = glob;
}

static error_t parse_numbers(int key, char *text, struct argp_state *state, struct run_options *o)
{
	struct collect_options *c = &o->collect;

	switch (key) {
	case KEY_SPOOL_BYTES:
		o->spool_bytes = (size_t)number(state, text, "spool-bytes", 1 << 20, 1L << 40);
		return 0;
	case KEY_SPOOL_HOURS:
		o->spool_hours = (unsigned)number(state, text, "spool-hours", 1, 8760);
		return 0;
	case KEY_INTERVAL:
		o->interval_ms = (unsigned)number(state, text, "interval-ms", 100, 60000);
		return 0;
	case KEY_CONTAINERS:
		c->max_containers =
			(uint32_t)number(state, text, "max-containers", 1, WIRE_MAX_CONTAINERS);
		return 0;
	case KEY_EDGES:
		c->max_edges = (uint32_t)number(state, text, "max-edges", 1, WIRE_MAX_EDGES);
		return 0;
	case KEY_OPERATIONS:
		c->max_operations =
			text ? (uint32_t)number(state, text, "operations", 1, WIRE_MAX_OPERATIONS)
			     : DEFAULT_OPERATIONS;
		return 0;
	case KEY_CONNECTIONS:
		c->max_connections = (uint32_t)number(state, text, "max-connections", 1, 1 << 20);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static error_t parse_switches(int key, char *text, struct argp_state *state, struct run_options *o)
{
	switch (key) {
	case KEY_MODE:
		if (!actuator_mode_parse(text, &o->mode))
			argp_error(state, "--mode %s: observe, recommend or enforce", text);
		return 0;
	case KEY_ALLOW:
		add_allow(state, o, text);
		return 0;
	case KEY_NAME_RULE:
		add_rule(state, o, text);
		return 0;
	case KEY_STRATEGY:
		o->collect.strategy = strategy(state, text);
		return 0;
	case KEY_TLS:
		if (text && strcmp(text, "sent") != 0)
			argp_error(state, "--tls=%s: --tls, or --tls=sent", text);
		o->collect.tls = true;
		o->collect.tls_sent_only = text != NULL;
		return 0;
	case KEY_DNS_PORTS:
		parse_dns_ports(state, &o->collect, text);
		return 0;
	case KEY_PERF:
		o->collect.perf = true;
		return 0;
	case KEY_ONCE:
		o->once = true;
		return 0;
	case KEY_VERBOSE:
		log_init("sage-agent", LOG_DEBUG);
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "%s: unexpected; options start with --", text);
		return 0;
	default:
		return parse_numbers(key, text, state, o);
	}
}

static const char **text_option(int key, struct run_options *o)
{
	switch (key) {
	case KEY_ANALYZER:
		return &o->analyzer;
	case KEY_NODE:
		return &o->node;
	case KEY_SPOOL:
		return &o->spool_dir;
	case KEY_STATE:
		return &o->state_dir;
	case KEY_CONTROL:
		return &o->control;
	case KEY_CGROUP:
		return &o->collect.cgroup_below;
	case KEY_TLS_CA:
		return &o->tls.ca_file;
	case KEY_TLS_CERT:
		return &o->tls.cert_file;
	case KEY_TLS_KEY:
		return &o->tls.key_file;
	case KEY_TLS_NAME:
		return &o->tls.server_name;
	case KEY_AGENT_KEY:
		return &o->key_file;
	default:
		return NULL;
	}
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
	struct run_options *o = state->input;
	const char **to = text_option(key, o);

	if (!to)
		return parse_switches(key, text, state, o);
	if (!*text)
		argp_error(state, "an option is empty where text is needed");
	*to = text;
	return 0;
}

int run_command(int argc, char **argv)
{
	static const struct argp argp = {options, parse_option, NULL,
		"Capture calls and counters of this node's containers, ship a window per second, "
		"and hold "
		"the analyzer's leases.",
		NULL, NULL, NULL};
	struct run_options o = {
		.spool_bytes = 64 << 20,
		.spool_hours = 24,
		.state_dir = "/var/lib/sage/agent",
		.control = CONTROL_SOCKET,
		.mode = ACTUATOR_RECOMMEND,
		.interval_ms = 1000,
		.collect = {.max_containers = 512, .max_edges = 2048, .max_connections = 16384},
	};
	char host[WIRE_NAME] = "localhost";

	gethostname(host, sizeof(host) - 1);
	o.node = host;
	argp_parse(&argp, argc, argv, 0, NULL, &o);
	if (strlen(o.node) >= WIRE_NAME) {
		log_error("--node: at most %d characters", WIRE_NAME - 1);
		return 64;
	}
	return run(&o);
}
