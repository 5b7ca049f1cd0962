#include "common/metric.h"

const char *const container_metric_name[CONTAINER_METRICS] = {
	[METRIC_CPU_CORES] = "cpu_cores",
	[METRIC_CPU_LIMIT_CORES] = "cpu_limit_cores",
	[METRIC_CPU_UTIL] = "cpu_util_ratio",
	[METRIC_CPU_THROTTLED] = "cpu_throttled_ratio",
	[METRIC_CPU_RUNQ] = "cpu_runq_ratio",
	[METRIC_MEM_BYTES] = "mem_bytes",
	[METRIC_MEM_UTIL] = "mem_util_ratio",
	[METRIC_MEM_MAJOR_FAULTS] = "mem_major_faults_per_s",
	[METRIC_MEM_RECLAIM_PAGES] = "mem_reclaim_pages_per_s",
	[METRIC_BLK_READ_BYTES] = "blk_read_bytes_per_s",
	[METRIC_BLK_WRITE_BYTES] = "blk_write_bytes_per_s",
	[METRIC_BLK_WAIT] = "blk_wait_ratio",
	[METRIC_NET_RX_BYTES] = "net_rx_bytes_per_s",
	[METRIC_NET_TX_BYTES] = "net_tx_bytes_per_s",
	[METRIC_PSI_CPU] = "psi_cpu_ratio",
	[METRIC_PSI_MEM] = "psi_mem_ratio",
	[METRIC_PSI_IO] = "psi_io_ratio",
	[METRIC_CPU_IPC] = "cpu_instructions_per_cycle",
	[METRIC_CPU_LLC_MISSES] = "cpu_llc_misses_per_s",
	[METRIC_OOM_KILLS] = "mem_oom_kills",
};

const char *const host_metric_name[HOST_METRICS] = {
	[HOST_CPU_UTIL] = "cpu_util_ratio",
	[HOST_MEM_UTIL] = "mem_util_ratio",
	[HOST_BLK_UTIL] = "blk_util_ratio",
	[HOST_NET_RX_BYTES] = "net_rx_bytes_per_s",
	[HOST_NET_TX_BYTES] = "net_tx_bytes_per_s",
};
