/* The files of a recording, read. docs/operations.md describes them. */
#include "analyzer/recording.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/csv.h"
#include "analyzer/recording_cells.h"

#define SERVICE_BYTES 128 /* as struct truth keeps it */
#define METRIC_BYTES 64   /* as struct candidate keeps it */
#define TIME_LIMIT_S 1e11 /* beyond that somebody wrote milliseconds */

/* One file being read into a recording. */
struct reader {
	struct recording *r;
	const char *dir;
	struct cells cells;
	char *why;
	size_t why_size;
};

static int no_memory(struct reader *in, const char *file)
{
	snprintf(in->why, in->why_size, "%s: out of memory", file);
	return -ENOMEM;
}

/* A name fit to be shown and to be written back: UTF-8 and shorter than `size`. */
static int check_name(struct csv *c, const char *name, const char *what, size_t size)
{
	if (!*name)
		return csv_reject(c, "%s is empty", what);
	if (strlen(name) >= size)
		return csv_reject(c, "%s is longer than %zu bytes", what, size - 1);
	if (!graph_can_show(name))
		return csv_reject(c, "%s holds control characters or is not UTF-8", what);
	return 0;
}

static int read_call(struct reader *in, struct csv *c)
{
	const char *caller = c->field[0], *callee = c->field[1], *protocol = c->field[2];
	struct graph *g = &in->r->graph;
	uint32_t edge;
	int error = check_name(c, caller, "caller", SERVICE_BYTES);

	if (!error)
		error = check_name(c, callee, "callee", SERVICE_BYTES);
	if (!error && protocol && *protocol)
		error = check_name(c, protocol, "protocol", sizeof(g->entity->protocol));
	if (error)
		return error;
	edge = graph_edge(g, caller, callee);
	if (edge == GRAPH_NONE)
		return csv_reject(c, "'%s' -> '%s' is not a call between services", caller, callee);
	if (protocol)
		snprintf(
			g->entity[edge].protocol, sizeof(g->entity[edge].protocol), "%s", protocol);
	return 0;
}

static int read_place(struct reader *in, struct csv *c)
{
	struct graph *g = &in->r->graph;
	char host[SERVICE_BYTES + 8];
	uint32_t service, number;
	int error = check_name(c, c->field[0], "service", SERVICE_BYTES);

	if (!error)
		error = check_name(c, c->field[1], "host", SERVICE_BYTES);
	if (error)
		return error;
	snprintf(host, sizeof(host), "%s%s", strncmp(c->field[1], "host:", 5) ? "host:" : "",
		c->field[1]);
	service = graph_service(g, c->field[0]);
	number = graph_host(g, host);
	if (service == GRAPH_NONE || number == GRAPH_NONE)
		return csv_reject(
			c, "'%s' on '%s' is not a service on a host", c->field[0], c->field[1]);
	g->entity[service].host = number;
	return 0;
}

static int read_entity(struct reader *in, struct csv *c, size_t i, uint32_t *out)
{
	int error = check_name(c, c->field[i], "entity", 2 * SERVICE_BYTES);

	if (error)
		return error;
	*out = graph_entity(&in->r->graph, c->field[i]);
	if (*out == GRAPH_NONE)
		return csv_reject(
			c, "entity '%s' is not SERVICE, CALLER->CALLEE or host:NAME", c->field[i]);
	return 0;
}

static int read_time(struct csv *c, size_t i, const char *what, double *out)
{
	double time;
	int error = csv_number(c, i, what, &time);

	if (error)
		return error;
	if (time < 0 || time > TIME_LIMIT_S)
		return csv_reject(c, "%s %.40s is not in Unix seconds", what, c->field[i]);
	*out = time;
	return 0;
}

static int read_value(struct reader *in, struct csv *c)
{
	struct cell cell;
	double value;
	uint32_t entity;
	int error = read_time(c, 0, "time", &cell.start_s);

	if (!error)
		error = read_entity(in, c, 1, &entity);
	if (!error)
		error = check_name(c, c->field[2], "metric", METRIC_BYTES);
	if (!error)
		error = csv_number(c, 3, "value", &value);
	if (error)
		return error;
	if (fabs(value) > 3e38)
		return csv_reject(c, "value %.40s is too large", c->field[3]);
	cell.value = (float)value;
	cell.column = series_column(&in->r->series, entity, c->field[2]);
	cell.line = c->line;
	if (cell.column == SERIES_NONE || cells_push(&in->cells, &cell))
		return no_memory(in, c->name);
	return 0;
}

static int read_slo(struct reader *in, struct csv *c)
{
	struct recording *r = in->r;
	struct slo slo = {.entity = GRAPH_NONE}, *more;
	int error = check_name(c, c->field[1], "metric", sizeof(slo.metric));

	if (!error)
		error = csv_number(c, 2, "target", &slo.target);
	if (error)
		return error;
	slo.entity = graph_find(&r->graph, c->field[0]);
	if (slo.entity == GRAPH_NONE)
		return csv_reject(
			c, "entity '%.100s' is in neither graph nor metrics", c->field[0]);
	if (slo.target < 0)
		return csv_reject(c, "target %.40s is negative", c->field[2]);
	snprintf(slo.metric, sizeof(slo.metric), "%s", c->field[1]);
	more = realloc(r->slo, (r->slos + 1) * sizeof(*more));
	if (!more)
		return no_memory(in, c->name);
	r->slo = more;
	r->slo[r->slos++] = slo;
	return 0;
}

