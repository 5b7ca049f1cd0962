/*
 * Whom the intake listens to: with a master key only agents whose messages carry the seal
 * of the name they claim (common/identity.h), without one everybody. Used by the intake's
 * thread alone.
 */
#ifndef SAGE_ANALYZER_ADMISSION_H
#define SAGE_ANALYZER_ADMISSION_H

#include <stdbool.h>
#include <stddef.h>

#include "common/identity.h"

struct admission {
	bool sealed; /* only sealed messages are taken */
	struct identity_key master;
	bool told; /* one refusal was logged */
};

/* Take the seal off. NULL, or why the message is refused: for people, at the agent. */
const char *admission_open(struct admission *a, const void **message, size_t *size);

#endif
