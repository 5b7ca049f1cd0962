/* Actions and who may take them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/api.h"
#include "common/clock.h"

void api_actions(
	struct core *c, const struct http_request *q, const char *rest, struct http_reply *r)
{
	size_t limit = api_limit(q, r), n;
	const struct action *action;

	(void)rest;
	if (!limit)
		return;
	n = act_actions(c->act, &action);
	r->json = json_array();
	for (size_t i = n; i-- > 0 && n - i <= limit;)
		json_array_append_new(r->json, action_to_json(&action[i]));
}

void api_change_action(
	struct core *c, const struct http_request *q, const char *rest, struct http_reply *r)
{
	char *verb;
	uint64_t id = strtoull(rest, &verb, 10);
	int err;

	(void)q;
	if (verb != rest && !strcmp(verb, "/apply")) {
		err = act_apply(c->act, id, clock_wall_s());
	} else if (verb != rest && !strcmp(verb, "/undo")) {
		err = act_undo(c->act, id, clock_wall_s());
	} else {
		http_fail(r, 404, "%s: want ID/apply or ID/undo", rest);
		return;
	}
	if (err == -ENOENT)
		http_fail(r, 404, "action %llu: there is none; see /api/v1/actions",
			(unsigned long long)id);
	else if (err)
		http_fail(r, 409, "action %llu: not in a state for this: it is %s",
			(unsigned long long)id, action_state_name(act_find(c->act, id)->state));
	else
		r->json = action_to_json(act_find(c->act, id));
	core_nudge(c);
}

void api_set_mode(
	struct core *c, const struct http_request *q, const char *rest, struct http_reply *r)
{
	const char *name = json_string_value(json_object_get(q->body, "mode"));
	enum act_mode mode;

	(void)rest;
	if (!name || !act_mode_parse(name, &mode)) {
		http_fail(
			r, 400, "body: want {\"mode\": \"observe\", \"recommend\" or \"enforce\"}");
		return;
	}
	if (core_set_mode(c, mode)) {
		http_fail(r, 500, "the mode is set but could not be stored; see the log");
		return;
	}
	core_nudge(c);
	r->json = json_pack("{ss}", "mode", act_mode_name(mode));
}
