#include "agent/knob_text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES 256

/* v1 shows "no limit" as the largest page-aligned number; anything near it is none. */
#define MEMORY_NONE (INT64_MAX - 0xffff)

/* The kernel's own proportion between the scales (sched_weight_from_cgroup). */
#define SHARES_AT_WEIGHT_100 1024

static const char *const io_field[WIRE_KNOBS] = {
	[KNOB_IO_READ_BPS] = "rbps",
	[KNOB_IO_WRITE_BPS] = "wbps",
	[KNOB_IO_READ_IOPS] = "riops",
};

/* A whole number at *at, which moves behind it; one space may stand before it. */
static bool take_number(const char **at, int64_t *out)
{
	const char *start = *at + (**at == ' ');
	char *end;
	long long n;

	if (*start != '-' && (*start < '0' || *start > '9'))
		return false;
	errno = 0;
	n = strtoll(start, &end, 10);
	if (end == start || errno)
		return false;
	*at = end;
	*out = n;
	return true;
}

static bool at_end(const char *at)
{
	return at[strspn(at, " \n")] == '\0';
}

static bool parse_number(const char *content, int64_t *out)
{
	return take_number(&content, out) && at_end(content);
}

/* Copy the next line of *at into line; false at the end of the text. */
static bool next_line(const char **at, char line[LINE_MAX_BYTES])
{
	size_t n = strcspn(*at, "\n");

	if (!**at)
		return false;
	snprintf(line, LINE_MAX_BYTES, "%.*s", (int)(n < LINE_MAX_BYTES ? n : LINE_MAX_BYTES - 1),
		*at);
	*at += n + ((*at)[n] == '\n');
	return true;
}

/* "254:0 rest" -> the device's length, or 0 when the line does not start with one. */
static size_t device_length(const char *line)
{
	size_t major = strspn(line, "0123456789"), minor;

	if (!major || line[major] != ':')
		return 0;
	minor = strspn(line + major + 1, "0123456789");
	if (!minor || line[major + 1 + minor] != ' ')
		return 0;
	return major + 1 + minor < KNOB_DEVICE ? major + 1 + minor : 0;
}

/* The number after " key=" in a line; "max" and a missing key are -1. */
static bool keyed_number(const char *line, const char *key, int64_t *out)
{
	size_t n = strlen(key);

	for (const char *at = line; (at = strchr(at, ' ')); at++) {
		if (strncmp(at + 1, key, n) || at[1 + n] != '=')
			continue;
		at += 2 + n;
		if (!strncmp(at, "max", 3)) {
			*out = -1;
			return true;
		}
		return take_number(&at, out) && *out >= 0;
	}
	*out = -1;
	return true;
}

/* The limit in one line of an I/O file; v1 shows only devices that have one. */
static bool io_limit(enum wire_knob kind, bool v2, const char *line, int64_t *out)
{
	size_t n = device_length(line);

	if (!n)
		return false;
	if (v2)
		return keyed_number(line, io_field[kind], out);
	if (!parse_number(line + n, out) || *out < 0)
		return false;
	if (*out == 0)
		*out = -1;
	return true;
}

static int parse_io(enum wire_knob kind, bool v2, const char *content, const char *device,
	uint64_t period_us, struct knob_value *out)
{
	struct knob_value v = {.value = -1};
	char line[LINE_MAX_BYTES];
	size_t n = strlen(device);

	while (next_line(&content, line)) {
		if (device_length(line) != n || strncmp(line, device, n))
			continue;
		if (!io_limit(kind, v2, line, &v.value))
			return -EBADMSG;
	}
	if (knob_text_format(kind, v2, v.value, device, period_us, v.text))
		return -EBADMSG;
	*out = v;
	return 0;
}

int knob_text_period(const char *content, uint64_t *out)
{
	int64_t period;

	content += strcspn(content, " ");
	if (!parse_number(content, &period) || period <= 0)
		return -EBADMSG;
	*out = (uint64_t)period;
	return 0;
}

/* v1: "QUOTA"; v2: "QUOTA PERIOD" or "max PERIOD". */
static bool parse_quota(const char *content, bool v2, uint64_t period_us, int64_t *out)
{
	int64_t quota = -1;

	if (v2 && !strncmp(content, "max", 3))
		content += 3;
	else if (!take_number(&content, &quota))
		return false;
	if (v2 ? *content != ' ' || knob_text_period(content, &period_us) : !at_end(content))
		return false;
	if (!period_us || quota > INT64_MAX / 1000)
		return false;
	*out = quota < 0 ? -1 : quota * 1000 / (int64_t)period_us;
	return true;
}

static bool parse_weight(const char *content, bool v2, int64_t *out)
{
	int64_t n;

	if (!parse_number(content, &n) || n < 1 || n > INT64_MAX / 200)
		return false;
	if (!v2)
		n = (n * 100 + SHARES_AT_WEIGHT_100 / 2) / SHARES_AT_WEIGHT_100;
	*out = n < 1 ? 1 : n > 10000 ? 10000 : n;
	return true;
}

static bool parse_memory(const char *content, int64_t *out)
{
	if (!strncmp(content, "max", 3)) {
		*out = -1;
		return true;
	}
	if (!parse_number(content, out) || *out < -1)
		return false;
	if (*out >= MEMORY_NONE)
		*out = -1;
	return true;
}

