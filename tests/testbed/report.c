#include "tests/testbed/report.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define SERVICE_RIGHT_RATIO 0.85
#define FALSE_ALARMS_MAX 1

struct report_totals report_sum(const struct trial *t, size_t trials)
{
	struct report_totals sum = {.faults = (unsigned)trials};

	for (size_t i = 0; i < trials; i++) {
		sum.diagnosed += !strcmp(t[i].verdict, "diagnosed");
		sum.service_right += t[i].service_right;
		sum.resource_right += t[i].resource_right;
		sum.fixable += fault_is_fixable(t[i].kind);
		sum.healed += t[i].healed;
		sum.stolen += t[i].stolen;
	}
	return sum;
}

int report_worked(const struct report_totals *sum)
{
	return sum->faults && sum->service_right >= SERVICE_RIGHT_RATIO * sum->faults &&
	       sum->healed == sum->fixable && sum->false_alarms <= FALSE_ALARMS_MAX;
}

/* A number in a column, or a dash where there is none. */
static const char *cell(char *to, size_t size, const char *format, double value)
{
	if (isnan(value))
		snprintf(to, size, "-");
	else
		snprintf(to, size, format, value);
	return to;
}

static void print_row(const struct trial *t)
{
	char injected[64], said[64], p[16], seconds[16], p99[64], recovered[32];
	char before[16], during[16], after[16];

	snprintf(injected, sizeof(injected), "%.24s: %s", t->service->name, fault_name[t->kind]);
	if (*t->said_service)
		snprintf(said, sizeof(said), "%.24s: %.16s", t->said_service, t->said_resource);
	else
		snprintf(said, sizeof(said), "%s", t->verdict);
	snprintf(p99, sizeof(p99), "%s / %s / %s",
		cell(before, sizeof(before), "%.0f", t->before_ms),
		cell(during, sizeof(during), "%.0f", t->during_ms),
		cell(after, sizeof(after), "%.0f", t->after_ms));
	cell(recovered, sizeof(recovered), t->healed ? "%.0f s" : "%.0f s (undone)",
		t->recovered_s);
	printf("%-27s %s %-25s %5s %6s  %-46s %-18s %s\n", injected,
		t->service_right ? t->resource_right ? "=" : "~" : "x", said,
		cell(p, sizeof(p), "%.2f", t->probability),
		cell(seconds, sizeof(seconds), "%.0f s", t->diagnosis_s),
		*t->action ? t->action : "-", p99, recovered);
}

void report_print(const struct trial *t, size_t trials, const struct report_totals *sum)
{
	printf("\n%-27s %s %-25s %5s %6s  %-46s %-18s %s\n", "injected", " ", "diagnosed", "prob",
		"after", "action", "p99 ms b/d/a", "recovered in");
	for (size_t i = 0; i < trials; i++)
		print_row(&t[i]);
	printf("\n= service and resource right   ~ service right   x wrong or no answer\n");
	printf("service %u of %u, resource %u of %u, healed by action %u of %u, "
	       "false alarms %u in %.0f s of health",
		sum->service_right, sum->faults, sum->resource_right, sum->faults, sum->healed,
		sum->fixable, sum->false_alarms, sum->healthy_s);
	if (sum->stolen)
		printf(", %u more rightly blamed on this machine's hypervisor", sum->stolen);
	if (!isnan(sum->first_diagnosis_s))
		printf(", first diagnosis %.0f s after the start", sum->first_diagnosis_s);
	printf("\n");
}

static json_t *number(double value)
{
	return isnan(value) ? json_null() : json_real(value);
}

static json_t *text(const char *value)
{
	return *value ? json_string(value) : json_null();
}

static json_t *trial_json(const struct trial *t)
{
	return json_pack("{s:{s:s,s:s,s:s},s:{s:s,s:o,s:o},s:o,s:o,s:o,s:{s:o,s:o,s:o},s:o,s:b,s:b,"
			 "s:b,s:o,s:o,s:o}",
		"injected", "service", t->service->name, "resource", fault_resource[t->kind],
		"fault", fault_name[t->kind], "diagnosed", "verdict", t->verdict, "service",
		text(t->said_service), "resource", text(t->said_resource), "probability",
		number(t->probability), "seconds_to_diagnosis", number(t->diagnosis_s), "action",
		text(t->action), "p99_ms", "before", number(t->before_ms), "during",
		number(t->during_ms), "after", number(t->after_ms), "recovered_s",
		number(t->recovered_s), "recovered_by_action", t->healed, "service_right",
		t->service_right, "resource_right", t->resource_right, "target_ms",
		number(t->target_ms), "from", number(t->injected), "to", number(t->undone));
}

int report_write(
	const char *path, const struct trial *t, size_t trials, const struct report_totals *sum)
{
	json_t *faults = json_array(), *document;
	int err = 0;

	for (size_t i = 0; i < trials; i++)
		json_array_append_new(faults, trial_json(&t[i]));
	document = json_pack("{s:o,s:{s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:f,s:o,s:b}}", "faults",
		faults, "totals", "faults", sum->faults, "diagnosed", sum->diagnosed,
		"service_right", sum->service_right, "resource_right", sum->resource_right,
		"fixable", sum->fixable, "recovered_by_action", sum->healed, "false_alarms",
		sum->false_alarms, "stolen", sum->stolen, "healthy_s", sum->healthy_s,
		"first_diagnosis_s", number(sum->first_diagnosis_s), "worked", report_worked(sum));
	if (!document || json_dump_file(document, path, JSON_INDENT(2)))
		err = document ? -errno : -ENOMEM;
	json_decref(document);
	return err;
}
