/*
 * What the machine under the demo lost meanwhile: CPU time that its hypervisor gave to others. The
 * demo's own record, by which it judges an answer that blames the host. One thread.
 */
#ifndef SAGE_TESTBED_MACHINE_H
#define SAGE_TESTBED_MACHINE_H

#include <stddef.h>
#include <stdint.h>

#define MACHINE_SAMPLES 4096 /* at half a second the last half hour */

struct machine_sample {
	double time_s;        /* Unix seconds */
	uint64_t stolen, all; /* ticks of all CPUs since the boot */
};

struct machine {
	struct machine_sample sample[MACHINE_SAMPLES]; /* in a circle */
	size_t samples;                                /* ever taken */
};

/* Read the counters, if the last time is half a second ago. */
void machine_note(struct machine *m, double now_s);

/*
 * Share of CPU time stolen between the last sample before from_s and the first after to_s, 0..1;
 * NAN without such.
 */
double machine_stolen(const struct machine *m, double from_s, double to_s);

#endif
