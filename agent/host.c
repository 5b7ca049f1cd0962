#include "agent/host.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/rate.h"
#include "agent/text.h"

#define SECTOR_BYTES 512 /* of diskstats, whatever the disk's own are */

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
	h->load = open_proc("/proc/loadavg");
	h->psi[0] = open_proc("/proc/pressure/cpu");
	h->psi[1] = open_proc("/proc/pressure/memory");
	h->psi[2] = open_proc("/proc/pressure/io");
	h->net = open_proc("/proc/1/net/dev"); /* the host's, also from inside a pod with hostPID */
	if (h->net < 0)
		h->net = open_proc("/proc/self/net/dev");
}

static void read_cpu(struct host *h, float *metric)
{
	unsigned long long t[8] = {0};
	uint64_t all = 0, busy, steal;

	if (text_pread(h->stat, text, sizeof(text)) <= 0 ||
		sscanf(text, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &t[0], &t[1], &t[2],
			&t[3], &t[4], &t[5], &t[6], &t[7]) < 5)
		return;
	for (int i = 0; i < 8; i++)
		all += t[i];
	busy = all - t[3] - t[4]; /* less idle and iowait */
	steal = t[7];
	if (h->primed && all > h->cpu_all) {
		double elapsed = (double)(all - h->cpu_all);

		if (busy >= h->cpu_busy)
			metric[HOST_CPU_UTIL] = (float)((double)(busy - h->cpu_busy) / elapsed);
		if (steal >= h->cpu_steal)
			metric[HOST_CPU_STEAL] = (float)((double)(steal - h->cpu_steal) / elapsed);
	}
	h->cpu_busy = busy;
	h->cpu_steal = steal;
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

/* A whole disk with hardware behind it, not a partition and not a mapping onto others. */
static bool is_physical(const char *name)
{
	char path[96];

	snprintf(path, sizeof(path), "/sys/block/%s/device", name);
	return !access(path, F_OK);
}

/* A device in the table, `now` on first sight; NULL when the table is full. */
static struct host_disk *find_disk(struct host *h, const struct host_disk *now, const char *name)
{
	for (unsigned i = 0; i < h->disks; i++) {
		if (h->disk[i].device == now->device)
			return &h->disk[i];
	}
	if (h->disks == HOST_DISKS)
		return NULL;
	h->disk[h->disks] = *now;
	h->disk[h->disks].physical = is_physical(name);
	return &h->disk[h->disks++];
}

/* "254 0 vda READS MERGED SECTORS MS WRITES MERGED SECTORS MS UNDER-WAY BUSY-MS ..." */
static bool parse_disk(const char *line, struct host_disk *out, char name[32])
{
	unsigned long long major, minor, read, written, busy;

	if (sscanf(line, "%llu %llu %31s %*u %*u %llu %*u %*u %*u %llu %*u %*u %llu", &major,
		    &minor, name, &read, &written, &busy) != 6)
		return false;
	*out = (struct host_disk){.device = major << 32 | minor,
		.busy_ms = busy,
		.read_sectors = read,
		.written_sectors = written};
	return true;
}

static void read_disks(struct host *h, uint64_t elapsed_ns, float *metric)
{
	uint64_t read = 0, written = 0;
	double busiest = -1;

	if (text_pread(h->diskstats, text, sizeof(text)) <= 0)
		return;
	for (const char *line = text; line; line = text_next_line(line)) {
		struct host_disk now, *last;
		char name[32];

		if (!parse_disk(line, &now, name))
			continue;
		last = find_disk(h, &now, name);
		if (!last)
			continue;
		busiest = fmax(busiest,
			(double)rate_grown(&last->busy_ms, now.busy_ms) * 1e6 / (double)elapsed_ns);
		now.read_sectors = rate_grown(&last->read_sectors, now.read_sectors);
		now.written_sectors = rate_grown(&last->written_sectors, now.written_sectors);
		read += last->physical ? now.read_sectors : 0;
		written += last->physical ? now.written_sectors : 0;
	}
	if (!h->primed || busiest < 0)
		return;
	metric[HOST_BLK_UTIL] = (float)fmin(1, busiest);
	metric[HOST_BLK_READ_BYTES] = rate_per_second(read * SECTOR_BYTES, elapsed_ns);
	metric[HOST_BLK_WRITE_BYTES] = rate_per_second(written * SECTOR_BYTES, elapsed_ns);
}

static void read_load(const struct host *h, float *metric)
{
	float load;

	if (text_pread(h->load, text, sizeof(text)) > 0 && sscanf(text, "%f", &load) == 1)
		metric[HOST_CPU_LOAD] = load;
}

static void read_psi(struct host *h, uint64_t elapsed_ns, float *metric)
{
	for (int i = 0; i < 3; i++) {
		uint64_t us;

		if (text_pread(h->psi[i], text, sizeof(text)) <= 0 || !text_psi_us(text, &us))
			continue;
		us = rate_grown(&h->psi_us[i], us);
		if (h->primed)
			metric[HOST_PSI_CPU + i] = rate_share_us(us, elapsed_ns);
	}
}

static void read_net(struct host *h, uint64_t elapsed_ns, float *metric)
{
	uint64_t rx, tx;

	if (text_pread(h->net, text, sizeof(text)) <= 0 || !text_net_bytes(text, &rx, &tx))
		return;
	if (h->primed && rx >= h->rx && tx >= h->tx) {
		metric[HOST_NET_RX_BYTES] = rate_per_second(rx - h->rx, elapsed_ns);
		metric[HOST_NET_TX_BYTES] = rate_per_second(tx - h->tx, elapsed_ns);
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
	read_load(h, metric);
	read_psi(h, elapsed_ns, metric);
	h->read_ns = now_ns;
	h->primed = true;
}

void host_close(struct host *h)
{
	int fd[] = {h->stat, h->meminfo, h->diskstats, h->net, h->load, h->psi[0], h->psi[1],
		h->psi[2]};

	for (size_t i = 0; i < sizeof(fd) / sizeof(*fd); i++) {
		if (fd[i] > 0)
			close(fd[i]);
	}
	memset(h, 0, sizeof(*h));
}
