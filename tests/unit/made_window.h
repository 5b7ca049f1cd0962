/* Agents' windows made by hand, for tests of what the analyzer makes of them. */
#ifndef SAGE_TESTS_MADE_WINDOW_H
#define SAGE_TESTS_MADE_WINDOW_H

#include "analyzer/intake.h"

#define MADE_MAX 8

/* A window with room for MADE_MAX containers and edges. Release with wire_window_close(). */
void made_window(struct wire_window *w, uint64_t start_s);

/* Add a container of service and name; its metrics are absent. Returns its index. */
uint32_t made_container(
	struct wire_window *w, uint64_t cgroup_id, const char *service, const char *name);

/* Add an edge seen at `side` between 10.0.0.LOCAL and 10.0.0.PEER: `calls` calls of latency_us. */
struct wire_edge *made_edge(struct wire_window *w, uint32_t container, enum wire_side side,
	uint8_t local, uint8_t peer, uint16_t port, unsigned calls, unsigned latency_us);

/*
 * A batch of one window under an agent's name, closing the window, as it arrives at the
 * analyzer. Release with made_arrival_close().
 */
struct intake_batch made_arrival(const char *agent, uint64_t sequence, struct wire_window *w);
void made_arrival_close(struct intake_batch *b);

/* user -> front (server side only): `calls` calls of latency_us at one agent. */
void made_front_window(
	struct wire_window *w, uint64_t start_s, unsigned calls, unsigned latency_us);

#endif
