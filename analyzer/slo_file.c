/* The SLO file, by libcyaml. This file alone includes it. */
#include "analyzer/slo.h"

#include <cyaml/cyaml.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct row {
	char *entity, *metric;
	double *target, *target_ms; /* NULL where the file says nothing */
};

static const cyaml_schema_field_t row_fields[] = {
	CYAML_FIELD_STRING_PTR("entity", CYAML_FLAG_POINTER, struct row, entity, 1, 299),
	CYAML_FIELD_STRING_PTR("metric", CYAML_FLAG_POINTER, struct row, metric, 1, 63),
	CYAML_FIELD_FLOAT_PTR(
		"target", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct row, target),
	CYAML_FIELD_FLOAT_PTR(
		"target_ms", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct row, target_ms),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t row_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct row, row_fields)};

static const cyaml_schema_value_t file_schema = {
	CYAML_VALUE_SEQUENCE(CYAML_FLAG_POINTER, struct row, &row_schema, 0, SLO_MAX)};

/* libcyaml tells what is wrong, then where, in several lines: kept as one. */
static void collect(cyaml_log_t level, void *ctx, const char *format, va_list args)
{
	char *why = ctx, line[256];
	size_t used = strlen(why);

	(void)level;
	vsnprintf(line, sizeof(line), format, args);
	line[strcspn(line, "\n")] = 0;
	if (used + strlen(line) + 3 < 512)
		snprintf(why + used, 512 - used, "%s%s", used ? "; " : "", line);
}

static long refuse(const char *path, size_t entry, const char *reason, char *why, size_t why_size)
{
	snprintf(why, why_size, "%s: entry %zu: %s", path, entry + 1, reason);
	return -EBADMSG;
}

static long convert(const char *path, const struct row *row, size_t rows, struct slo_text *out,
	char *why, size_t why_size)
{
	for (size_t i = 0; i < rows; i++) {
		char reason[400];

		if (!row[i].target == !row[i].target_ms)
			return refuse(path, i, "want one of target and target_ms", why, why_size);
		snprintf(out[i].entity, sizeof(out[i].entity), "%s", row[i].entity);
		snprintf(out[i].metric, sizeof(out[i].metric), "%s", row[i].metric);
		out[i].target = row[i].target ? *row[i].target : *row[i].target_ms * 1000;
		if (!slo_check(&out[i], reason, sizeof(reason)))
			return refuse(path, i, reason, why, why_size);
	}
	return (long)rows;
}

long slo_read(const char *path, struct slo_text **out, char *why, size_t why_size)
{
	char told[512] = "";
	const cyaml_config_t config = {
		.log_fn = collect,
		.log_ctx = told,
		.log_level = CYAML_LOG_ERROR,
		.mem_fn = cyaml_mem,
	};
	struct row *row = NULL;
	struct slo_text *text;
	unsigned rows = 0;
	cyaml_err_t err =
		cyaml_load_file(path, &config, &file_schema, (cyaml_data_t **)&row, &rows);
	long n;

	if (err != CYAML_OK) {
		snprintf(why, why_size, "%s: %s", path, *told ? told : cyaml_strerror(err));
		return err == CYAML_ERR_FILE_OPEN ? -ENOENT : -EBADMSG;
	}
	text = calloc(rows ? rows : 1, sizeof(*text));
	n = text ? convert(path, row, rows, text, why, why_size) : -ENOMEM;
	cyaml_free(&config, &file_schema, row, rows);
	if (n < 0) {
		free(text);
		return n;
	}
	*out = text;
	return n;
}
