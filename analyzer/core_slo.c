/* Targets: kept in the store, set by file, by hand or by proposal. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/core.h"
#include "common/clock.h"
#include "common/log.h"

int core_set_slo(struct core *c, const struct slo_text *s)
{
	size_t before = c->live.recording.slos;
	int err = slo_set(&c->live.recording, s);
	json_t *all;

	if (err)
		return err;
	if (c->live.recording.slos > before)
		incident_watch_init(&c->watch[before]);
	all = slo_to_json(&c->live.recording);
	err = all ? store_put(c->store, "slos", 1, clock_wall_s(), all) : -ENOMEM;
	json_decref(all);
	return err;
}

int core_want_slo(struct core *c, const struct slo_text *s)
{
	if (c->wanted_slos == CORE_WANTED)
		return -EAGAIN;
	c->wanted_slo[c->wanted_slos++] = *s;
	core_nudge(c);
	return 0;
}

void core_take_slos(struct core *c)
{
	core_lock(c);
	for (size_t i = 0; i < c->wanted_slos; i++) {
		int err = core_set_slo(c, &c->wanted_slo[i]);

		if (err)
			log_error("target of %s not set: %s", c->wanted_slo[i].entity,
				strerror(-err));
	}
	c->wanted_slos = 0;
	core_unlock(c);
}

int core_restore_slos(struct core *c)
{
	json_t *all = store_get(c->store, "slos", 1);
	int err = slo_from_json(&c->live.recording, all);

	for (size_t i = 0; i < c->live.recording.slos; i++)
		incident_watch_init(&c->watch[i]);
	json_decref(all);
	return err;
}

int core_read_slo_file(struct core *c, char *why, size_t why_size)
{
	struct slo_text *text = NULL;
	long n = c->options.slo_file ? slo_read(c->options.slo_file, &text, why, why_size) : 0;
	int err = n < 0 ? (int)n : 0;

	for (long i = 0; i < n && !err; i++)
		err = core_set_slo(c, &text[i]);
	if (n >= 0 && err)
		snprintf(why, why_size, "%s: targets not set: %s", c->options.slo_file,
			strerror(-err));
	free(text);
	return err;
}
