#include "tests/bpf/ring.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static void *map(const struct ring *r, size_t size, long offset)
{
	return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, r->fd, offset);
}

int ring_open(struct ring *r)
{
	memset(r, 0, sizeof(*r));
	r->fd = (int)syscall(__NR_io_uring_setup, 1, &r->params);
	if (r->fd < 0)
		return -errno;
	if (!(r->params.features & IORING_FEAT_SINGLE_MMAP))
		return -EOPNOTSUPP;
	r->queue = map(r, 4096, IORING_OFF_SQ_RING);
	r->sqe = map(r, sizeof(*r->sqe), IORING_OFF_SQES);
	return r->queue == MAP_FAILED || r->sqe == MAP_FAILED ? -ENOMEM : 0;
}

static uint32_t *at(const struct ring *r, uint32_t offset)
{
	return (uint32_t *)(void *)(r->queue + offset);
}

int ring_do(struct ring *r, unsigned operation, int fd, void *data, size_t size)
{
	uint32_t *tail = at(r, r->params.sq_off.tail), *head = at(r, r->params.cq_off.head);
	const struct io_uring_cqe *done = (void *)at(r, r->params.cq_off.cqes);

	memset(r->sqe, 0, sizeof(*r->sqe));
	r->sqe->opcode = (uint8_t)operation;
	r->sqe->fd = fd;
	r->sqe->addr = (uintptr_t)data;
	r->sqe->len = (uint32_t)size;
	at(r, r->params.sq_off.array)[0] = 0;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	if (syscall(__NR_io_uring_enter, r->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
		return -errno;
	done += *head & *at(r, r->params.cq_off.ring_mask);
	__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
	return done->res;
}
