/*
 * The data directory of an analyzer that has ended, as a recording. Any thread.
 */
#ifndef SAGE_ANALYZER_STORE_RECORDING_H
#define SAGE_ANALYZER_STORE_RECORDING_H

#include "analyzer/recording.h"

/*
 * All rows that start in [from_s, to_s), the graph and the targets. Windows that were acknowledged
 * but not yet summed up into rows are not in it: the next start of the analyzer does that. Returns
 * 0 with *r filled, or -errno with one line in `why`: nothing there, or in use.
 */
int store_recording(struct recording *r, const char *dir, double from_s, double to_s, char *why,
	size_t why_size);

#endif
