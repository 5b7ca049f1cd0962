/*
 * Where a benchmark happens: cgroups and a directory of its own, and how it waits for the
 * programs it starts there. Main thread only.
 */
#ifndef SAGE_TESTS_BENCH_PLACE_H
#define SAGE_TESTS_BENCH_PLACE_H

#include <stdbool.h>
#include <stddef.h>

#include "tests/testbed/cgroups.h"
#include "tests/testbed/spawn.h"

#define PLACE_PATH 128

struct place {
	struct cgroups cgroups;
	char root[64];      /* cgroup path: /sage-bench-PID */
	char directory[64]; /* below /tmp */
};

/*
 * Returns 0 or -errno, having said on stderr what is missing. place_close() takes all away. From
 * here on SIGINT and SIGTERM make every wait below fail at once, so that it comes to that.
 */
int place_open(struct place *p);
void place_close(struct place *p);

/* A file below the directory, and a cgroup below the root (made if missing). */
void place_file(const struct place *p, const char *name, char path[PLACE_PATH]);
int place_cgroup(const struct place *p, const char *name, char path[PLACE_PATH]);

/* Start a program that logs to the file `log`, in a cgroup (NULL: the caller's). Pid or -errno. */
pid_t place_start(const struct place *p, const char *cgroup, const char *log, char *const argv[]);

/*
 * Wait until ready(ctx), which is asked every 20 ms. Returns 0, -ECHILD when the process ended
 * before, -ETIMEDOUT, -EINTR.
 */
int place_wait(pid_t pid, bool (*ready)(void *ctx), void *ctx, unsigned timeout_ms);

/* Wait for its end at most that long, then end it. Returns its exit status, or -1. */
int place_join(pid_t pid, unsigned timeout_ms);

/* SIGTERM (or another), then place_join() with 5 s. Does nothing for pid <= 0. */
void place_stop(pid_t pid, int signal);

/* Whether a program is in PATH. */
bool place_has_program(const char *program);

/* The first size - 1 bytes of a file; "" when it cannot be read. */
void place_read(const char *path, char *text, size_t size);

#endif