static int read_truth(struct reader *in, struct csv *c)
{
	struct recording *r = in->r;
	struct truth truth = {.resource = RESOURCE_NONE}, *more;
	int error = read_time(c, 0, "from", &truth.from_s);

	if (!error)
		error = read_time(c, 1, "to", &truth.to_s);
	if (!error)
		error = check_name(c, c->field[2], "entity", sizeof(truth.service));
	if (error)
		return error;
	if (truth.to_s <= truth.from_s)
		return csv_reject(c, "the incident ends before it begins");
	if (!resource_parse(c->field[3], &truth.resource))
		return csv_reject(c, "'%.40s' is not a resource class", c->field[3]);
	snprintf(truth.service, sizeof(truth.service), "%s", c->field[2]);
	more = realloc(r->truth, (r->truths + 1) * sizeof(*more));
	if (!more)
		return no_memory(in, c->name);
	r->truth = more;
	r->truth[r->truths++] = truth;
	return 0;
}

struct file {
	const char *name;
	const char *column[CSV_COLUMNS];
	size_t known, required;
	int (*record)(struct reader *in, struct csv *c);
};

static const struct file graph_file = {
	"graph.csv", {"caller", "callee", "protocol"}, 3, 2, read_call};
static const struct file placement_file = {"placement.csv", {"service", "host"}, 2, 2, read_place};
static const struct file metrics_file = {
	"metrics.csv", {"time", "entity", "metric", "value"}, 4, 4, read_value};
static const struct file packed_metrics_file = {
	"metrics.csv.gz", {"time", "entity", "metric", "value"}, 4, 4, read_value};
static const struct file slo_file = {"slo.csv", {"entity", "metric", "target"}, 3, 3, read_slo};
static const struct file truth_file = {
	"truth.csv", {"from", "to", "entity", "resource"}, 4, 4, read_truth};

/* Returns 0, -ENOENT without a reason when there is no such file, or -errno with one. */
static int read_file(struct reader *in, const struct file *f)
{
	struct csv c;
	int got = csv_open(
		&c, in->dir, f->name, f->column, f->known, f->required, in->why, in->why_size);

	if (got)
		return got;
	while ((got = csv_next(&c)) == 1) {
		got = f->record(in, &c);
		if (got)
			break;
	}
	csv_close(&c);
	return got;
}

static int read_optional(struct reader *in, const struct file *f)
{
	int error = read_file(in, f);

	return error == -ENOENT ? 0 : error;
}

static int missing(struct reader *in, const char *what)
{
	snprintf(in->why, in->why_size, "%s: no %s there; is this the directory of a recording?",
		in->dir, what);
	return -ENOENT;
}

static int read_metrics(struct reader *in)
{
	int plain = read_file(in, &metrics_file), packed;

	if (plain && plain != -ENOENT)
		return plain;
	packed = read_file(in, &packed_metrics_file);
	if (packed && packed != -ENOENT)
		return packed;
	if (plain && packed)
		return missing(in, "metrics.csv or metrics.csv.gz");
	if (!plain && !packed) {
		snprintf(in->why, in->why_size,
			"%s: both metrics.csv and metrics.csv.gz; remove one", in->dir);
		return -EBADMSG;
	}
	return cells_into_series(&in->cells, &in->r->series,
		plain ? packed_metrics_file.name : metrics_file.name, in->why, in->why_size);
}

static int by_interval(const void *a, const void *b)
{
	const struct truth *x = a, *y = b;

	if (x->from_s != y->from_s)
		return x->from_s < y->from_s ? -1 : 1;
	if (x->to_s != y->to_s)
		return x->to_s < y->to_s ? -1 : 1;
	return strcmp(x->service, y->service);
}

static int read_all(struct reader *in)
{
	int error = read_file(in, &graph_file);

	if (error == -ENOENT)
		return missing(in, "graph.csv");
	if (!error)
		error = read_optional(in, &placement_file);
	if (!error)
		error = read_metrics(in);
	if (!error)
		error = read_optional(in, &slo_file);
	if (!error)
		error = read_optional(in, &truth_file);
	return error;
}

int recording_read(struct recording *r, const char *dir, char *why, size_t why_size)
{
	struct recording fresh;
	struct reader in = {.r = &fresh, .dir = dir, .why = why, .why_size = why_size};
	int error;

	recording_init(&fresh);
	error = read_all(&in);
	cells_clear(&in.cells);
	if (error) {
		recording_clear(&fresh);
		return error;
	}
	if (fresh.truths)
		qsort(fresh.truth, fresh.truths, sizeof(*fresh.truth), by_interval);
	*r = fresh;
	return 0;
}
