#include "tests/testbed/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static int enter_namespace(const char *name)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/run/netns/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 || setns(fd, CLONE_NEWNET) ? -errno : 0;
}

static int become(const char *user)
{
	const struct passwd *p = getpwnam(user);

	if (!p)
		return -ENOENT;
	if (initgroups(user, p->pw_gid) || setgid(p->pw_gid) || setuid(p->pw_uid))
		return -errno;
	return 0;
}

static int redirect(const struct spawn *how, int input)
{
	int log;

	if (dup2(input, STDIN_FILENO) < 0)
		return -errno;
	if (!how->log)
		return 0;
	log = open(how->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (log < 0 || dup2(log, STDOUT_FILENO) < 0 || dup2(log, STDERR_FILENO) < 0)
		return -errno;
	return 0;
}

/* In the child; only returns when it failed. */
static void become_program(const struct spawn *how, char *const argv[], int input, pid_t parent)
{
	sigset_t none;
	int err = redirect(how, input);

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (!err && how->cgroup)
		err = cgroups_join(how->cgroups, how->cgroup);
	if (!err && how->namespace)
		err = enter_namespace(how->namespace);
	if (!err && how->user)
		err = become(how->user);
	/* After the change of user, which clears it. */
	if (!err && prctl(PR_SET_PDEATHSIG, SIGTERM))
		err = -errno;
	if (getppid() != parent)
		return;
	if (!err) {
		execvp(argv[0], argv);
		err = -errno;
	}
	dprintf(STDERR_FILENO, "cannot start %s: %s\n", argv[0], strerror(-err));
}

static int open_input(const char *text)
{
	int fd;

	if (!text)
		return open("/dev/null", O_RDONLY | O_CLOEXEC);
	fd = memfd_create("input", MFD_CLOEXEC);
	if (fd < 0)
		return -1;
	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text)) {
		close(fd);
		return -1;
	}
	lseek(fd, 0, SEEK_SET);
	return fd;
}

pid_t spawn_start(const struct spawn *how, char *const argv[])
{
	pid_t parent = getpid(), child;
	int input = open_input(how->input);

	if (input < 0)
		return -errno;
	child = fork();
	if (!child) {
		become_program(how, argv, input, parent);
		_exit(127);
	}
	if (child < 0)
		child = -errno;
	close(input);
	return child;
}

int spawn_run(const struct spawn *how, char *const argv[])
{
	pid_t child = spawn_start(how, argv);
	int status;

	if (child < 0)
		return child;
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && !WEXITSTATUS(status) ? 0 : -EIO;
}
