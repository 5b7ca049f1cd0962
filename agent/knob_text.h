/*
 * What the kernel writes into the files behind the knobs, and what it wants to read:
 * text to the units of enum wire_knob and back. Pure functions, any thread; the text is
 * the kernel's but is checked like any other input.
 */
#ifndef SAGE_AGENT_KNOB_TEXT_H
#define SAGE_AGENT_KNOB_TEXT_H

#include "agent/knob.h"

/*
 * Parse a knob file's content. `device` selects the line of an I/O file; `period_us` is
 * v1's CPU period (v2 has its own in the text). Returns 0 or -EBADMSG.
 */
int knob_text_parse(enum wire_knob kind, bool v2, const char *content, const char *device,
	uint64_t period_us, struct knob_value *out);

/* The text that sets `value`. `period_us` as above, used by v2 too. Returns 0 or -EINVAL. */
int knob_text_format(enum wire_knob kind, bool v2, int64_t value, const char *device,
	uint64_t period_us, char out[KNOB_TEXT]);

/* The period in v2's cpu.max. Returns 0 or -EBADMSG. */
int knob_text_period(const char *content, uint64_t *out);

/* The first device that has this limit in an I/O limit file; false when none has. */
bool knob_text_limited(enum wire_knob kind, bool v2, const char *content, char out[KNOB_DEVICE]);

/* The device with the most bytes in io.stat or blkio.throttle.io_service_bytes. */
bool knob_text_busiest(bool v2, const char *content, char out[KNOB_DEVICE]);

#endif
