#include "analyzer/csv.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"

#define LINE_BYTES 65536
#define PLACES 256 /* columns in a header at most */

int csv_reject(struct csv *c, const char *format, ...)
{
	char reason[256];
	va_list args;

	va_start(args, format);
	vsnprintf(reason, sizeof(reason), format, args);
	va_end(args);
	snprintf(c->why, c->why_size, "%s:%lu: %s", c->name, c->line, reason);
	return -EBADMSG;
}

/* A file that fails half way must not look like a short one. */
static int end_of_file(struct csv *c)
{
	int code;

	gzerror(c->file, &code);
	if (code == Z_OK || code == Z_STREAM_END)
		return 0;
	c->line++;
	return csv_reject(c, "cannot be read on: %s",
		code == Z_BUF_ERROR ? "the gzip data ends too early" : "damaged gzip data");
}

/* Read one line without its end. Returns 1, 0 at the end of the file, or -errno. */
static int next_line(struct csv *c)
{
	size_t length;

	if (!gzgets(c->file, c->text, LINE_BYTES))
		return end_of_file(c);
	c->line++;
	/* gzgets() stops at a newline or a full buffer; a NUL inside ends the text early. */
	length = strlen(c->text);
	if (length && c->text[length - 1] == '\n')
		c->text[--length] = '\0';
	else if (length == LINE_BYTES - 1)
		return csv_reject(c, "line longer than %d bytes", LINE_BYTES - 2);
	else if (!gzeof(c->file))
		return csv_reject(c, "NUL byte in the line");
	if (length && c->text[length - 1] == '\r')
		c->text[length - 1] = '\0';
	return 1;
}

/* Unquote the field at *at in place and move *at past it. NULL when malformed. */
static char *quoted_field(char **at)
{
	char *field = *at, *read = *at + 1, *write = *at;
	bool closed = false;

	while (*read && !closed) {
		closed = *read == '"' && read[1] != '"';
		if (*read == '"')
			read++;
		if (!closed)
			*write++ = *read++;
	}
	if (!closed || (*read && *read != ','))
		return NULL;
	*at = *read ? read + 1 : NULL;
	*write = '\0';
	return field;
}

/* Cut the next field off. *at becomes NULL after the last one. NULL when malformed. */
static char *cut_field(char **at)
{
	char *field = *at, *comma;

	if (*field == '"')
		return quoted_field(at);
	comma = strchr(field, ',');
	if (comma)
		*comma = '\0';
	*at = comma ? comma + 1 : NULL;
	return field;
}

static size_t find_column(const char *name, const char *const *column, size_t known)
{
	size_t i = 0;

	while (i < known && strcmp(name, column[i]))
		i++;
	return i;
}

static int read_places(struct csv *c, const char *const *column)
{
	char *at = c->text;
	const char *ignored = NULL;

	if (!strncmp(at, "\xef\xbb\xbf", 3))
		at += 3;
	while (at) {
		char *name = cut_field(&at);
		size_t i;

		if (!name)
			return csv_reject(c, "unbalanced quotes in the header");
		if (c->places == PLACES)
			return csv_reject(c, "more than %d columns", PLACES);
		i = find_column(name, column, c->known);
		if (i < c->known && c->field[i])
			return csv_reject(c, "column '%s' twice in the header", name);
		if (i < c->known)
			c->field[i] = name;
		else if (!ignored)
			ignored = name;
		c->place[c->places++] = i;
	}
	if (ignored)
		log_warning("%s: unknown column '%s' (and any other unknown one) ignored", c->name,
			ignored);
	return 0;
}

static int read_header(struct csv *c, const char *const *column, size_t required)
{
	int error = next_line(c);

	if (error < 0)
		return error;
	if (!error) {
		c->line = 1;
		return csv_reject(c, "empty file, a header line is wanted");
	}
	error = read_places(c, column);
	for (size_t i = 0; !error && i < required; i++)
		if (!c->field[i])
			error = csv_reject(c, "column '%s' missing from the header", column[i]);
	memset(c->field, 0, sizeof(c->field));
	return error;
}

static int open_file(struct csv *c, const char *dir)
{
	char path[4096];
	struct stat st;
	int fd, error = 0;

	if (snprintf(path, sizeof(path), "%s/%s", dir, c->name) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st))
		error = -errno;
	else if (!S_ISREG(st.st_mode))
		error = -EINVAL;
	else if (!(c->file = gzdopen(fd, "rb")))
		error = -ENOMEM;
	if (error)
		close(fd);
	return error;
}

int csv_open(struct csv *c, const char *dir, const char *name, const char *const *column,
	size_t known, size_t required, char *why, size_t why_size)
{
	int error;

	*c = (struct csv){.name = name, .known = known, .why = why, .why_size = why_size};
	error = open_file(c, dir);
	if (error == -ENOENT)
		return error;
	if (error) {
		snprintf(why, why_size, "%s/%s: cannot be opened: %s", dir, name,
			error == -EINVAL ? "not a regular file" : strerror(-error));
		return error;
	}
	gzbuffer(c->file, 1 << 17);
	c->text = malloc(LINE_BYTES);
	c->place = calloc(PLACES, sizeof(*c->place));
	if (!c->text || !c->place) {
		snprintf(why, why_size, "%s: out of memory", name);
		error = -ENOMEM;
	} else {
		error = read_header(c, column, required);
	}
	if (error)
		csv_close(c);
	return error;
}

int csv_next(struct csv *c)
{
	char *at = c->text;
	size_t place = 0;
	int got;

	do {
		got = next_line(c);
	} while (got == 1 && !*c->text);
	if (got != 1)
		return got;
	for (; at; place++) {
		char *field = cut_field(&at);

		if (!field)
			return csv_reject(c, "unbalanced quotes");
		if (place < c->places && c->place[place] < c->known)
			c->field[c->place[place]] = field;
	}
	if (place != c->places)
		return csv_reject(c, "%zu fields where the header has %zu", place, c->places);
	return 1;
}

int csv_number(struct csv *c, size_t i, const char *what, double *out)
{
	const char *text = c->field[i];
	char *end;
	double value = strtod(text, &end);

	/* strtod() would take leading blanks, "inf" and hexadecimal too. */
	if (end == text || *end || !isfinite(value) ||
		strspn(text, "+-.0123456789eE") < strlen(text))
		return csv_reject(c, "%s '%.40s' is not a number", what, text);
	*out = value;
	return 0;
}

void csv_close(struct csv *c)
{
	if (c->file)
		gzclose(c->file);
	free(c->text);
	free(c->place);
	c->file = NULL;
	c->text = NULL;
	c->place = NULL;
}
