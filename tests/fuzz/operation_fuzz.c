/*
 * The first bytes of a request, whatever they are, on a connection whose protocol the first byte
 * of the input says: their key is clean behind its end, the same bytes give the same one, and
 * its name is one for people, of bounded length. Any key at all, too, gives such a name or none.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/operation.h"
#include "bpf/protocol/operation.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_name(unsigned protocol, const struct rpc_operation_text *key)
{
	char name[WIRE_OPERATION];
	size_t length;

	if (!operation_name(name, protocol, key))
		return;
	length = strnlen(name, sizeof(name));
	if (length == 0 || length == sizeof(name))
		abort();
	for (size_t i = 0; i < length; i++)
		if (name[i] < ' ' || name[i] > '~' || strchr("?=&'\"@%$;\\", name[i]))
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rpc_glance g = {0};
	struct rpc_operation o, again;
	struct rpc_operation_text key = {0};
	unsigned protocol;

	if (!size)
		return 0;
	protocol = data[0] % RPC_PROTOCOLS;
	g.size = (__u32)(size - 1 < RPC_GLANCE ? size - 1 : RPC_GLANCE);
	memcpy(g.byte, data + 1, g.size);
	memcpy(&key, data + 1, g.size);
	operation_of(&o, &g, protocol);
	operation_of(&again, &g, protocol);
	if (memcmp(&o, &again, sizeof(o)) != 0 || o.used > RPC_OPERATION || !o.tag != !o.used)
		abort();
	for (unsigned i = o.used; i < RPC_OPERATION; i++)
		if (o.text.byte[i])
			abort();
	check_name(protocol, &o.text);
	check_name(protocol, &key);
	return 0;
}
