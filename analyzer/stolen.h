/*
 * CPU time that a hypervisor gave to other machines: a cause that lies at no service, and that
 * none of them can have made, so it is all a host is ever blamed for.
 *
 * It does not choose: whoever runs just then is late. So a host explains what its services added
 * as far as that is spread over them; what one of them added alone is that one's. One thread at a
 * time.
 */
#ifndef SAGE_ANALYZER_STOLEN_H
#define SAGE_ANALYZER_STOLEN_H

#include "analyzer/suspicion.h"

/* Give each host its share of the rise, once its services have theirs and its symptoms are read. */
void stolen_share(struct suspicion *s);

/* How many services on the host explain part of the rise. */
unsigned stolen_victims(const struct suspicion *s, uint32_t host);

#endif
