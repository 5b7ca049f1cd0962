#include "tests/testbed/topology.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const kind_name[KINDS] = {
	"tier",
	"nginx",
	"redis",
	"memcached",
	"postgresql",
};

static const char *const protocol_name[PROTOCOLS] = {
	"http",
	"thrift",
	"redis",
	"memcached",
	"postgresql",
};

static const struct {
	enum service_protocol protocol;
	unsigned port;
} kind_default[KINDS] = {
	[KIND_TIER] = {PROTOCOL_THRIFT, 9090},
	[KIND_NGINX] = {PROTOCOL_HTTP, 8080},
	[KIND_REDIS] = {PROTOCOL_REDIS, 6379},
	[KIND_MEMCACHED] = {PROTOCOL_MEMCACHED, 11211},
	[KIND_POSTGRESQL] = {PROTOCOL_POSTGRESQL, 5432},
};

struct number_key {
	const char *key;
	size_t offset;
	double low, high;
};

static const struct number_key load_key[] = {
	{"rate", offsetof(struct topology, rate), 0.1, 100000},
	{"swing", offsetof(struct topology, swing), 0, 0.9},
	{"period_s", offsetof(struct topology, period_s), 1, 86400},
	{"noise", offsetof(struct topology, noise), 0, 0.5},
	{"connections", offsetof(struct topology, connections), 1, 4096},
	{NULL, 0, 0, 0},
};

static const struct number_key service_key[] = {
	{"cpu_us", offsetof(struct service, cpu_us), 0, 1e6},
	{"work_mb", offsetof(struct service, work_mb), 0, 4096},
	{"pages", offsetof(struct service, pages), 0, 10000},
	{"reads", offsetof(struct service, reads), 0, 1000},
	{"reply_bytes", offsetof(struct service, reply_bytes), 1, 65536},
	{"pool", offsetof(struct service, pool), 1, 256},
	{"quota", offsetof(struct service, quota), 0.01, 64},
	{"memory_mb", offsetof(struct service, memory_mb), 16, 65536},
	{NULL, 0, 0, 0},
};

static const struct number_key call_key[] = {
	{"pick", offsetof(struct service_call, pick), 0, 1e6},
	{"chance", offsetof(struct service_call, chance), 0, 1},
	{NULL, 0, 0, 0},
};

/* What went wrong in the line at hand; the caller adds file and line. */
struct complaint {
	char text[160];
};

static int complain(struct complaint *c, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(c->text, sizeof(c->text), format, args);
	va_end(args);
	return -EINVAL;
}

static int name_index(const char *const *names, int count, const char *name)
{
	for (int i = 0; i < count; i++)
		if (!strcmp(names[i], name))
			return i;
	return -1;
}

static int set_number(struct complaint *c, const struct number_key *keys, void *object,
	const char *key, const char *value)
{
	for (const struct number_key *k = keys; k->key; k++) {
		char *end;
		double v;

		if (strcmp(k->key, key))
			continue;
		v = strtod(value, &end);
		if (end == value || *end || !(v >= k->low && v <= k->high))
			return complain(c, "%s=%s: a number from %g to %g is wanted", key, value,
				k->low, k->high);
		*(double *)((char *)object + k->offset) = v;
		return 0;
	}
	return complain(c, "unknown key '%s'", key);
}

/* The next word of the line cut at its '='; 1 = there was one, 0 = end of line. */
static int next_pair(struct complaint *c, char **rest, char **key, char **value)
{
	char *word = strtok_r(NULL, " \t\n", rest);

	if (!word || *word == '#')
		return 0;
	*key = word;
	*value = strchr(word, '=');
	if (!*value)
		return complain(c, "'%s': key=value is wanted", word);
	*(*value)++ = 0;
	return 1;
}

static int parse_load(struct topology *t, struct complaint *c, char **rest)
{
	char *key, *value;
	int err;

	while ((err = next_pair(c, rest, &key, &value)) > 0) {
		err = set_number(c, load_key, t, key, value);
		if (err)
			return err;
	}
	return err;
}

static int set_service_word(
	struct service *s, struct complaint *c, const char *key, const char *value)
{
	int i;

	if (!strcmp(key, "kind")) {
		i = name_index(kind_name, KINDS, value);
		if (i < 0)
			return complain(c, "kind=%s: no such kind of service", value);
		s->kind = (enum service_kind)i;
		s->protocol = kind_default[i].protocol;
		s->port = kind_default[i].port;
		return 0;
	}
	if (!strcmp(key, "protocol")) {
		i = name_index(protocol_name, PROTOCOLS, value);
		if (s->kind != KIND_TIER || (i != PROTOCOL_HTTP && i != PROTOCOL_THRIFT))
			return complain(c, "protocol=%s: a tier speaks http or thrift", value);
		s->protocol = (enum service_protocol)i;
		return 0;
	}
	return set_number(c, service_key, s, key, value);
}

