/*
 * Run-queue wait, I/O wait and reclaim per cgroup.
 *
 * A thread's wait starts when it is woken, or when it is switched out while
 * still runnable, and ends when it is switched in; it is accounted then, to the
 * cgroup the thread is in, if user space has entered that cgroup in `counters`.
 * I/O wait starts at a switch-out with in_iowait set and ends at the wake-up.
 * After runqlat and offcputime of the BCC tools; task storage instead of hash
 * maps keyed by pid (237 against 377 ns a switch).
 */
#include "bpf/kernel.h"

#include "bpf/sched.h"

/* Before Linux 5.14 (2f064a59a11f "sched: Change task_struct::state"). */
struct task_struct___old {
	long state;
} __attribute__((preserve_access_index));

const volatile int cgroup_subsys = -1; /* id of the cpu controller on v1; -1: cgroup v2 */

struct thread {
	__u64 runnable_ns; /* since when; 0: not waiting for a CPU */
	__u64 iowait_ns;   /* since when; 0: not waiting for I/O */
	__u64 iowait_sum;  /* ended, not accounted yet */
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct thread);
} threads SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 1);
	__type(key, __u64); /* cgroup id */
	__type(value, struct sched_counters);
} counters SEC(".maps");

/* The verifier follows these pointers by BTF: no probe_read, a fault reads as 0. */
static __always_inline __u64 cgroup_id(struct task_struct *t)
{
	if (cgroup_subsys < 0)
		return t->cgroups->dfl_cgrp->kn->id;
	return t->cgroups->subsys[cgroup_subsys & 15]->cgroup->kn->id;
}

static __always_inline struct sched_counters *counters_of(struct task_struct *t)
{
	__u64 id = cgroup_id(t);

	return bpf_map_lookup_elem(&counters, &id);
}

static __always_inline bool is_runnable(struct task_struct *t)
{
	struct task_struct___old *old = (void *)t;

	if (bpf_core_field_exists(t->__state))
		return t->__state == 0;
	return BPF_CORE_READ(old, state) == 0;
}

static __always_inline void leave_cpu(struct task_struct *t, bool preempted, __u64 now)
{
	bool runnable = preempted || is_runnable(t);
	bool iowait = BPF_CORE_READ_BITFIELD(t, in_iowait);
	struct thread *th;

	if (!runnable && !iowait)
		return;
	th = bpf_task_storage_get(&threads, t, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!th)
		return;
	if (runnable)
		th->runnable_ns = now;
	else
		th->iowait_ns = now;
}

static __always_inline void enter_cpu(struct task_struct *t, __u64 now)
{
	struct thread *th = bpf_task_storage_get(&threads, t, 0, 0);
	struct sched_counters *c;

	if (!th || !th->runnable_ns)
		return;
	c = counters_of(t);
	if (c) {
		if (now > th->runnable_ns)
			c->runq_ns += now - th->runnable_ns;
		c->iowait_ns += th->iowait_sum;
		c->switches++;
	}
	th->runnable_ns = 0;
	th->iowait_sum = 0;
}

/* The idle thread (pid 0) never waits. */
SEC("tp_btf/sched_switch")
int BPF_PROG(switched, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	__u64 now = bpf_ktime_get_ns();

	if (prev->pid)
		leave_cpu(prev, preempt, now);
	if (next->pid)
		enter_cpu(next, now);
	return 0;
}

static __always_inline int wake(struct task_struct *t)
{
	struct thread *th = bpf_task_storage_get(&threads, t, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	__u64 now = bpf_ktime_get_ns();

	if (!th)
		return 0;
	if (th->iowait_ns && now > th->iowait_ns)
		th->iowait_sum += now - th->iowait_ns;
	th->iowait_ns = 0;
	th->runnable_ns = now;
	return 0;
}

SEC("tp_btf/sched_wakeup")
int BPF_PROG(woken, struct task_struct *t)
{
	return wake(t);
}

SEC("tp_btf/sched_wakeup_new")
int BPF_PROG(born, struct task_struct *t)
{
	return wake(t);
}

static __always_inline int reclaimed(__u64 pages)
{
	struct sched_counters *c = counters_of(bpf_get_current_task_btf());

	if (c)
		c->reclaimed += pages;
	return 0;
}

/* A thread at its memory limit, or on a host short of memory, reclaims for itself. */
SEC("tp_btf/mm_vmscan_memcg_reclaim_end")
int BPF_PROG(memcg_reclaimed, unsigned long pages)
{
	return reclaimed(pages);
}

SEC("tp_btf/mm_vmscan_direct_reclaim_end")
int BPF_PROG(direct_reclaimed, unsigned long pages)
{
	return reclaimed(pages);
}

char LICENSE[] SEC("license") = "GPL";
