/*
 * An io_uring by its system calls alone: one request at a time, waited for.
 *
 * ring_open() gives 0 or -errno. ring_do() submits one of IORING_OP_SEND and
 * IORING_OP_RECV and gives its result.
 */
#ifndef SAGE_TESTS_RING_H
#define SAGE_TESTS_RING_H

#include <linux/io_uring.h>
#include <stddef.h>

struct ring {
	int fd;
	struct io_uring_params params;
	char *queue;              /* submission and completion rings, one mapping */
	struct io_uring_sqe *sqe; /* [1] */
};

int ring_open(struct ring *r);
int ring_do(struct ring *r, unsigned operation, int fd, void *data, size_t size);

#endif