/* The content itself, without its newline, sets again what it shows. */
static int keep_text(const char *content, struct knob_value *v)
{
	size_t n = strcspn(content, "\n");

	if (n >= sizeof(v->text))
		return -EBADMSG;
	memcpy(v->text, content, n);
	v->text[n] = '\0';
	return 0;
}

int knob_text_parse(enum wire_knob kind, bool v2, const char *content, const char *device,
	uint64_t period_us, struct knob_value *out)
{
	struct knob_value v = {0};
	bool ok = false;

	switch (kind) {
	case KNOB_CPU_QUOTA:
		ok = parse_quota(content, v2, period_us, &v.value);
		break;
	case KNOB_CPU_WEIGHT:
		ok = parse_weight(content, v2, &v.value);
		break;
	case KNOB_MEMORY_HIGH:
		ok = parse_memory(content, &v.value);
		break;
	case KNOB_IO_READ_BPS:
	case KNOB_IO_WRITE_BPS:
	case KNOB_IO_READ_IOPS:
		return parse_io(kind, v2, content, device, period_us, out);
	case KNOB_NET_RATE:
	case WIRE_KNOBS:
		break;
	}
	if (!ok || keep_text(content, &v))
		return -EBADMSG;
	*out = v;
	return 0;
}

static int format_quota(bool v2, int64_t value, uint64_t period_us, char out[KNOB_TEXT])
{
	int64_t quota;

	if (!period_us || period_us > 1000000 || value > INT64_MAX / 1000000)
		return -EINVAL;
	quota = value * (int64_t)period_us / 1000;
	if (v2 && value < 0)
		snprintf(out, KNOB_TEXT, "max %" PRIu64, period_us);
	else if (v2)
		snprintf(out, KNOB_TEXT, "%" PRId64 " %" PRIu64, quota, period_us);
	else
		snprintf(out, KNOB_TEXT, "%" PRId64, value < 0 ? -1 : quota);
	return 0;
}

static int format_weight(bool v2, int64_t value, char out[KNOB_TEXT])
{
	if (value < 1 || value > 10000)
		return -EINVAL;
	if (!v2)
		value = value * SHARES_AT_WEIGHT_100 / 100;
	snprintf(out, KNOB_TEXT, "%" PRId64, value);
	return 0;
}

static int format_io(
	enum wire_knob kind, bool v2, int64_t value, const char *device, char out[KNOB_TEXT])
{
	char number[24];

	snprintf(number, sizeof(number), "%" PRId64, value < 0 ? 0 : value);
	if (!v2)
		snprintf(out, KNOB_TEXT, "%s %s", device, number);
	else
		snprintf(out, KNOB_TEXT, "%s %s=%s", device, io_field[kind],
			value < 0 ? "max" : number);
	return 0;
}

int knob_text_format(enum wire_knob kind, bool v2, int64_t value, const char *device,
	uint64_t period_us, char out[KNOB_TEXT])
{
	if (value < -1)
		return -EINVAL;
	switch (kind) {
	case KNOB_CPU_QUOTA:
		return format_quota(v2, value, period_us, out);
	case KNOB_CPU_WEIGHT:
		return format_weight(v2, value, out);
	case KNOB_MEMORY_HIGH:
		if (v2 && value < 0)
			snprintf(out, KNOB_TEXT, "max");
		else
			snprintf(out, KNOB_TEXT, "%" PRId64, value);
		return 0;
	case KNOB_IO_READ_BPS:
	case KNOB_IO_WRITE_BPS:
	case KNOB_IO_READ_IOPS:
		return format_io(kind, v2, value, device, out);
	case KNOB_NET_RATE:
	case WIRE_KNOBS:
		break;
	}
	return -EINVAL;
}

bool knob_text_limited(enum wire_knob kind, bool v2, const char *content, char out[KNOB_DEVICE])
{
	char line[LINE_MAX_BYTES];
	int64_t value;

	while (next_line(&content, line)) {
		if (!io_limit(kind, v2, line, &value) || value < 0)
			continue;
		snprintf(out, KNOB_DEVICE, "%.*s", (int)device_length(line), line);
		return true;
	}
	return false;
}

/* Bytes in one line of a statistics file; v1 has one line per direction. */
static int64_t io_bytes(bool v2, const char *line, size_t device)
{
	int64_t read = 0, written = 0;

	if (v2) {
		if (!keyed_number(line, "rbytes", &read) || !keyed_number(line, "wbytes", &written))
			return -1;
		if (read > INT64_MAX / 2 || written > INT64_MAX / 2)
			return -1;
		return (read > 0 ? read : 0) + (written > 0 ? written : 0);
	}
	if (strncmp(line + device, " Total ", 7) || !parse_number(line + device + 7, &read))
		return -1;
	return read;
}

bool knob_text_busiest(bool v2, const char *content, char out[KNOB_DEVICE])
{
	char line[LINE_MAX_BYTES];
	int64_t most = 0;

	while (next_line(&content, line)) {
		size_t n = device_length(line);
		int64_t bytes = n ? io_bytes(v2, line, n) : -1;

		if (bytes <= most)
			continue;
		most = bytes;
		snprintf(out, KNOB_DEVICE, "%.*s", (int)n, line);
	}
	return most > 0;
}
