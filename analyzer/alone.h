/*
 * What one service by itself adds to the target's metric: had all others been normal, would the
 * target still be missed?
 *
 * Shares of a rise a hundred times the target cannot tell, as what is left without the largest of
 * them is smaller than their error. So this is built from below, from what is normal and what the
 * one service adds. One thread.
 */
#ifndef SAGE_ANALYZER_ALONE_H
#define SAGE_ANALYZER_ALONE_H

#include "analyzer/suspicion.h"

/*
 * In the target's unit, not below 0; 0 too where the target is no latency or no latency along the
 * way is known. scratch [total of the frame].
 */
double alone_added(const struct suspicion *s, uint32_t service, float *scratch);

/*
 * Of a service that waits for others: is its own time more than waiting for them can bring about?
 * Threads that all wait keep requests in the queue, which is the service's own time, but no longer
 * than they wait themselves, unless most requests queue, and then the mean shows it.
 */
bool alone_outweighs_waits(const struct suspicion *s, uint32_t service, float *scratch);

#endif
