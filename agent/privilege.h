/*
 * What the agent may do once its programs are attached.
 *
 * Kept: CAP_BPF and CAP_PERFMON (reading maps), CAP_SYS_PTRACE (network
 * namespaces in /proc); to look into TLS, CAP_SYS_ADMIN (uprobes on what is started
 * later); and, when it is to act, CAP_SYS_ADMIN, CAP_NET_ADMIN (a container's link)
 * and CAP_DAC_OVERRIDE (cgroups delegated to a user).
 */
#ifndef SAGE_AGENT_PRIVILEGE_H
#define SAGE_AGENT_PRIVILEGE_H

#include <stdbool.h>

/* Logs what is missing for the probes, with the remedy. True when BPF programs may be loaded. */
bool privilege_check(void);

/*
 * Give up the rest, in this thread and those it starts. `attaches`: uprobes will be attached
 * later. Returns 0 or -errno, already logged.
 */
int privilege_drop(bool acts, bool attaches);

/* As many descriptors as the hard limit allows: every container keeps about twenty open. */
void privilege_raise_files(void);

#endif
