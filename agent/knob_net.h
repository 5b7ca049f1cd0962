/*
 * KNOB_NET_RATE: the rate of the token bucket (tbf) on a container's link.
 *
 * The link is the first one in the network namespace of the cgroup's processes that has a
 * tbf at its root. Only an existing tbf is changed, none is added: without one the value is
 * -1. A container in the host's namespace has no link of its own. Talks rtnetlink on a
 * socket that was opened in that namespace once. For knob.c only.
 */
#ifndef SAGE_AGENT_KNOB_NET_H
#define SAGE_AGENT_KNOB_NET_H

#include "agent/knob.h"

/* Fills k->netlink and k->device ("" without a tbf). -EOPNOTSUPP: no link of its own. */
int knob_net_open(struct knob *k, const char *device);

int knob_net_read(const struct knob *k, struct knob_value *out);

/* Lifting a limit is not offered: -EINVAL for -1. -ENOENT when the tbf is gone. */
int knob_net_write(const struct knob *k, int64_t bytes_per_s);
int knob_net_restore(const struct knob *k, const char *text);

#endif
