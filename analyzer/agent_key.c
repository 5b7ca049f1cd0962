#include "analyzer/agent_key.h"

#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"

int agent_key_read(const char *option, const char *file, struct identity_key *out)
{
	int err = identity_read(file, out);

	if (err == -EBADMSG)
		log_error("%s %s: the first line must be 64 hex digits, as `openssl rand -hex 32` "
			  "writes them",
			option, file);
	else if (err)
		log_error("%s %s: %s", option, file, strerror(-err));
	return err;
}

struct arguments {
	const char *file, *node;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		if (!a->file)
			a->file = arg;
		else if (!a->node && *arg && strlen(arg) < WIRE_NAME)
			a->node = arg;
		else
			argp_error(state, "%s: a node name of at most %d characters is needed", arg,
				WIRE_NAME - 1);
		return 0;
	case ARGP_KEY_END:
		if (!a->node)
			argp_error(state, "the master key's file and the node's name are needed");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int agent_key(int argc, char **argv)
{
	static const struct argp argp = {NULL, parse, "FILE NODE",
		"Print the key that the agent of NODE needs as --agent-key, from the master key in "
		"FILE, which `sage-analyzer serve --agents-key FILE` reads.",
		NULL, NULL, NULL};
	struct identity_key master, key;
	struct arguments a = {0};
	char hex[IDENTITY_HEX];

	if (argp_parse(&argp, argc, argv, 0, NULL, &a) ||
		agent_key_read("agent-key", a.file, &master))
		return 1;
	identity_derive(&master, a.node, &key);
	identity_print(&key, hex);
	puts(hex);
	return fflush(stdout) ? 1 : 0;
}
