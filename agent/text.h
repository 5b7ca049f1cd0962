/*
 * Small readers for the text files of /proc and /sys: fixed buffers, no
 * allocation, every number checked. Text is zero-terminated.
 */
#ifndef SAGE_AGENT_TEXT_H
#define SAGE_AGENT_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TEXT_MAX 32768 /* the longest file read; the rest is cut */

/* Read from offset 0 of an open file. Returns the length, or -errno. fd < 0 gives -EBADF. */
long text_pread(int fd, char *text, size_t size);

/* Open, read, close. Returns the length, or -errno. */
long text_read(const char *path, char *text, size_t size);

/* The first number in the text ("max" is none). False when there is none. */
bool text_u64(const char *text, uint64_t *value);

/* The number after `key` and blanks at the start of a line: "nr_throttled 12". */
bool text_key_u64(const char *text, const char *key, uint64_t *value);

/* The start of the line after this one, NULL at the end of the text. */
const char *text_next_line(const char *text);

/* Microseconds some task was stalled, of a pressure file: "some avg10=0.00 ... total=123". */
bool text_psi_us(const char *text, uint64_t *us);

/* Sums over all interfaces but `lo` of a /proc/PID/net/dev. False when malformed. */
bool text_net_bytes(const char *text, uint64_t *rx, uint64_t *tx);

#endif
