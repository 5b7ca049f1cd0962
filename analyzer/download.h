/*
 * A running analyzer's windows, fetched over its HTTP interface (docs/api.md) into
 * a recording. One thread at a time.
 */
#ifndef SAGE_ANALYZER_DOWNLOAD_H
#define SAGE_ANALYZER_DOWNLOAD_H

#include "analyzer/recording.h"

/*
 * Fetch all windows that start in [from_s, to_s) of every service, edge and host that the
 * analyzer at `url` knows, and its targets. Returns 0 with *r filled, or -errno with one line in
 * `why`.
 */
int download_recording(struct recording *r, const char *url, double from_s, double to_s, char *why,
	size_t why_size);

#endif
