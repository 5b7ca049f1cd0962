#include "analyzer/diagnose.h"

#include <stdio.h>
#include <string.h>

#include "analyzer/faithful.h"
#include "analyzer/guarded.h"
#include "analyzer/robust.h"
#include "analyzer/search.h"
#include "common/clock.h"

static const char *const name[METHODS] = {
	[METHOD_GUARDED] = "guarded", [METHOD_FAITHFUL] = "faithful", [METHOD_ROBUST] = "robust"};

const char *method_name(enum method m)
{
	return name[m];
}

bool method_parse(const char *text, enum method *out)
{
	for (int i = 0; i < METHODS; i++)
		if (!strcmp(text, name[i])) {
			*out = (enum method)i;
			return true;
		}
	return false;
}

/* Say that the answer was asked of a model which is not there yet. */
static void note_no_model(struct diagnosis *d)
{
	size_t used = strlen(d->why);

	snprintf(d->why + used, sizeof(d->why) - used, " (no model yet: evidence alone)");
}

int diagnose(struct diagnosis *d, const struct recording *r, const struct slo *slo, double from_s,
	double to_s, const bool *use, const struct model *m, enum method method)
{
	uint64_t start_ns = clock_monotonic_ns();
	int err;

	if (method == METHOD_FAITHFUL && (m || !search_missed(r, slo, from_s, to_s)))
		err = faithful_search(d, r, slo, from_s, to_s, use, m);
	else if (m && method == METHOD_GUARDED)
		err = guarded_search(d, r, slo, from_s, to_s, use, m);
	else
		err = robust_rank(d, r, slo, from_s, to_s, use);
	if (err)
		return err;
	if (!m && method != METHOD_ROBUST && d->verdict != VERDICT_HEALTHY)
		note_no_model(d);
	d->seconds = (double)(clock_monotonic_ns() - start_ns) / 1e9;
	return 0;
}
