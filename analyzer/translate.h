/*
 * Which service stands behind a virtual address (a Kubernetes ClusterIP, a NAT).
 *
 * The client's socket names the virtual address, the server's the client's own: the two
 * ends of such calls do not name each other. What they agree on:
 *
 *   the client's address and port   of some connections each agent tells them; a target nobody
 *                                   listens at is whose server saw the same connection
 *   how many calls there were       where ports are not told, or are translated too: calls leave
 *                                   a service for such a target, and as many of the same protocol
 *                                   arrive from that service where none were seen to be sent
 *
 * When just one service fits, the address is learnt for it.
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
	uint16_t port;               /* the server's, as this end sees it */
	const uint8_t *local_addr;   /* [16] borrowed */
	const uint8_t *peer_addr;    /* [16] borrowed */
	const uint16_t *client_port; /* [ports] borrowed */
	unsigned ports;
	double calls;
};

/*
 * Learn what fits. `end` [ends], in which peers found by their connection become known. Returns
 * how many ends or addresses that taught.
 */
size_t translate_learn(struct resolve *r, struct translate_end *end, size_t ends, double now_s);

#endif
