/*
 * What the demo needs of the machine it runs on, looked at before anything is
 * started, so that what is lacking is named and not met half-way.
 */
#ifndef SAGE_TESTBED_NEEDS_H
#define SAGE_TESTBED_NEEDS_H

#include <stdbool.h>

/* Rights and the kernel's types; logs one line for each that is lacking. */
bool needs_rights(void);

/* Can the loopback port be listened at? If not, logs what to do: which option names another. */
bool needs_port(const char *port, const char *what, const char *option);

#endif
