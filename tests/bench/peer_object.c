/*
 * Runs somebody's BPF object as it is, to be measured: loads it, attaches every program that
 * attaches by itself, reads what it emits and drops it. Says "tracing" when it does.
 *
 *   sage-peer-object FILE
 *
 * What its own user space would have to set up (map contents, program arrays) stays empty.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define PERF_PAGES 64 /* per CPU */
#define POLL_MS 100
#define PERF_MAPS 8

static volatile sig_atomic_t stopped;

static void stop(int signal)
{
	stopped = signal;
}

static int drop(void *ctx, void *data, size_t size)
{
	(void)ctx;
	(void)data;
	(void)size;
	return 0;
}

static void drop_sample(void *ctx, int cpu, void *data, __u32 size)
{
	(void)cpu;
	(void)drop(ctx, data, size);
}

/* Where it sends its events. */
struct events {
	struct ring_buffer *rings; /* NULL: it has none */
	struct perf_buffer *perf[PERF_MAPS];
	size_t perfs;
};

static int open_ring(struct events *e, int map)
{
	if (e->rings)
		return ring_buffer__add(e->rings, map, drop, NULL);
	e->rings = ring_buffer__new(map, drop, NULL, NULL);
	return e->rings ? 0 : -errno;
}

static int open_perf(struct events *e, int map)
{
	if (e->perfs == PERF_MAPS)
		return -E2BIG;
	e->perf[e->perfs] = perf_buffer__new(map, PERF_PAGES, drop_sample, NULL, NULL, NULL);
	if (!e->perf[e->perfs])
		return -errno;
	e->perfs++;
	return 0;
}

static int open_events(struct events *e, const struct bpf_object *object)
{
	struct bpf_map *map;
	int err = 0;

	bpf_object__for_each_map(map, object)
	{
		enum bpf_map_type type = bpf_map__type(map);

		if (type == BPF_MAP_TYPE_RINGBUF)
			err = open_ring(e, bpf_map__fd(map));
		else if (type == BPF_MAP_TYPE_PERF_EVENT_ARRAY)
			err = open_perf(e, bpf_map__fd(map));
		if (err)
			return err;
	}
	return 0;
}

/* How many programs are attached; those the kernel refuses are named and left out. */
static unsigned attach_all(const struct bpf_object *object)
{
	struct bpf_program *program;
	unsigned attached = 0;

	bpf_object__for_each_program(program, object)
	{
		if (bpf_program__attach(program))
			attached++;
		else
			fprintf(stderr, "%s: not attached: %s\n", bpf_program__name(program),
				strerror(errno));
	}
	return attached;
}

static void read_events(const struct events *e)
{
	int wait_ms = POLL_MS; /* in the first only */

	if (e->rings) {
		(void)ring_buffer__poll(e->rings, wait_ms);
		wait_ms = 0;
	}
	for (size_t i = 0; i < e->perfs; i++) {
		(void)perf_buffer__poll(e->perf[i], wait_ms);
		wait_ms = 0;
	}
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = stop};
	struct events events = {0};
	struct bpf_object *object;
	unsigned attached;
	sigset_t none;

	if (argc != 2) {
		fprintf(stderr, "usage: sage-peer-object FILE\n");
		return 2;
	}
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigemptyset(&none);
	object = bpf_object__open_file(argv[1], NULL);
	if (!object || bpf_object__load(object)) {
		fprintf(stderr, "%s: cannot be loaded: %s\n", argv[1], strerror(errno));
		return 1;
	}
	attached = attach_all(object);
	if (!attached || open_events(&events, object)) {
		fprintf(stderr, "%s: %s\n", argv[1],
			attached ? strerror(errno) : "no program of it attaches by itself");
		return 1;
	}
	printf("tracing, %u programs\n", attached);
	fflush(stdout);
	while (!stopped)
		if (events.rings || events.perfs)
			read_events(&events);
		else
			sigsuspend(&none);
	return 0; /* the kernel takes down what the process held */
}
