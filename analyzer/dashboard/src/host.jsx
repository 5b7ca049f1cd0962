// One host: what it has left for its services, and which those are.
import { usePoll } from "./api.js";
import * as f from "./format.js";
import { History } from "./history.jsx";
import { Empty, ServiceLink, Status } from "./parts.jsx";

const CHARTS = [
  ["CPU", ["cpu_util_ratio", "psi_cpu_ratio", "cpu_steal_ratio"]],
  ["Memory", ["mem_util_ratio", "psi_mem_ratio"]],
  ["Disk", ["blk_util_ratio", "psi_io_ratio"]],
  ["Disk traffic", ["blk_read_bytes_per_s", "blk_write_bytes_per_s"]],
  ["Network", ["net_rx_bytes_per_s", "net_tx_bytes_per_s"]],
];

const LABEL = {
  cpu_util_ratio: "in use", psi_cpu_ratio: "stalled (PSI)", cpu_steal_ratio: "stolen by the hypervisor",
  mem_util_ratio: "in use", psi_mem_ratio: "stalled (PSI)",
  blk_util_ratio: "busiest disk", psi_io_ratio: "stalled (PSI)",
  blk_read_bytes_per_s: "read", blk_write_bytes_per_s: "written",
  net_rx_bytes_per_s: "received", net_tx_bytes_per_s: "sent",
};

export function Host({ name }) {
  const entity = usePoll(`entity?name=${encodeURIComponent(name)}`, 10000);
  const graph = usePoll("graph");

  if (entity.error && !entity.data) return <Empty>{entity.error}</Empty>;
  if (!entity.data || !graph.data) return <Empty>Asking the analyzer…</Empty>;
  const services = graph.data.services.filter((s) => s.host === name);
  return (
    <>
      <h1>Host {f.entity(name)}</h1>
      <History entity={name} metrics={entity.data.metrics} charts={CHARTS} labels={LABEL} />
      <section>
        <h3>Its services</h3>
        {services.length === 0 && <p class="fine">none</p>}
        {services.length > 0 && (
          <div class="scroll">
            <table class="list">
              <thead><tr><th>Service</th><th class="number">requests</th><th class="number">p99</th><th class="number">self p99</th><th class="number">CPU</th></tr></thead>
              <tbody>
                {services.map((s) => (
                  <tr key={s.name}>
                    <td><Status value={s.status} /> <ServiceLink name={s.name} /></td>
                    <td class="number">{f.perSecond(s.requests_per_s)}</td>
                    <td class="number">{f.microseconds(s.server_p99_us)}</td>
                    <td class="number">{f.microseconds(s.self_p99_us)}</td>
                    <td class="number">{f.ratio(s.cpu_util_ratio)}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </section>
    </>
  );
}
