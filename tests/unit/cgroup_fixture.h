/*
 * Cgroups and processes of a test's own: /sage-test-PID-NAME in every controller,
 * removed with everything in it at the end.
 */
#ifndef SAGE_TESTS_CGROUP_FIXTURE_H
#define SAGE_TESTS_CGROUP_FIXTURE_H

#include <stdbool.h>
#include <sys/types.h>

#include "agent/cgroup.h"

#define FIXTURE_PATHS 16
#define FIXTURE_CHILDREN 16

struct fixture {
	struct cgroup_tree tree;
	char root[64]; /* "/sage-test-PID-NAME" */
	char path[FIXTURE_PATHS][128];
	unsigned paths;
	pid_t child[FIXTURE_CHILDREN];
	unsigned children;
};

/* False, after printing why, where cgroups cannot be made: the test is to be skipped. */
bool fixture_open(struct fixture *f, const char *name);

/* Make root + `below` ("" or "/cart/app"; parents first). Gives the path, good until close. */
const char *fixture_make(struct fixture *f, const char *below);

/* Remove one that is empty. */
void fixture_remove(struct fixture *f, const char *path);

/* Write a controller's file. False when it could not be written. */
bool fixture_write(struct fixture *f, enum cgroup_controller c, const char *path, const char *file,
	const char *text);

/* Limit the CPU to `percent` of one, on v1 and v2. */
bool fixture_quota(struct fixture *f, const char *path, unsigned percent);

/* A process in that cgroup that runs work(argument) until fixture_stop() or close. */
pid_t fixture_spawn(struct fixture *f, const char *path, void (*work)(const char *argument),
	const char *argument);
void fixture_stop(struct fixture *f, pid_t pid);

/* Kill the test's own children, wait for them, remove the cgroups. */
void fixture_close(struct fixture *f);

/* Busy for ever. */
void fixture_burn(const char *unused);

/* Asleep for ever. */
void fixture_idle(const char *unused);

/* Ask again every 10 ms until it holds or `deadline_ms` have passed; gives what it said last. */
bool fixture_wait(bool (*holds)(void *ctx), void *ctx, unsigned deadline_ms);

#endif