static int parse_service(struct topology *t, struct complaint *c, char **rest)
{
	const char *name = strtok_r(NULL, " \t\n", rest);
	struct service *s = &t->service[t->services];
	char *key, *value;
	int err;

	if (!name || strlen(name) >= sizeof(s->name) || strpbrk(name, "/.="))
		return complain(
			c, "a service needs a name of at most %zu letters", sizeof(s->name) - 1);
	if (t->services == TOPOLOGY_SERVICES)
		return complain(c, "more than %d services", TOPOLOGY_SERVICES);
	if (topology_find(t, name))
		return complain(c, "service %s is there twice", name);
	*s = (struct service){
		.kind = KIND_TIER,
		.protocol = kind_default[KIND_TIER].protocol,
		.port = kind_default[KIND_TIER].port,
		.reply_bytes = 512,
		.pool = 64,
		.quota = 0.4,
		.memory_mb = 128,
	};
	strcpy(s->name, name);
	while ((err = next_pair(c, rest, &key, &value)) > 0) {
		err = set_service_word(s, c, key, value);
		if (err)
			return err;
	}
	if (!err)
		t->services++;
	return err;
}

static int parse_call(struct topology *t, struct complaint *c, char **rest)
{
	const char *from = strtok_r(NULL, " \t\n", rest);
	const char *to = strtok_r(NULL, " \t\n", rest);
	const struct service *callee = to ? topology_find(t, to) : NULL;
	struct service *caller = from ? (struct service *)topology_find(t, from) : NULL;
	struct service_call *call;
	char *key, *value;
	int err;

	if (!caller || !callee)
		return complain(c, "call %s %s: both must be services named above",
			from ? from : "", to ? to : "");
	if (caller->calls == TOPOLOGY_CALLS)
		return complain(c, "%s calls more than %d others", from, TOPOLOGY_CALLS);
	call = &caller->call[caller->calls];
	*call = (struct service_call){.callee = topology_index(t, callee), .chance = 1};
	while ((err = next_pair(c, rest, &key, &value)) > 0) {
		if (!strcmp(key, "step")) {
			char *end;
			unsigned long step = strtoul(value, &end, 10);

			if (end == value || *end || step > TOPOLOGY_CALLS)
				return complain(c, "step=%s: 0 to %d", value, TOPOLOGY_CALLS);
			call->step = (unsigned)step;
			continue;
		}
		err = set_number(c, call_key, call, key, value);
		if (err)
			return err;
	}
	if (!err && caller->calls && call->step < call[-1].step)
		return complain(c, "step=%u comes after step %u", call->step, call[-1].step);
	if (!err)
		caller->calls++;
	return err;
}

static int parse_line(struct topology *t, struct complaint *c, char *line)
{
	char *rest = NULL;
	const char *word = strtok_r(line, " \t\n", &rest);

	if (!word || *word == '#')
		return 0;
	if (!strcmp(word, "load"))
		return parse_load(t, c, &rest);
	if (!strcmp(word, "service"))
		return parse_service(t, c, &rest);
	if (!strcmp(word, "call"))
		return parse_call(t, c, &rest);
	return complain(c, "'%s': load, service or call is wanted", word);
}

int topology_load(struct topology *t, const char *path, char *error, size_t error_size)
{
	struct topology read = {
		.rate = 50,
		.swing = 0,
		.period_s = 60,
		.noise = 0,
		.connections = 64,
	};
	struct complaint c = {{0}};
	char line[512];
	int number = 0, err = 0;
	FILE *f = fopen(path, "re");

	if (!f) {
		err = -errno;
		snprintf(error, error_size, "topology %s: %s", path, strerror(-err));
		return err;
	}
	while (!err && fgets(line, sizeof(line), f)) {
		number++;
		err = parse_line(&read, &c, line);
	}
	fclose(f);
	if (!err && !read.services)
		err = complain(&c, "no service in it");
	if (err) {
		snprintf(error, error_size, "topology %s:%d: %s", path, number, c.text);
		return err;
	}
	*t = read;
	return 0;
}

const struct service *topology_find(const struct topology *t, const char *name)
{
	for (size_t i = 0; i < t->services; i++)
		if (!strcmp(t->service[i].name, name))
			return &t->service[i];
	return NULL;
}
