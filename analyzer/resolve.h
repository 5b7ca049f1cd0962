/*
 * Which service is at an address: learnt from what the agents see of their own
 * containers, asked for the ends they cannot see.
 *
 * Servers are known by listener address and port, clients by address alone. A
 * loopback or link-local address means something only on its own node. An address
 * that two services use (host networking) is ambiguous and names nobody; a claim
 * not repeated for RESOLVE_FORGET_S gives way to the next (addresses of pods are
 * reused). One thread at a time: the analyzer's loop.
 */
#ifndef SAGE_ANALYZER_RESOLVE_H
#define SAGE_ANALYZER_RESOLVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RESOLVE_MAX 262144 /* addresses remembered; more are refused and counted */
#define RESOLVE_FORGET_S 60
#define RESOLVE_ANY_PORT 0

/* What asking gave, beside a service's number. */
#define RESOLVE_UNKNOWN UINT32_MAX         /* nobody ever claimed it */
#define RESOLVE_AMBIGUOUS (UINT32_MAX - 1) /* several do */

struct resolve {
	void *index;
	size_t entries;
	uint64_t refused;
};

void resolve_init(struct resolve *r);
void resolve_clear(struct resolve *r);

/* `service` on node `agent` owns the address; port RESOLVE_ANY_PORT for a client's. */
void resolve_learn(struct resolve *r, uint32_t agent, const uint8_t address[16], uint16_t port,
	uint32_t service, double now_s);

/* The service at an address as seen from node `agent`. */
uint32_t resolve_find(
	const struct resolve *r, uint32_t agent, const uint8_t address[16], uint16_t port);

/* "10.0.0.7:5432", "[2001:db8::1]:443". */
void resolve_print(const uint8_t address[16], uint16_t port, char *out, size_t size);

/* Forget what was not claimed for ten times RESOLVE_FORGET_S. */
void resolve_trim(struct resolve *r, double now_s);

#endif
