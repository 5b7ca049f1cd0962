#include "tests/testbed/machine.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#define PITCH_S 0.5
#define FIELDS 8 /* of the line "cpu": user nice system idle iowait irq softirq steal */

void machine_note(struct machine *m, double now_s)
{
	struct machine_sample *last =
		&m->sample[(m->samples + MACHINE_SAMPLES - 1) % MACHINE_SAMPLES];
	struct machine_sample new = {.time_s = now_s};
	FILE *f;

	if (m->samples && now_s < last->time_s + PITCH_S)
		return;
	f = fopen("/proc/stat", "re");
	if (!f)
		return;
	if (!fscanf(f, "cpu"))
		for (int i = 0; i < FIELDS && fscanf(f, "%" SCNu64, &new.stolen) == 1; i++)
			new.all += new.stolen;
	fclose(f);
	m->sample[m->samples++ % MACHINE_SAMPLES] = new;
}

double machine_stolen(const struct machine *m, double from_s, double to_s)
{
	const struct machine_sample *from = NULL, *to = NULL;
	size_t first = m->samples > MACHINE_SAMPLES ? m->samples - MACHINE_SAMPLES : 0;

	for (size_t i = first; i < m->samples && !to; i++) {
		const struct machine_sample *s = &m->sample[i % MACHINE_SAMPLES];

		if (s->time_s <= from_s)
			from = s;
		if (s->time_s >= to_s)
			to = s;
	}
	if (!from || !to || to->all <= from->all)
		return (double)NAN;
	return (double)(to->stolen - from->stolen) / (double)(to->all - from->all);
}
