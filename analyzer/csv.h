/*
 * Reads a CSV file with a header line, plain or gzip, one record at a time.
 *
 * The caller names the columns it knows; they may stand in any order, and others
 * are skipped with one warning in the log. Fields may be quoted, with "" for a
 * quote; a record is one line of at most 64 KiB. Blank lines are skipped.
 * One thread at a time.
 */
#ifndef SAGE_ANALYZER_CSV_H
#define SAGE_ANALYZER_CSV_H

#include <stddef.h>
#include <zlib.h>

#define CSV_COLUMNS 8 /* known columns at most */

struct csv {
	gzFile file;
	const char *name;         /* what messages call the file; the caller's */
	unsigned long line;       /* number of the line last read */
	char *text;               /* that line, cut into fields; owned */
	size_t known;             /* columns the caller knows */
	size_t *place;            /* [places] known column at each place, or `known`; owned */
	size_t places;            /* columns in the header */
	char *field[CSV_COLUMNS]; /* of the record last read, NULL where the header lacks it */
	char *why;                /* the caller's, receives one line on failure */
	size_t why_size;
};

/*
 * Open DIR/NAME and read its header. `column` [known] are the names, of which the
 * first `required` must be there. Returns 0, -ENOENT when there is no such file
 * (why untouched), -EBADMSG or another -errno with `why` filled.
 */
int csv_open(struct csv *c, const char *dir, const char *name, const char *const *column,
	size_t known, size_t required, char *why, size_t why_size);

/* Read the next record into field[]. Returns 1, 0 at the end, or -errno with `why` filled. */
int csv_next(struct csv *c);

/* Put "FILE:LINE: reason" into `why`. Returns -EBADMSG. */
int csv_reject(struct csv *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A finite number in field `i`, all of it. Returns 0 or -EBADMSG with `why` filled. */
int csv_number(struct csv *c, size_t i, const char *what, double *out);

/* Safe on a zeroed struct and after a failed csv_open(). */
void csv_close(struct csv *c);

#endif
