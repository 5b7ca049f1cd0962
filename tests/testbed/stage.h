/*
 * Everything the demo runs: the application, the agent and the analyzer, each
 * a child that dies with the demo, and the ways to ask them. Main thread.
 */
#ifndef SAGE_TESTBED_STAGE_H
#define SAGE_TESTBED_STAGE_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "tests/testbed/api.h"
#include "tests/testbed/machine.h"
#include "tests/testbed/site.h"

#define STAGE_NAME "sage-testbed" /* of the usual instance */

enum stage_part { STAGE_TESTBED, STAGE_ANALYZER, STAGE_AGENT, STAGE_PARTS };

struct stage_options {
	const char *name;     /* of the instance */
	const char *topology; /* file */
	const char *seed;
	const char *agent, *analyzer; /* programs */
	const char *port;             /* the analyzer listens at for agents */
	const char *http_port;
	const char *window_s;
	const char *train_after; /* windows */
};

struct stage {
	struct stage_options options;
	struct site site;
	struct api api;
	struct machine machine; /* as it was while the stage paused */
	pid_t pid[STAGE_PARTS];
	char directory[SITE_PATH]; /* logs and the analyzer's data */
	sigset_t signals;
	bool stopped; /* the user wants to stop, or a part ended */
	bool failed;  /* the logs are kept */
};

/* Start all. Returns 0 or -errno, having logged why. */
int stage_open(struct stage *s, const struct stage_options *o);

/*
 * Stop all and remove the directory; when something failed, say where its logs are instead.
 * Safe when partly open, and twice.
 */
void stage_close(struct stage *s);

/*
 * Let time pass. Returns false, at once, when the demo must stop: a signal came
 * or a part ended, which is logged.
 */
bool stage_pause(struct stage *s, double seconds);

/* The load generator's p99 over [from, to), Unix seconds; NAN without requests. In ms. */
double stage_p99_ms(const struct stage *s, double from, double to);

/* Unix seconds. */
double stage_now(void);

/* The analyzer's window. */
double stage_window_s(const struct stage *s);

#endif
