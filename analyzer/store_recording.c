#include "analyzer/store_recording.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "analyzer/slo.h"
#include "analyzer/store.h"

static int read_all(struct store *s, struct recording *r, double from_s, double to_s)
{
	json_t *window = store_get(s, "window", 1), *slos = store_get(s, "slos", 1);
	int err = store_rows(s, r, from_s, to_s, SIZE_MAX);

	r->series.window_s = json_number_value(window);
	if (!err)
		err = slo_from_json(r, slos);
	json_decref(window);
	json_decref(slos);
	return err;
}

int store_recording(struct recording *r, const char *dir, double from_s, double to_s, char *why,
	size_t why_size)
{
	struct recording fresh;
	char path[PATH_MAX];
	struct store *s;
	int err;

	/* store_open() would make what is not there */
	if (snprintf(path, sizeof(path), "%s/sage.db", dir) >= (int)sizeof(path))
		err = -ENAMETOOLONG;
	else
		err = access(path, R_OK | W_OK) ? -errno : 0;
	if (err) {
		snprintf(why, why_size, "%s/sage.db: %s; give the directory that serve --data had",
			dir, strerror(-err));
		return err;
	}
	err = store_open(&s, dir, why, why_size);
	if (err == -EBUSY)
		snprintf(why, why_size, "%s: its analyzer is running; ask it with --url", dir);
	if (err)
		return err;
	recording_init(&fresh);
	err = read_all(s, &fresh, from_s, to_s);
	store_close(s);
	if (err) {
		snprintf(why, why_size, "%s: cannot be read: %s", dir, strerror(-err));
		recording_clear(&fresh);
		return err;
	}
	*r = fresh;
	return 0;
}
