/* What the demo prints at its end, and writes for scripts. Pure. */
#ifndef SAGE_TESTBED_REPORT_H
#define SAGE_TESTBED_REPORT_H

#include <stddef.h>

#include "tests/testbed/trial.h"

struct report_totals {
	unsigned faults, diagnosed, service_right, resource_right;
	unsigned fixable, healed;
	unsigned false_alarms;
	unsigned stolen;          /* alarms that rightly blamed the machine the demo runs on */
	double healthy_s;         /* time without a fault, over which they were counted */
	double first_diagnosis_s; /* from the start of the demo; NAN = none */
};

struct report_totals report_sum(const struct trial *t, size_t trials);

/* At least 85 % of the services right, and at most one false alarm. */
int report_worked(const struct report_totals *sum);

void report_print(const struct trial *t, size_t trials, const struct report_totals *sum);

/* Write {"faults": [...], "totals": {...}}. Returns 0 or -errno. */
int report_write(
	const char *path, const struct trial *t, size_t trials, const struct report_totals *sum);

#endif
