/*
 * Whose link is it? The time between the two ends of a call could be lost at either; all calls of a
 * service cross its one link, so a gap is given to the service that explains most of what is seen.
 * One thread.
 */
#ifndef SAGE_ANALYZER_GAPS_H
#define SAGE_ANALYZER_GAPS_H

#include "analyzer/suspicion.h"

/*
 * Give every gap to a suspect. gap [entities] shares of the rise, of edges; all 0 afterwards.
 * Symptoms must have been read. Returns 0 or -ENOMEM.
 */
int gaps_share_out(struct suspicion *s, double *gap);

#endif
