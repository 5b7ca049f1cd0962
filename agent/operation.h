/*
 * Names of operations: what people call that which a key of bpf/protocol/operation.h stands for.
 *
 * "POST /cart/items", "SELECT orders", "Produce", "queue.declare". A name is printable ASCII and
 * holds nothing but what a protocol defines or a program's author has chosen; the keys are held to
 * that here again. No state.
 */
#ifndef SAGE_AGENT_OPERATION_H
#define SAGE_AGENT_OPERATION_H

#include <stdbool.h>
#include <stdint.h>

#include "bpf/event.h"
#include "common/wire.h"

/* False when the key has no name; `to` is untouched then. `protocol`: enum wire_protocol. */
bool operation_name(
	char to[WIRE_OPERATION], unsigned protocol, const struct rpc_operation_text *key);

#endif
