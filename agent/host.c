#include "agent/host.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/text.h"

static char text[TEXT_MAX];

static int open_proc(const char *path)
{
	return open(path, O_RDONLY | O_CLOEXEC);
}

void host_open(struct host *h)
{
	memset(h, 0, sizeof(*h));
	h->stat = open_proc("/proc/stat");
	h->meminfo = open_proc("/proc/meminfo");
	h->diskstats = open_proc("/proc/diskstats");
	h->net = open_proc("/proc/1/net/dev"); /* the host's, also from inside a pod with hostPID */
	if (h->net < 0)
		h->net = open_proc("/proc/self/net/dev");
}

static void read_cpu(struct host *h, float *metric)
{
	unsigned long long t[8] = {0};
	uint64_t all = 0, busy;

	if (text_pread(h->stat, text, sizeof(text)) <= 0 ||
		sscanf(text, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &t[0], &t[1], &t[2],
			&t[3], &t[4], &t[5], &t[6], &t[7]) < 5)
		return;
	for (int i = 0; i < 8; i++)
		all += t[i];
	busy = all - t[3] - t[4]; /* less idle and iowait */
	if (h->primed && all > h->cpu_all && busy >= h->cpu_busy)
		metric[HOST_CPU_UTIL] =
			(float)((double)(busy - h->cpu_busy) / (double)(all - h->cpu_all));
	h->cpu_busy = busy;
	h->cpu_all = all;
}

static void read_memory(struct host *h, float *metric)
{
	uint64_t total, available;

	if (text_pread(h->meminfo, text, sizeof(text)) > 0 &&
		text_key_u64(text, "MemTotal:", &total) && total &&
		text_key_u64(text, "MemAvailable:", &available))
		metric[HOST_MEM_UTIL] = (float)(1 - (double)available / (double)total);
}

/* The place of a device in the table, taken on first sight; NULL when the table is full. */
static uint64_t *disk_busy(struct host *h, uint64_t device, uint64_t now)
{
	for (unsigned i = 0; i < h->disks; i++) {
		if (h->disk[i] == device)
			return &h->busy_ms[i];
	}
	if (h->disks == HOST_DISKS)
		return NULL;
	h->disk[h->disks] = device;
	h->busy_ms[h->disks] = now;
	return &h->busy_ms[h->disks++];
}

static void read_disks(struct host *h, uint64_t elapsed_ns, float *metric)
{
	double busiest = -1;

	if (text_pread(h->diskstats, text, sizeof(text)) <= 0)
		return;
	for (const char *line = text; line; line = text_next_line(line)) {
		unsigned long long major, minor, busy;
		uint64_t *last;

		if (sscanf(line, "%llu %llu %*s %*u %*u %*u %*u %*u %*u %*u %*u %*u %llu", &major,
			    &minor, &busy) != 3)
			continue;
		last = disk_busy(h, major << 32 | minor, busy);
		if (!last || busy < *last)
			continue;
		busiest = fmax(busiest, (double)(busy - *last) * 1e6 / (double)elapsed_ns);
		*last = busy;
	}
	if (h->primed && busiest >= 0)
		metric[HOST_BLK_UTIL] = (float)fmin(1, busiest);
}

static void read_net(struct host *h, uint64_t elapsed_ns, float *metric)
{
	uint64_t rx, tx;

	if (text_pread(h->net, text, sizeof(text)) <= 0 || !text_net_bytes(text, &rx, &tx))
		return;
	if (h->primed && rx >= h->rx && tx >= h->tx) {
		metric[HOST_NET_RX_BYTES] =
			(float)((double)(rx - h->rx) * 1e9 / (double)elapsed_ns);
		metric[HOST_NET_TX_BYTES] =
			(float)((double)(tx - h->tx) * 1e9 / (double)elapsed_ns);
	}
	h->rx = rx;
	h->tx = tx;
}

void host_read(struct host *h, uint64_t now_ns, float *metric)
{
	uint64_t elapsed_ns = now_ns > h->read_ns ? now_ns - h->read_ns : 1;

	for (int m = 0; m < HOST_METRICS; m++)
		metric[m] = NAN;
	read_cpu(h, metric);
	read_memory(h, metric);
	read_disks(h, elapsed_ns, metric);
	read_net(h, elapsed_ns, metric);
	h->read_ns = now_ns;
	h->primed = true;
}

void host_close(struct host *h)
{
	int fd[] = {h->stat, h->meminfo, h->diskstats, h->net};

	for (int i = 0; i < 4; i++) {
		if (fd[i] > 0)
			close(fd[i]);
	}
	memset(h, 0, sizeof(*h));
}
