#include "agent/sched.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/probe.h"
#include "agent/text.h"
#include "common/log.h"

PROBE_OBJECT(sched);

struct sched {
	struct probe *probe;
	int counters;  /* map */
	unsigned cpus; /* possible ones: a per-CPU value has one element for each */
	int reclaim;
	struct sched_counters *value; /* [cpus] */
};

/* "0-63" or "0,2-7": one more than the last number. */
static unsigned possible_cpus(void)
{
	char text[256];
	uint64_t last = 0;
	size_t at;

	if (text_read("/sys/devices/system/cpu/possible", text, sizeof(text)) <= 0)
		return 1;
	for (at = strlen(text); at && !strchr("-,", text[at - 1]); at--)
		;
	text_u64(text + at, &last);
	return (unsigned)last + 1;
}

/* Reclaim is an extra: without its tracepoints the rest goes on. */
static void choose_reclaim(struct sched *s)
{
	s->reclaim = probe_kernel_has_tracepoint("mm_vmscan_memcg_reclaim_end") &&
		     probe_kernel_has_tracepoint("mm_vmscan_direct_reclaim_end");
	if (s->reclaim)
		return;
	probe_skip(s->probe, "memcg_reclaimed");
	probe_skip(s->probe, "direct_reclaimed");
}

static int load(struct sched *s, int subsys, uint32_t max_cgroups)
{
	int err = probe_open(&s->probe, "sched", sched_bpf, sched_bpf_end);

	if (err)
		return err;
	err = probe_set(s->probe, "cgroup_subsys", &subsys, sizeof(subsys));
	if (!err)
		err = probe_resize(s->probe, "counters", max_cgroups);
	if (err)
		return err;
	choose_reclaim(s);
	err = probe_load(s->probe);
	if (err)
		return err;
	s->counters = probe_map(s->probe, "counters");
	return s->counters < 0 ? s->counters : probe_attach(s->probe);
}

int sched_open(struct sched **out, int subsys, uint32_t max_cgroups)
{
	struct sched *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	s->cpus = possible_cpus();
	s->value = calloc(s->cpus, sizeof(*s->value));
	err = s->value ? load(s, subsys, max_cgroups) : -ENOMEM;
	if (err) {
		log_warning("probe sched: not loaded: %s%s%s; run-queue and I/O wait are absent",
			strerror(-err), s->probe && *probe_refusal(s->probe) ? ": " : "",
			s->probe ? probe_refusal(s->probe) : "");
		sched_close(s);
		return err;
	}
	*out = s;
	return 0;
}

int sched_enter(struct sched *s, uint64_t cgroup_id)
{
	memset(s->value, 0, s->cpus * sizeof(*s->value));
	return probe_map_update(s->counters, &cgroup_id, s->value);
}

void sched_leave(struct sched *s, uint64_t cgroup_id)
{
	probe_map_delete(s->counters, &cgroup_id);
}

int sched_read(struct sched *s, uint64_t cgroup_id, struct sched_counters *out)
{
	struct sched_counters sum = {0};
	int err = probe_map_lookup(s->counters, &cgroup_id, s->value);

	if (err)
		return err;
	for (unsigned i = 0; i < s->cpus; i++) {
		sum.runq_ns += s->value[i].runq_ns;
		sum.iowait_ns += s->value[i].iowait_ns;
		sum.switches += s->value[i].switches;
		sum.reclaimed += s->value[i].reclaimed;
	}
	*out = sum;
	return 0;
}

uint64_t sched_missed(const struct sched *s)
{
	return probe_missed(s->probe);
}

int sched_sees_reclaim(const struct sched *s)
{
	return s->reclaim;
}

void sched_close(struct sched *s)
{
	if (!s)
		return;
	probe_close(s->probe);
	free(s->value);
	free(s);
}
