/*
 * What capture adds to one socket call: a client and a server on one CPU pass a small HTTP
 * request and its answer to and fro on one connection, in rounds of nothing attached, of
 * programs that do nothing on the same hooks, and of each strategy. A round trip has four
 * socket calls. A second run of each has the kernel time the programs; it is kept apart
 * because that costs time too. A program's time is the lowest of the rounds, as all that
 * disturbs it adds to it. Needs root.
 */
#include <argp.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <jansson.h>
#include <linux/bpf.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/capture.h"
#include "common/clock.h"
#include "common/log.h"
#include "tests/bench/kernel_cost.h"
#include "tests/bench/arguments.h"
#include "tests/bench/output.h"
#include "tests/bpf/traffic.h"

#define MAX_ROUNDS 50
#define MAX_CASES 8
#define MAX_PROGRAMS 8

static const char request[] = "GET /small HTTP/1.1\r\nHost: bench\r\n\r\n";
static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwell\n";

struct options {
	const char *json;
	unsigned rounds, calls;
};

/* ---- the two processes --------------------------------------------------------------- */

struct ping {
	uint16_t port;
	int listener;
	unsigned calls;
	uint64_t took_ns; /* all calls, by the client's clock */
};

/* Both on the last CPU there is: the hand-over then costs the same each time. */
static void share_cpu(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpus - 1, &set);
	(void)sched_setaffinity(0, sizeof(set), &set);
}

static int run_server(void *ctx)
{
	const struct ping *p = ctx;
	int fd = accept(p->listener, NULL, NULL);
	char text[sizeof(request)];

	share_cpu();
	while (read(fd, text, sizeof(text)) > 0)
		traffic_write(fd, answer, sizeof(answer) - 1);
	return 0;
}

static int run_client(void *ctx)
{
	struct ping *p = ctx;
	int fd = traffic_connect(p->port);
	char text[sizeof(answer)];
	uint64_t start_ns;

	share_cpu();
	start_ns = clock_monotonic_ns();
	for (unsigned i = 0; i < p->calls; i++) {
		traffic_write(fd, request, sizeof(request) - 1);
		traffic_read(fd, text, sizeof(answer) - 1);
	}
	p->took_ns = clock_monotonic_ns() - start_ns;
	return 0;
}

/* ---- what is attached ---------------------------------------------------------------- */

struct bench {
	struct traffic_cgroup front, back;
	struct ping *ping; /* shared with the two */
};

struct cause {
	const char *name; /* NULL: the end */
	const char *strategy;
	const char *hook[3]; /* to attach nothing to */
	unsigned operations; /* room for them; 0 = off */
	bool dns;            /* beside the strategy */
};

static const struct cause causes[MAX_CASES] = {
	{.name = "nothing"},
	{.name = "empty", .hook = {"tcp_sendmsg_locked", "skb_copy_datagram_iovec"}},
	{.name = "socket", .strategy = "socket"},
	{.name = "operations", .strategy = "socket", .operations = 1024},
	{.name = "and dns", .strategy = "socket", .dns = true},
	{.name = "length", .strategy = "length"},
	{.name = "syscall", .strategy = "syscall"},
};

struct program {
	char name[16];
	double runs, ns; /* per round trip; of a run */
};

struct result {
	bool there;
	double call_ns[MAX_ROUNDS]; /* a round trip */
	struct program program[MAX_PROGRAMS];
	size_t programs;
};

struct attached {
	struct capture *capture;
	int program[3], link[3];
};

/* `r0 = 0; exit` on a BTF tracepoint. */
static int attach_empty(const char *hook, int *program, int *link)
{
	const struct bpf_insn code[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K}, {.code = BPF_JMP | BPF_EXIT}};
	LIBBPF_OPTS(bpf_prog_load_opts, o, .expected_attach_type = BPF_TRACE_RAW_TP);
	int type = libbpf_find_vmlinux_btf_id(hook, BPF_TRACE_RAW_TP);
	char name[16];

	if (type < 0)
		return type;
	o.attach_btf_id = (uint32_t)type;
	snprintf(name, sizeof(name), "%.15s", hook);
	*program = bpf_prog_load(BPF_PROG_TYPE_TRACING, name, "GPL", code, 2, &o);
	if (*program < 0)
		return *program;
	*link = bpf_raw_tracepoint_open(NULL, *program);
	return *link < 0 ? *link : 0;
}

