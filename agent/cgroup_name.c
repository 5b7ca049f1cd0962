#include "agent/cgroup_name.h"

#include <ctype.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#define SHORT_ID 12 /* characters of a container id shown, as docker does */

struct part {
	const char *text;
	size_t length;
};

/* Cut the first component off a path. False at its end. */
static bool next_part(const char **path, struct part *part)
{
	*path += strspn(*path, "/");
	part->text = *path;
	part->length = strcspn(*path, "/");
	*path += part->length;
	return part->length > 0;
}

static bool part_is(const struct part *p, const char *text)
{
	return p->length == strlen(text) && !memcmp(p->text, text, p->length);
}

static bool part_starts(const struct part *p, const char *text)
{
	return p->length > strlen(text) && !memcmp(p->text, text, strlen(text));
}

static bool part_ends(const struct part *p, const char *text)
{
	size_t n = strlen(text);

	return p->length > n && !memcmp(p->text + p->length - n, text, n);
}

static bool part_copy(const struct part *p, char to[WIRE_NAME])
{
	if (p->length >= WIRE_NAME)
		return false;
	memcpy(to, p->text, p->length);
	to[p->length] = 0;
	return true;
}

/* ---- rules of the user ------------------------------------------------ */

int cgroup_rules_add(struct cgroup_rules *r, const char *pattern, const char **why)
{
	const char *rest = pattern;
	unsigned services = 0, containers = 0;
	struct part p;

	if (r->count == CGROUP_RULES) {
		*why = "too many rules";
		return -ENOSPC;
	}
	if (pattern[0] != '/') {
		*why = "it must start with '/'";
		return -EINVAL;
	}
	while (next_part(&rest, &p)) {
		services += part_is(&p, "{service}");
		containers += part_is(&p, "{container}");
		if (part_is(&p, "{service}") || part_is(&p, "{container}"))
			continue;
		if (memchr(p.text, '{', p.length) || memchr(p.text, '}', p.length) ||
			p.length >= WIRE_NAME) {
			*why = "a placeholder, {service} or {container}, must be a whole component";
			return -EINVAL;
		}
	}
	if (services != 1 || containers > 1) {
		*why = "it needs {service} once and {container} at most once";
		return -EINVAL;
	}
	r->pattern[r->count++] = pattern;
	return 0;
}

static bool matches_literal(const struct part *pattern, const struct part *part)
{
	char p[WIRE_NAME], text[WIRE_NAME];

	return part_copy(pattern, p) && part_copy(part, text) && !fnmatch(p, text, FNM_NOESCAPE);
}

static void set_group(struct cgroup_name *name, const char *path, bool shared)
{
	const char *slash = strrchr(path, '/');
	size_t length = shared && slash > path ? (size_t)(slash - path) : strlen(path);

	snprintf(name->group, sizeof(name->group), "%.*s", (int)length, path);
}

static bool match_rule(const char *pattern, const char *path, struct cgroup_name *name)
{
	const char *p = pattern, *t = path;
	struct cgroup_name found = {0};
	struct part want, have;
	bool shared = false;

	while (next_part(&p, &want)) {
		if (!next_part(&t, &have))
			return false;
		shared = false;
		if (part_is(&want, "{service}")) {
			if (!part_copy(&have, found.service))
				return false;
		} else if (part_is(&want, "{container}")) {
			shared = found.service[0];
			if (!part_copy(&have, found.container))
				return false;
		} else if (!matches_literal(&want, &have)) {
			return false;
		}
	}
	if (next_part(&t, &have))
		return false;
	if (!found.container[0])
		memcpy(found.container, found.service, WIRE_NAME);
	set_group(&found, path, shared);
	*name = found;
	return true;
}

/* ---- layouts ------------------------------------------------------------ */

static bool is_id(const char *text, size_t length)
{
	if (length != 64)
		return false;
	for (size_t i = 0; i < length; i++) {
		if (!isxdigit((unsigned char)text[i]))
			return false;
	}
	return true;
}

/* "cri-containerd-<id>.scope", "<id>", "cri-containerd:..:<id>": where the id starts, or NULL. */
static const char *find_id(const struct part *last)
{
	size_t length = last->length;

	if (part_ends(last, ".scope"))
		length -= strlen(".scope");
	if (length < 64 || !is_id(last->text + length - 64, 64))
		return NULL;
	if (length > 64 && !strchr("-:", last->text[length - 65]))
		return NULL;
	return last->text + length - 64;
}

/* The helper of a runtime beside its container: not a container of the user's. */
static bool is_monitor(const struct part *last)
{
	return part_starts(last, "crio-conmon-") || part_starts(last, "libpod-conmon-");
}

/*
 * "pod<uid>" (cgroupfs) or "kubepods[-class]-pod<uid>.slice" (systemd, where the
 * dashes of the uid became underscores). Gives the first eight characters.
 */
static bool find_pod(const struct part *parent, char uid[9])
{
	const char *at = NULL, *end = parent->text + parent->length;

	if (part_starts(parent, "pod"))
		at = parent->text + strlen("pod");
	for (const char *c = parent->text; !at && c + 4 < end; c++) {
		if (!memcmp(c, "-pod", 4))
			at = c + 4;
	}
	if (!at || end - at < 8)
		return false;
	for (int i = 0; i < 8; i++) {
		if (!isxdigit((unsigned char)at[i]))
			return false;
	}
	memcpy(uid, at, 8);
	uid[8] = 0;
	return true;
}

static bool match_container(const struct part *last, const struct part *parent, const char *path,
	struct cgroup_name *name)
{
	const char *id = find_id(last);
	struct cgroup_name found = {0};
	char uid[9];

	if (!id || is_monitor(last))
		return false;
	snprintf(found.container, sizeof(found.container), "%.*s", SHORT_ID, id);
	if (find_pod(parent, uid)) {
		snprintf(found.service, sizeof(found.service), "pod-%s", uid);
		set_group(&found, path, true);
	} else {
		memcpy(found.service, found.container, WIRE_NAME);
		set_group(&found, path, part_starts(parent, "machine-libpod_pod_"));
	}
	*name = found;
	return true;
}

static bool match_unit(const struct part *first, const struct part *last, const char *path,
	struct cgroup_name *name)
{
	struct cgroup_name found = {0};
	struct part unit = *last;

	if (!part_is(first, "system.slice") || !part_ends(last, ".service"))
		return false;
	unit.length -= strlen(".service");
	if (!part_copy(&unit, found.service))
		return false;
	memcpy(found.container, found.service, WIRE_NAME);
	set_group(&found, path, false);
	*name = found;
	return true;
}

bool cgroup_name_parse(const struct cgroup_rules *r, const char *path, struct cgroup_name *name)
{
	struct part first = {"", 0}, parent = {"", 0}, last = {"", 0}, p;
	const char *rest = path;

	if (strlen(path) >= WIRE_PATH)
		return false;
	for (size_t i = 0; i < r->count; i++) {
		if (match_rule(r->pattern[i], path, name))
			return true;
	}
	while (next_part(&rest, &p)) {
		if (!first.length)
			first = p;
		parent = last;
		last = p;
	}
	return match_container(&last, &parent, path, name) || match_unit(&first, &last, path, name);
}
