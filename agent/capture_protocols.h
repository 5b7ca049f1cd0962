/* Which protocols are told apart on a connection, how their calls are paired, and what is not seen.
 */
#ifndef SAGE_AGENT_CAPTURE_PROTOCOLS_H
#define SAGE_AGENT_CAPTURE_PROTOCOLS_H

/* One line per protocol; for capture_support(). */
void capture_protocols(
	void (*line)(void *ctx, const char *feature, const char *how, const char *blind),
	void *ctx);

#endif
