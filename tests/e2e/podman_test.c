/*
 * A real podman container, run by runc from an image that holds one static program, as the
 * agent names it. Needs root, podman and runc; everything podman keeps lies in a directory of
 * the test's own.
 */
#include <setjmp.h>
#include <stdbool.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <jansson.h>

#include "common/clock.h"

#define DEADLINE_NS 30000000000ULL

static struct world {
	char directory[64], name[32], podman[256];
	pid_t agent;
	char output[65536]; /* of the last command */
} world;

static int run(struct world *w, const char *command)
{
	FILE *f = popen(command, "re");
	size_t n;

	assert_non_null(f);
	n = fread(w->output, 1, sizeof(w->output) - 1, f);
	w->output[n] = 0;
	return pclose(f);
}

static int podman(struct world *w, const char *arguments)
{
	char command[1024];

	snprintf(command, sizeof(command), "%s %s 2>&1", w->podman, arguments);
	return run(w, command);
}

static int make_image(struct world *w)
{
	char command[1024];

	snprintf(command, sizeof(command),
		"mkdir %s/image && cp %s %s/image/idle && "
		"printf 'FROM scratch\\nCOPY idle /idle\\nCMD [\"/idle\"]\\n' >%s/image/Dockerfile",
		w->directory, SAGE_IDLE, w->directory, w->directory);
	if (run(w, command))
		return -1;
	snprintf(command, sizeof(command), "build -q -t sage-idle %s/image", w->directory);
	return podman(w, command);
}

/* runc, as crun refuses a hybrid hierarchy; limits that also an unprivileged parent may set. */
static int start_container(struct world *w)
{
	char command[512];

	snprintf(command, sizeof(command),
		"run -d --name %s --runtime runc --ulimit nofile=1024:1024 "
		"--ulimit nproc=1024:1024 --network none sage-idle",
		w->name);
	return podman(w, command);
}

static pid_t start_agent(const struct world *w)
{
	char log[128], socket_path[128], state[128];
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(log, sizeof(log), "%s/log", w->directory);
	snprintf(socket_path, sizeof(socket_path), "%s/socket", w->directory);
	snprintf(state, sizeof(state), "%s/state", w->directory);
	if (!freopen(log, "w", stderr))
		_exit(126);
	execl(SAGE_AGENT, SAGE_AGENT, "run", "--control", socket_path, "--state", state,
		"--interval-ms", "200", (char *)NULL);
	_exit(127);
}

/* The container by its name, a new reference; NULL when the agent does not list it. */
static json_t *listed(struct world *w)
{
	char command[512];
	json_error_t error;
	json_t *all, *c, *found = NULL;
	size_t i;

	snprintf(command, sizeof(command), "%s containers --json --control %s/socket 2>/dev/null",
		SAGE_AGENT, w->directory);
	run(w, command);
	all = json_loads(w->output, 0, &error);
	json_array_foreach(all, i, c)
	{
		if (!strcmp(json_string_value(json_object_get(c, "service")), w->name))
			found = json_incref(c);
	}
	json_decref(all);
	return found;
}

static json_t *await_listed(struct world *w, bool wanted)
{
	uint64_t end = clock_monotonic_ns() + DEADLINE_NS;
	json_t *c = listed(w);

	while ((c != NULL) != wanted && clock_monotonic_ns() < end) {
		json_decref(c);
		poll(NULL, 0, 100);
		c = listed(w);
	}
	return c;
}

static void a_container_goes_by_the_name_it_was_given(void **state)
{
	struct world *w = *state;
	char command[64];
	json_t *c;

	if (start_container(w))
		fail_msg("podman: %s", w->output);
	c = await_listed(w, true);
	assert_non_null(c);
	assert_string_equal(json_string_value(json_object_get(c, "container")), w->name);
	assert_non_null(strstr(json_string_value(json_object_get(c, "path")), "/libpod-"));
	assert_true(
		json_number_value(json_object_get(json_object_get(c, "metrics"), "mem_bytes")) > 0);
	json_decref(c);
	snprintf(command, sizeof(command), "rm -f -t 1 %s", w->name);
	assert_int_equal(podman(w, command), 0);
	assert_null(await_listed(w, false));
}

static int set_up(void **state)
{
	*state = &world;
	world.agent = start_agent(&world);
	return world.agent < 0;
}

static int remove_directory(struct world *w)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %.60s", w->directory);
	return system(command);
}

static int tear_down(void **state)
{
	struct world *w = *state;

	kill(w->agent, SIGKILL);
	waitpid(w->agent, NULL, 0);
	podman(w, "rm -f -a -t 0");
	podman(w, "rmi -f -a");
	return remove_directory(w);
}

/* Why there can be no container here, NULL when there can. */
static const char *cannot(struct world *w)
{
	if (geteuid())
		return "needs root";
	if (system("command -v podman runc >/dev/null"))
		return "needs podman and runc";
	if (make_image(w) || start_container(w))
		return w->output;
	podman(w, "rm -f -a -t 0");
	return NULL;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_container_goes_by_the_name_it_was_given),
	};
	struct world *w = &world;
	const char *why;

	snprintf(w->directory, sizeof(w->directory), "/tmp/sage-podman-%d", getpid());
	snprintf(w->name, sizeof(w->name), "sage-cart-%d", getpid());
	snprintf(w->podman, sizeof(w->podman),
		"podman --root %.60s/root --runroot %.60s/run --storage-driver vfs", w->directory,
		w->directory);
	if (mkdir(w->directory, 0700)) {
		perror(w->directory);
		return 1;
	}
	why = cannot(w);
	if (why) {
		printf("skipped: %s\n", why);
		return remove_directory(w) ? 1 : 77;
	}
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
