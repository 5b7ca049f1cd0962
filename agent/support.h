/*
 * What is seen of which calls, by which strategy, and on which kernels a test has seen it.
 *
 * The one source: `sage-agent support --table` prints it, docs/support.md is that output, and the
 * tests of capture ask it what a strategy has to show them. Constant; any thread.
 */
#ifndef SAGE_AGENT_SUPPORT_H
#define SAGE_AGENT_SUPPORT_H

#include <stdbool.h>
#include <stddef.h>

/* What a strategy sees. What is lost without is told by the notes. */
enum support_sight {
	SEES_SENT = 1 << 0,  /* the bytes that are sent */
	SEES_BEGIN = 1 << 1, /* a send as it begins, not as it returns */
	SEES_EACH = 1 << 2,  /* each message of several that go by at once */
	SEES_LAST = 1 << 3,  /* a read that has not returned when its connection ends */
	SEES_RING = 1 << 4,  /* io_uring */
	SEES_UNIX = 1 << 5,  /* unix stream sockets */
	SEES_NEVER = 1 << 6, /* what none of them does */
};

struct support_strategy {
	const char *name; /* as in capture.h */
	unsigned sees;    /* enum support_sight */
};

/* A kernel the tests run on, and the strategies that it offers them: bits by rank. */
struct support_kernel {
	const char *release; /* "6.12" */
	unsigned strategies;
};

/* What is lost where a sight is missing. */
struct support_note {
	char letter;
	unsigned sight;
	const char *text;
};

struct support_feature {
	const char *name;  /* of protocols as wire_protocol_name() */
	const char *test;  /* the program in tests/bpf that shows it */
	unsigned kernels;  /* that it is shown on: bits, in order of support_kernels */
	unsigned needs;    /* sights without which nothing is seen of it */
	const char *notes; /* letters of those that are about it */
	bool best_only;    /* the test runs under each kernel's best strategy alone */
};

#define SUPPORT_STRATEGIES 4
#define SUPPORT_KERNELS 3
#define SUPPORT_NOTES 6

extern const struct support_strategy support_strategies[SUPPORT_STRATEGIES]; /* best first */
extern const struct support_kernel support_kernels[SUPPORT_KERNELS];         /* oldest first */
extern const struct support_note support_notes[SUPPORT_NOTES];
extern const struct support_feature support_features[];
extern const size_t support_feature_count;

/* Whether the strategy of that name sees all of `sights`. False for a name that is none. */
bool support_sees(const char *strategy, unsigned sights);

/* Whether the tests are said to run under that strategy on a kernel, "6.12.117-cloud" say. */
bool support_offers(const char *release, const char *strategy);

/* Whether anything is seen of a feature, and whether a test has seen that on any kernel. */
bool support_is_seen(const struct support_feature *f, size_t strategy);
bool support_is_tested(const struct support_feature *f, size_t strategy);

/* Whether the note is about the feature and holds under the strategy. */
bool support_notes_that(
	const struct support_note *n, const struct support_feature *f, size_t strategy);

#endif
