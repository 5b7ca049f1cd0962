#include "agent/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

long text_pread(int fd, char *text, size_t size)
{
	size_t length = 0;

	if (fd < 0)
		return -EBADF;
	while (length < size - 1) {
		ssize_t n = pread(fd, text + length, size - 1 - length, (off_t)length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		length += (size_t)n;
	}
	text[length] = 0;
	return (long)length;
}

long text_read(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	long length;

	if (fd < 0)
		return -errno;
	length = text_pread(fd, text, size);
	close(fd);
	return length;
}

bool text_u64(const char *text, uint64_t *value)
{
	unsigned long long v;
	char *end;

	text += strspn(text, " \t");
	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	v = strtoull(text, &end, 10);
	if (errno)
		return false;
	*value = v;
	return true;
}

const char *text_next_line(const char *text)
{
	const char *newline = strchr(text, '\n');

	return newline && newline[1] ? newline + 1 : NULL;
}

bool text_key_u64(const char *text, const char *key, uint64_t *value)
{
	size_t length = strlen(key);

	for (const char *line = text; line; line = text_next_line(line)) {
		if (!strncmp(line, key, length) && (line[length] == ' ' || line[length] == '\t'))
			return text_u64(line + length, value);
	}
	return false;
}

bool text_psi_us(const char *text, uint64_t *us)
{
	const char *total = strstr(text, "total=");

	return !strncmp(text, "some ", 5) && total && text_u64(total + 6, us);
}

bool text_net_bytes(const char *text, uint64_t *rx, uint64_t *tx)
{
	uint64_t sum_rx = 0, sum_tx = 0;
	bool any = false;

	for (const char *line = text; line; line = text_next_line(line)) {
		const char *newline = strchr(line, '\n'), *colon = strchr(line, ':');
		unsigned long long r, t;
		char name[32];

		if (!colon || (newline && colon > newline) || sscanf(line, " %31[^:]", name) != 1)
			continue;
		if (sscanf(colon + 1, "%llu %*u %*u %*u %*u %*u %*u %*u %llu", &r, &t) != 2)
			return false;
		any = true;
		if (!strcmp(name, "lo"))
			continue;
		sum_rx += r;
		sum_tx += t;
	}
	if (!any)
		return false;
	*rx = sum_rx;
	*tx = sum_tx;
	return true;
}
