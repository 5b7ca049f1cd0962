/* What runs in a container that holds nothing else: it waits to be told to end. */
#include <signal.h>
#include <unistd.h>

static void end(int number)
{
	(void)number;
	_exit(0);
}

int main(void)
{
	signal(SIGTERM, end); /* process 1 has no default action */
	for (;;)
		pause();
}