static void detach(struct attached *a)
{
	capture_close(a->capture);
	for (size_t i = 0; i < 3; i++) {
		if (a->link[i] > 0)
			close(a->link[i]);
		if (a->program[i] > 0)
			close(a->program[i]);
	}
}

static int attach(struct attached *a, const struct cause *c)
{
	struct capture_options o = {.cgroup_subsys = traffic_cgroup_subsys(),
		.strategy = c->strategy,
		.max_operations = c->operations,
		.no_dns = !c->dns};
	int err = 0;

	*a = (struct attached){0};
	for (size_t i = 0; i < 3 && c->hook[i] && !err; i++)
		err = attach_empty(c->hook[i], &a->program[i], &a->link[i]);
	if (!err && c->strategy)
		err = capture_open(&a->capture, &o);
	if (err)
		detach(a);
	return err;
}

/* ---- measuring ----------------------------------------------------------------------- */

static int run_pair(struct bench *b)
{
	pid_t back, front;
	int bad;

	b->ping->listener = traffic_listen(&b->ping->port);
	back = traffic_spawn(&b->back, run_server, b->ping);
	front = traffic_spawn(&b->front, run_client, b->ping);
	bad = traffic_wait(front);
	bad |= traffic_wait(back);
	close(b->ping->listener);
	return bad ? -EIO : 0;
}

static int run_once(struct bench *b, const struct cause *c, struct result *r, unsigned round)
{
	struct attached a;
	int err = attach(&a, c);

	if (err) {
		if (!round)
			printf("without %s: %s\n", c->name, strerror(-err));
		r->there = false;
		return 0;
	}
	err = run_pair(b);
	r->call_ns[round] = (double)b->ping->took_ns / b->ping->calls;
	detach(&a);
	return err;
}

static struct program *program_of(struct result *r, const char *name)
{
	for (size_t i = 0; i < r->programs; i++)
		if (strcmp(r->program[i].name, name) == 0)
			return &r->program[i];
	if (r->programs == MAX_PROGRAMS)
		return NULL;
	strcpy(r->program[r->programs].name, name);
	return &r->program[r->programs++];
}

static void keep_lowest(struct result *r, const struct kernel_cost *cost, unsigned calls)
{
	for (size_t i = 0; i < cost->programs; i++) {
		const struct kernel_program *from = &cost->program[i];
		double runs = (double)from->runs / calls;
		double ns = from->runs ? (double)from->ns / (double)from->runs : 0;
		struct program *to = runs < 0.1 ? NULL : program_of(r, from->name);

		if (!to || (to->ns > 0 && to->ns < ns))
			continue;
		to->runs = runs;
		to->ns = ns;
	}
}

