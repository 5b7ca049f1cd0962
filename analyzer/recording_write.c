/* The files of a recording, written: each under another name first, then renamed into place. */
#include "analyzer/recording.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef void (*content)(FILE *f, const struct recording *r);

/* Quoted when a reader would cut it otherwise. */
static void put_text(FILE *f, const char *text)
{
	if (!strpbrk(text, ",\"")) {
		fputs(text, f);
		return;
	}
	fputc('"', f);
	for (; *text; text++) {
		if (*text == '"')
			fputc('"', f);
		fputc(*text, f);
	}
	fputc('"', f);
}

/* As few digits as bring the same number back; ten show a Unix time without an exponent. */
static void put_number(FILE *f, double value)
{
	char text[32];
	int digits = 10;

	do {
		snprintf(text, sizeof(text), "%.*g", digits, value);
	} while (digits++ < 17 && strtod(text, NULL) != value);
	fputs(text, f);
}

static void put_entity(FILE *f, const struct recording *r, uint32_t entity)
{
	put_text(f, r->graph.entity[entity].name);
}

static void put_graph(FILE *f, const struct recording *r)
{
	fputs("caller,callee,protocol\n", f);
	for (uint32_t i = 0; i < r->graph.entities; i++) {
		const struct entity *e = &r->graph.entity[i];

		if (e->kind != ENTITY_EDGE)
			continue;
		put_entity(f, r, e->caller);
		fputc(',', f);
		put_entity(f, r, e->callee);
		fputc(',', f);
		put_text(f, e->protocol);
		fputc('\n', f);
	}
}

static void put_metrics(FILE *f, const struct recording *r)
{
	const struct series *s = &r->series;

	fputs("time,entity,metric,value\n", f);
	for (size_t w = 0; w < s->windows; w++) {
		for (uint32_t i = 0; i < s->columns; i++) {
			const struct series_column *c = &s->column[i];

			if (!isfinite(c->value[w]))
				continue;
			put_number(f, s->start_s[w]);
			fputc(',', f);
			put_entity(f, r, c->entity);
			fputc(',', f);
			put_text(f, c->metric);
			fprintf(f, ",%.9g\n", (double)c->value[w]);
		}
	}
}

static void put_slos(FILE *f, const struct recording *r)
{
	fputs("entity,metric,target\n", f);
	for (size_t i = 0; i < r->slos; i++) {
		put_entity(f, r, r->slo[i].entity);
		fputc(',', f);
		put_text(f, r->slo[i].metric);
		fputc(',', f);
		put_number(f, r->slo[i].target);
		fputc('\n', f);
	}
}

static void put_placement(FILE *f, const struct recording *r)
{
	fputs("service,host\n", f);
	for (uint32_t i = 0; i < r->graph.entities; i++) {
		const struct entity *e = &r->graph.entity[i];

		if (e->kind != ENTITY_SERVICE || e->host == GRAPH_NONE)
			continue;
		put_text(f, e->name);
		fputc(',', f);
		put_entity(f, r, e->host);
		fputc('\n', f);
	}
}

static void put_truth(FILE *f, const struct recording *r)
{
	fputs("from,to,entity,resource\n", f);
	for (size_t i = 0; i < r->truths; i++) {
		put_number(f, r->truth[i].from_s);
		fputc(',', f);
		put_number(f, r->truth[i].to_s);
		fputc(',', f);
		put_text(f, r->truth[i].service);
		fprintf(f, ",%s\n", resource_name(r->truth[i].resource));
	}
}

static bool has_placement(const struct recording *r)
{
	for (uint32_t i = 0; i < r->graph.entities; i++)
		if (r->graph.entity[i].host != GRAPH_NONE)
			return true;
	return false;
}

static int write_file(const struct recording *r, const char *dir, const char *name, content put)
{
	char path[4096], fresh[4096];
	int error = 0;
	FILE *f;

	if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path) ||
		snprintf(fresh, sizeof(fresh), "%s/.%s.new", dir, name) >= (int)sizeof(fresh))
		return -ENAMETOOLONG;
	f = fopen(fresh, "we");
	if (!f)
		return -errno;
	put(f, r);
	if (ferror(f) || fflush(f) || fsync(fileno(f)))
		error = errno ? -errno : -EIO;
	if (fclose(f) && !error)
		error = -errno;
	if (!error && rename(fresh, path))
		error = -errno;
	if (error)
		unlink(fresh);
	return error;
}

static int remove_file(const char *dir, const char *name)
{
	char path[4096];

	if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	return unlink(path) && errno != ENOENT ? -errno : 0;
}

int recording_write(const struct recording *r, const char *dir, char *why, size_t why_size)
{
	const struct {
		const char *name;
		content put; /* NULL: this recording has none, and an older one's must go */
	} files[] = {
		{"graph.csv", put_graph},
		{"metrics.csv", put_metrics},
		{"metrics.csv.gz", NULL},
		{"slo.csv", put_slos},
		{"placement.csv", has_placement(r) ? put_placement : NULL},
		{"truth.csv", r->truths ? put_truth : NULL},
	};

	if (mkdir(dir, 0777) && errno != EEXIST) {
		int error = -errno;

		snprintf(why, why_size, "%s: cannot be made: %s", dir, strerror(-error));
		return error;
	}
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		int error = files[i].put ? write_file(r, dir, files[i].name, files[i].put)
					 : remove_file(dir, files[i].name);

		if (error) {
			snprintf(why, why_size, "%s/%s: cannot be written: %s", dir, files[i].name,
				strerror(-error));
			return error;
		}
	}
	return 0;
}
