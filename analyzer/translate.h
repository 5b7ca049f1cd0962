/*
 * Which service stands behind a virtual address (a Kubernetes ClusterIP, a NAT).
 *
 * The client's socket names the virtual address, the server's the client's own: the two
 * ends of such calls do not name each other. But calls leave a service for a target
 * nobody listens at, and as many calls of the same protocol arrive from that service where none
 * were seen to be sent: when just one such pair fits, the address is learnt for that service.
 * Pure over one window's ends, apart from what it teaches the resolver. Loop thread.
 */
#ifndef SAGE_ANALYZER_TRANSLATE_H
#define SAGE_ANALYZER_TRANSLATE_H

#include "analyzer/resolve.h"

#define TRANSLATE_MAX 1024 /* targets and arrivals looked at in a window */

/* One end of calls in a window. */
struct translate_end {
	uint32_t service; /* that saw it */
	uint32_t peer;    /* service at the other end, RESOLVE_UNKNOWN when not known */
	uint32_t agent;   /* node it was seen on */
	bool client;
	uint8_t protocol;
	uint16_t port;            /* the server's, as this end sees it */
	const uint8_t *peer_addr; /* [16] borrowed */
	double calls;
};

/* Learn what fits. `end` [ends]. Returns how many addresses were learnt. */
size_t translate_learn(
	struct resolve *r, const struct translate_end *end, size_t ends, double now_s);

#endif
