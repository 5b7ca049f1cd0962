#include "agent/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "common/directory.h"

#define LINE_BYTES 1024
#define REWRITE_BYTES (256U << 10)

/*
 * A line: checksum of the rest in hex, then fields separated by tabs (a sane path has
 * none): BEGIN id cgroup knob old value device old-text path file | END id | EPOCH n. Empty device:
 * "-".
 */
static int format_line(char line[LINE_BYTES], const char *body)
{
	int n = snprintf(
		line, LINE_BYTES, "%016" PRIx64 "\t%s\n", XXH64(body, strlen(body), 0), body);

	return n < LINE_BYTES ? 0 : -EINVAL;
}

static int format_begin(char line[LINE_BYTES], const struct journal_change *c)
{
	char body[LINE_BYTES];
	int n = snprintf(body, sizeof(body),
		"BEGIN\t%" PRIu64 "\t%" PRIu64 "\t%u\t%" PRId64 "\t%" PRId64 "\t%s\t%s\t%s\t%s",
		c->id, c->cgroup_id, (unsigned)c->knob, c->old_value, c->value,
		*c->device ? c->device : "-", c->old_text, c->path, c->file);

	return n < (int)sizeof(body) ? format_line(line, body) : -EINVAL;
}

static int format_number(char line[LINE_BYTES], const char *what, uint64_t n)
{
	char body[64];

	snprintf(body, sizeof(body), "%s\t%" PRIu64, what, n);
	return format_line(line, body);
}

static bool parse_begin(const char *body, struct journal_change *out)
{
	struct journal_change c = {0};
	unsigned knob;

	if (sscanf(body,
		    "BEGIN\t%" SCNu64 "\t%" SCNu64 "\t%u\t%" SCNd64 "\t%" SCNd64
		    "\t%23[^\t]\t%127[^\t]\t%511[^\t\n]\t%47[^\n]",
		    &c.id, &c.cgroup_id, &knob, &c.old_value, &c.value, c.device, c.old_text,
		    c.path, c.file) < 8 ||
		knob >= WIRE_KNOBS)
		return false;
	c.knob = (enum wire_knob)knob;
	if (!strcmp(c.device, "-"))
		c.device[0] = '\0';
	*out = c;
	return true;
}

static void forget(struct journal *j, uint64_t id)
{
	for (size_t i = 0; i < j->changes; i++) {
		if (j->change[i].id != id)
			continue;
		j->changes--;
		memmove(&j->change[i], &j->change[i + 1], (j->changes - i) * sizeof(*j->change));
		return;
	}
}

static bool take_record(struct journal *j, const char *body)
{
	struct journal_change c;
	uint64_t n;

	if (parse_begin(body, &c)) {
		if (j->changes == JOURNAL_MAX)
			return false;
		j->change[j->changes++] = c;
		return true;
	}
	if (sscanf(body, "END\t%" SCNu64, &n) == 1) {
		forget(j, n);
		return true;
	}
	if (sscanf(body, "EPOCH\t%" SCNu64, &n) != 1)
		return false;
	if (n > j->epoch)
		j->epoch = n;
	return true;
}

static bool take_line(struct journal *j, char *line)
{
	size_t n = strlen(line);
	uint64_t sum;

	if (n < 18 || line[n - 1] != '\n' || line[16] != '\t')
		return false;
	line[--n] = '\0';
	if (sscanf(line, "%16" SCNx64, &sum) != 1 || sum != XXH64(line + 17, n - 17, 0))
		return false;
	return take_record(j, line + 17);
}

static int read_back(struct journal *j)
{
	int fd = openat(j->dir, "journal", O_RDONLY | O_CLOEXEC);
	char line[LINE_BYTES];
	FILE *f;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	f = fdopen(fd, "r");
	if (!f) {
		close(fd);
		return -ENOMEM;
	}
	while (fgets(line, sizeof(line), f))
		j->damaged += !take_line(j, line);
	fclose(f);
	return 0;
}

