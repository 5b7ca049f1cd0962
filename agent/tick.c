#include "agent/tick.h"

#include <errno.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "common/clock.h"

static struct timespec timespec_of(uint64_t ns)
{
	return (struct timespec){
		.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)};
}

static int arm(struct tick *t)
{
	uint64_t next_ns = (clock_wall_ns() / t->interval_ns + 1) * t->interval_ns;
	struct itimerspec when = {
		.it_value = timespec_of(next_ns), .it_interval = timespec_of(t->interval_ns)};

	if (timerfd_settime(t->fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &when, NULL))
		return -errno;
	return 0;
}

int tick_open(struct tick *t, unsigned interval_ms)
{
	int err;

	t->interval_ns = interval_ms * 1000000ULL;
	t->fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	if (t->fd < 0)
		return -errno;
	err = arm(t);
	if (err)
		tick_close(t);
	return err;
}

int tick_fd(const struct tick *t)
{
	return t->fd;
}

uint64_t tick_read(struct tick *t, uint64_t *at_ns)
{
	uint64_t passed = 0;

	if (read(t->fd, &passed, sizeof(passed)) != sizeof(passed)) {
		if (errno == ECANCELED) /* somebody set the clock */
			arm(t);
		return 0;
	}
	*at_ns = clock_wall_ns() / t->interval_ns * t->interval_ns;
	return passed;
}

void tick_close(struct tick *t)
{
	if (t->fd >= 0)
		close(t->fd);
	t->fd = -1;
}