static int run_timed(struct bench *b, const struct cause *c, struct result *r)
{
	int clock = kernel_cost_clock(), err;
	struct kernel_cost before, after;
	struct attached a;

	if (clock < 0)
		return clock;
	err = attach(&a, c);
	if (!err) {
		kernel_cost_read(&before, getpid());
		err = run_pair(b);
		kernel_cost_read(&after, getpid());
		kernel_cost_subtract(&after, &before);
		keep_lowest(r, &after, b->ping->calls);
		detach(&a);
	}
	close(clock);
	return err;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(const double *v, unsigned n)
{
	double sorted[MAX_ROUNDS];

	memcpy(sorted, v, n * sizeof(*v));
	qsort(sorted, n, sizeof(*sorted), compare);
	return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

/* ---- what it says -------------------------------------------------------------------- */

/* A round trip's growth over `nothing` of the same round, in the middle. */
static double added_ns(const struct result *r, const struct result *nothing, unsigned rounds)
{
	double added[MAX_ROUNDS];

	for (unsigned i = 0; i < rounds; i++)
		added[i] = r->call_ns[i] - nothing->call_ns[i];
	return median(added, rounds);
}

static json_t *print_programs(const struct cause *c, const struct result *r)
{
	json_t *programs = json_array();

	for (size_t i = 0; i < r->programs; i++) {
		const struct program *p = &r->program[i];

		printf("  %-9s %-16s %13.2f %8.0f %14.0f\n", c->name, p->name, p->runs, p->ns,
			p->runs * p->ns);
		json_array_append_new(
			programs, json_pack("{s:s, s:f, s:f}", "program", p->name,
					  "runs_per_round_trip", p->runs, "ns_per_run", p->ns));
	}
	return programs;
}

static json_t *print_results(const struct result *r, const struct options *o)
{
	json_t *all = json_object();

	printf("  %-9s %12s %10s\n", "attached", "round trip", "added");
	for (size_t i = 0; causes[i].name; i++) {
		double ns = median(r[i].call_ns, o->rounds);
		double added = added_ns(&r[i], &r[0], o->rounds);

		if (!r[i].there)
			continue;
		printf("  %-9s %9.0f ns %7.0f ns\n", causes[i].name, ns, added);
		json_object_set_new(all, causes[i].name,
			json_pack("{s:f, s:f}", "round_trip_ns", ns, "added_ns", added));
	}
	printf("\n  %-9s %-16s %13s %8s %14s\n", "attached", "program", "runs/trip", "ns/run",
		"ns/trip");
	for (size_t i = 1; causes[i].name; i++)
		if (r[i].there)
			json_object_set_new(json_object_get(all, causes[i].name), "programs",
				print_programs(&causes[i], &r[i]));
	return all;
}

/* ---- the program --------------------------------------------------------------------- */

static int bench_open(struct bench *b, const struct options *o)
{
	int err = traffic_cgroup_open(&b->front, "front");

	if (!err)
		err = traffic_cgroup_open(&b->back, "back");
	b->ping = mmap(
		NULL, sizeof(*b->ping), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!err && b->ping == MAP_FAILED)
		err = -ENOMEM;
	if (err)
		fprintf(stderr, "call_bench: cgroups of its own: %s; it needs root\n",
			strerror(-err));
	else
		b->ping->calls = o->calls;
	return err;
}

static int run_rounds(struct bench *b, struct result *r, unsigned rounds)
{
	int err = 0;

	for (size_t i = 0; causes[i].name; i++)
		r[i].there = true;
	for (unsigned round = 0; round < rounds && !err; round++)
		for (size_t i = 0; causes[i].name && !err; i++) {
			if (r[i].there)
				err = run_once(b, &causes[i], &r[i], round);
			if (i && r[i].there && !err)
				err = run_timed(b, &causes[i], &r[i]);
		}
	if (err)
		fprintf(stderr, "call_bench: %s\n", strerror(-err));
	return err;
}

static const struct argp_option option[] = {
	ARGUMENT_JSON,
	{"rounds", 'r', "N", 0, "rounds, 1..50 (10)", 0},
	{"calls", 'n', "N", 0, "round trips in a run, 1..10000000 (5000)", 0},
	{0},
};

static error_t parse(int key, char *text, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'r':
		o->rounds = (unsigned)argument_number(state, text, 1, MAX_ROUNDS);
		return 0;
	case 'n':
		o->calls = (unsigned)argument_number(state, text, 1, 10000000);
		return 0;
	default:
		return argument_common(key, text, state, &o->json);
	}
}

int main(int argc, char **argv)
{
	static const struct argp argp = {option, parse, NULL,
		"Measure what capture adds to a socket call.", NULL, NULL, NULL};
	static struct result result[MAX_CASES];
	struct options o = {.rounds = 10, .calls = 5000};
	struct bench b = {0};
	int err;

	argp_parse(&argp, argc, argv, 0, NULL, &o);
	log_init("call_bench", LOG_ERROR);
	err = bench_open(&b, &o);
	if (!err)
		err = run_rounds(&b, result, o.rounds);
	traffic_cgroup_close(&b.front);
	traffic_cgroup_close(&b.back);
	if (!err) {
		json_t *all = print_results(result, &o);

		if (o.json)
			err = output_json(o.json, "call", all);
		json_decref(all);
	}
	return err ? 1 : 0;
}
