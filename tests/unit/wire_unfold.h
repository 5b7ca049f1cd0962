/* Received batches in the form in which agents make them, to compare the two and to encode again.
 */
#ifndef SAGE_TESTS_WIRE_UNFOLD_H
#define SAGE_TESTS_WIRE_UNFOLD_H

#include "common/wire.h"

/* Put edges in the place of flows, in every window. Aborts when out of memory. */
void wire_unfold(struct wire_batch *b);

#endif