static int write_line(struct journal *j, const char *line)
{
	size_t size = strlen(line);
	ssize_t n = write(j->file, line, size);

	if (n == (ssize_t)size) {
		j->bytes += size;
		return 0;
	}
	/* Half a line would take the next one with it. */
	n = n < 0 ? -errno : -ENOSPC;
	if (ftruncate(j->file, (off_t)j->bytes))
		return -EIO;
	return (int)n;
}

static int write_all(struct journal *j)
{
	char line[LINE_BYTES];
	int error = format_number(line, "EPOCH", j->epoch);

	if (!error)
		error = write_line(j, line);
	for (size_t i = 0; !error && i < j->changes; i++) {
		error = format_begin(line, &j->change[i]);
		if (!error)
			error = write_line(j, line);
	}
	if (!error && fsync(j->file))
		error = -errno;
	return error;
}

/* A new file with what is still pending takes the place of the old one. */
static int rewrite(struct journal *j)
{
	int old = j->file, error;
	uint64_t bytes = j->bytes;

	j->file = openat(j->dir, "journal.new",
		O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	error = j->file < 0 ? -errno : 0;
	j->bytes = 0;
	if (!error)
		error = write_all(j);
	if (!error && renameat(j->dir, "journal.new", j->dir, "journal"))
		error = -errno;
	if (!error && fsync(j->dir))
		error = -errno;
	if (error) {
		if (j->file >= 0)
			close(j->file);
		j->file = old;
		j->bytes = bytes;
		return error;
	}
	if (old >= 0)
		close(old);
	return 0;
}

static int open_directory(struct journal *j, const char *dir)
{
	int err = directory_make(dir, 0700);

	if (err)
		return err;
	j->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (j->dir < 0)
		return -errno;
	j->lock = openat(j->dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (j->lock < 0)
		return -errno;
	if (flock(j->lock, LOCK_EX | LOCK_NB))
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	return 0;
}

int journal_open(struct journal *j, const char *dir)
{
	int error;

	*j = (struct journal){.dir = -1, .lock = -1, .file = -1};
	j->change = calloc(JOURNAL_MAX, sizeof(*j->change));
	error = j->change ? open_directory(j, dir) : -ENOMEM;
	if (!error)
		error = read_back(j);
	if (!error)
		error = rewrite(j);
	if (error)
		journal_close(j);
	return error;
}

void journal_close(struct journal *j)
{
	int *fds[] = {&j->file, &j->dir, &j->lock};

	for (size_t i = 0; i < sizeof(fds) / sizeof(*fds); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
	free(j->change);
	j->change = NULL;
	j->changes = 0;
}

/* Append and sync; grown files are rewritten, which syncs too. */
static int append(struct journal *j, const char *line)
{
	int error;

	if (j->bytes >= REWRITE_BYTES)
		return rewrite(j);
	error = write_line(j, line);
	if (!error && fdatasync(j->file))
		error = -errno;
	return error;
}

int journal_begin(struct journal *j, const struct journal_change *c)
{
	char line[LINE_BYTES];
	int error = format_begin(line, c);

	if (error)
		return error;
	if (j->changes == JOURNAL_MAX)
		return -ENOSPC;
	j->change[j->changes++] = *c;
	error = append(j, line);
	if (error)
		forget(j, c->id);
	return error;
}

int journal_end(struct journal *j, uint64_t id)
{
	char line[LINE_BYTES];

	format_number(line, "END", id);
	forget(j, id);
	return append(j, line);
}

int journal_epoch(struct journal *j, uint64_t epoch)
{
	uint64_t before = j->epoch;
	char line[LINE_BYTES];
	int error;

	format_number(line, "EPOCH", epoch);
	j->epoch = epoch;
	error = append(j, line);
	if (error)
		j->epoch = before;
	return error;
}
