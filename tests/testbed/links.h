/*
 * The network of a site: a namespace with a bridge, and one namespace per
 * service whose eth0 ends at that bridge. Uses iproute2 and nftables. Main thread.
 */
#ifndef SAGE_TESTBED_LINKS_H
#define SAGE_TESTBED_LINKS_H

#include <stdint.h>

#include "tests/testbed/site.h"

/* Make all of it. Returns 0 or -errno, having logged why. */
int links_make(const struct site *s);

/* Remove every namespace whose name starts with the site's. */
void links_remove(const struct site *s);

/* A TCP connection to a service from inside its namespace: a descriptor or -errno. */
int links_connect(const struct site *s, unsigned index);

/* Bytes a service has sent and received so far. Returns 0 or -errno. */
int links_bytes(const struct site *s, unsigned index, uint64_t *sent, uint64_t *received);

/* Limit both directions of a service's link to so many bytes per second; 0 lifts it. */
int links_set_rate(const struct site *s, unsigned index, uint64_t sent, uint64_t received);

/* Lose a share (0..1) of the packets that reach a service; 0 lifts it. */
int links_set_loss(const struct site *s, unsigned index, double share);

#endif
