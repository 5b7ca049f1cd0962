#include "tests/e2e/scored.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

json_t *scored(const char *directory, const char *method)
{
	char command[512];
	json_t *answer, *totals;
	FILE *f;

	snprintf(command, sizeof(command), "'%s' score '%s' --method %s --json", SAGE_ANALYZER,
		directory, method);
	f = popen(command, "re");
	assert_non_null(f);
	answer = json_loadf(f, 0, NULL);
	assert_int_equal(pclose(f), 0);
	totals = json_incref(json_array_get(json_object_get(answer, "totals"), 0));
	assert_non_null(totals);
	json_decref(answer);
	return totals;
}
