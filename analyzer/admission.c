#include "analyzer/admission.h"

#include <errno.h>

#include "common/log.h"

static const char *reason_of(int error)
{
	switch (error) {
	case 0:
		return NULL;
	case -ENOKEY:
		return "it believes sealed messages only: give --agent-key";
	case -EKEYREJECTED:
		return "the key of --agent-key is not that of this node's name";
	default:
		return "what is under the seal is not understood";
	}
}

const char *admission_open(struct admission *a, const void **message, size_t *size)
{
	const char *why = a->sealed ? reason_of(identity_check(&a->master, *message, *size)) : NULL;
	struct wire_agent who = {.name = "an agent"};
	size_t inner_size;
	const void *inner = identity_unwrap(*message, *size, &inner_size);

	if (inner) {
		*message = inner;
		*size = inner_size;
	}
	if (!why)
		return NULL;
	if (!a->told) {
		wire_sender(*message, *size, &who);
		log_warning("intake: %s is refused: %s; more are counted", who.name, why);
	}
	a->told = true;
	return why;
}
