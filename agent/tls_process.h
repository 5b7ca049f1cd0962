/*
 * Which files with TLS code the processes of this node run.
 *
 * A process is looked at when it is new and then less and less often, as programs load
 * libraries late and replace themselves: after 1, 3, 7, 15, 31 scans, then every 32nd. One thread.
 */
#ifndef SAGE_AGENT_TLS_PROCESS_H
#define SAGE_AGENT_TLS_PROCESS_H

#include <stdint.h>
#include <sys/types.h>

#define TLS_PROCESS_SCANS 32 /* between two looks at an old process */

/* A program, or a TLS library, that a process has mapped to run. Valid during the call. */
struct tls_mapping {
	uint64_t device, inode;
	const char *path; /* as that process calls it */
	const char *link; /* by which this process can open it, deleted or not */
};

struct tls_processes;

/* -ENOMEM, or -errno where /proc cannot be read. */
int tls_processes_open(struct tls_processes **p);

/* Look at the processes whose turn it is. */
void tls_processes_scan(
	struct tls_processes *p, void (*each)(void *ctx, const struct tls_mapping *m), void *ctx);

/* Safe on NULL. */
void tls_processes_close(struct tls_processes *p);

#endif
