/*
 * The kernel's text behind the knobs, whatever it says. The first byte chooses the knob
 * and the cgroup version. What is understood must be understood the same way when the text that
 * restores it is read back.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/knob_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_parse(enum wire_knob kind, bool v2, const char *text)
{
	struct knob_value v, again;

	if (knob_text_parse(kind, v2, text, "254:0", 100000, &v))
		return;
	if (knob_text_parse(kind, v2, v.text, "254:0", 100000, &again) || again.value != v.value)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text, device[KNOB_DEVICE];
	bool v2 = size && data[0] & 1;
	enum wire_knob kind = (enum wire_knob)(size ? (data[0] >> 1) % WIRE_KNOBS : 0);

	if (!size)
		return 0;
	text = malloc(size);
	if (!text)
		return 0;
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	try_parse(kind, v2, text);
	if (kind == KNOB_IO_READ_BPS || kind == KNOB_IO_WRITE_BPS || kind == KNOB_IO_READ_IOPS)
		knob_text_limited(kind, v2, text, device);
	knob_text_busiest(v2, text, device);
	free(text);
	return 0;
}
