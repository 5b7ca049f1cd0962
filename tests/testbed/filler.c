#include "tests/testbed/filler.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static int fill(int fd, unsigned megabytes)
{
	static char block[1 << 20];

	memset(block, 'x', sizeof(block));
	for (unsigned i = 0; i < megabytes; i++) {
		ssize_t n = write(fd, block, sizeof(block));

		if (n != (ssize_t)sizeof(block))
			return n < 0 ? -errno : -ENOSPC;
	}
	return fdatasync(fd) ? -errno : 0;
}

int filler_make(const char *path, unsigned megabytes)
{
	int fd, err;

	/* A file of an earlier run may still be charged to a cgroup that is gone. */
	unlink(path);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	err = fill(fd, megabytes);
	if (err) {
		close(fd);
		unlink(path);
		return err;
	}
	return fd;
}
