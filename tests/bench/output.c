#include "tests/bench/output.h"

#include <stdio.h>

int output_json(const char *path, const char *bench, json_t *value)
{
	json_t *all = json_pack("{s:O}", bench, value);
	int err = json_dump_file(all, path, JSON_INDENT(2) | JSON_REAL_PRECISION(6));

	json_decref(all);
	if (err)
		fprintf(stderr, "%s: cannot be written; give --json a path that can\n", path);
	return err;
}
