/*
 * BPF programs and maps that a process holds, by the kernel's own account: runs and time of
 * each program, memory of the maps. Needs root.
 */
#ifndef SAGE_TESTS_BENCH_KERNEL_COST_H
#define SAGE_TESTS_BENCH_KERNEL_COST_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define KERNEL_COST_PROGRAMS 48
#define KERNEL_COST_MAPS 96

struct kernel_program {
	uint32_t id;
	char name[16];
	uint64_t runs, ns;
};

struct kernel_cost {
	struct kernel_program program[KERNEL_COST_PROGRAMS];
	size_t programs, maps;
	uint32_t map[KERNEL_COST_MAPS]; /* ids */
	uint64_t map_bytes;
	size_t refused; /* programs or maps past the bounds above */
};

/*
 * Have the kernel take the time of every program run, for as long as the descriptor is open;
 * that itself costs some 20 ns a run. Returns a descriptor to close, or -errno.
 */
int kernel_cost_clock(void);

/* Read all that the process holds. Times are those of the clock's time only. */
void kernel_cost_read(struct kernel_cost *c, pid_t pid);

/* later -= earlier, program by program. */
void kernel_cost_subtract(struct kernel_cost *later, const struct kernel_cost *earlier);

#endif
