/*
 * Failed calls: who waits for an answer in vain, or asks again, loses time that looks like its own.
 *
 * Such time is handed down to whoever fails: to the service that answers with a failure
 * none of its own calls explains; and where no answer came in time, to what is slow on that
 * call or below it. One thread at a time.
 */
#ifndef SAGE_ANALYZER_FAILURES_H
#define SAGE_ANALYZER_FAILURES_H

#include "analyzer/traffic.h"

/*
 * Move shares of the rise: share [entities], of a service its own part, of an edge the gap.
 * handed [entities], zeroed by the caller, tells how much of a service's came from who waited for
 * its failures. Returns 0 or -ENOMEM.
 */
int failures_hand_down(
	const struct frame *f, const struct traffic *t, double *share, double *handed);

#endif
