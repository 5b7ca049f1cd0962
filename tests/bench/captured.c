#include "tests/bench/captured.h"

#include <stdbool.h>
#include <string.h>

#include "agent/control.h"

void captured_init(struct captured *c, const char *control, const char *service)
{
	*c = (struct captured){.control = control, .service = service};
	captured_read(c);
	c->calls = 0;
}

static bool is_text(const json_t *object, const char *key, const char *text)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value && !strcmp(value, text);
}

void captured_read(struct captured *c)
{
	json_t *window, *edge;
	double time_s;
	size_t i;

	if (control_ask(c->control, "window", &window))
		return;
	time_s = json_number_value(json_object_get(window, "time"));
	if (time_s > c->time_s) {
		c->time_s = time_s;
		c->windows++;
		json_array_foreach(json_object_get(window, "edges"), i,
			edge) if (is_text(edge, "service", c->service) &&
				  is_text(edge, "side", "server")) c->calls +=
			(uint64_t)json_integer_value(json_object_get(edge, "calls"));
	}
	json_decref(window);
}

json_t *captured_losses(const char *control)
{
	json_t *status, *count, *losses = json_object();
	const char *cause;

	if (control_ask(control, "status", &status))
		return losses;
	json_object_foreach(json_object_get(status, "losses"), cause,
		count) if (json_integer_value(count)) json_object_set(losses, cause, count);
	json_decref(status);
	return losses;
}
