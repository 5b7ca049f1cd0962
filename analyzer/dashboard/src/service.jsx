// One service: latency and resources on one time axis, its callers and callees.
import { usePoll } from "./api.js";
import * as f from "./format.js";
import { History } from "./history.jsx";
import { Empty, EntityLink, ServiceLink, Status } from "./parts.jsx";

// Charts in the order of the questions: slow? busy? short of CPU, memory, disk, network?
const CHARTS = [
  ["Latency", ["server_p50_us", "server_p99_us", "self_p99_us"]],
  ["Requests", ["requests_per_s"]],
  ["CPU", ["cpu_cores", "cpu_limit_cores"]],
  ["Short of CPU", ["cpu_throttled_ratio", "cpu_runq_ratio", "psi_cpu_ratio"]],
  ["Memory", ["mem_bytes"]],
  ["Short of memory", ["mem_major_faults_per_s", "mem_reclaim_pages_per_s"]],
  ["Disk", ["blk_read_bytes_per_s", "blk_write_bytes_per_s"]],
  ["Short of disk", ["blk_wait_ratio", "psi_io_ratio"]],
  ["Network", ["net_rx_bytes_per_s", "net_tx_bytes_per_s"]],
  ["Errors", ["error_ratio"]],
];

const LABEL = {
  server_p50_us: "p50", server_p99_us: "p99", self_p99_us: "self p99", requests_per_s: "requests",
  cpu_cores: "in use", cpu_limit_cores: "limit", cpu_throttled_ratio: "throttled",
  cpu_runq_ratio: "run-queue wait", psi_cpu_ratio: "stalled (PSI)",
  mem_bytes: "in use", mem_major_faults_per_s: "major faults", mem_reclaim_pages_per_s: "pages reclaimed",
  blk_read_bytes_per_s: "read", blk_write_bytes_per_s: "written", blk_wait_ratio: "waiting",
  psi_io_ratio: "stalled (PSI)", net_rx_bytes_per_s: "received", net_tx_bytes_per_s: "sent",
  error_ratio: "errors",
};

export function Service({ name }) {
  const entity = usePoll(`entity?name=${encodeURIComponent(name)}`, 10000);
  const graph = usePoll("graph");
  const asked = usePoll(`operations?service=${encodeURIComponent(name)}`, 5000);

  if (entity.error && !entity.data) return <Empty>{entity.error}</Empty>;
  if (!entity.data || !graph.data) return <Empty>Asking the analyzer…</Empty>;
  const service = graph.data.services.find((s) => s.name === name);
  return (
    <>
      <h1>{service && <Status value={service.status} />} {name}</h1>
      {service && (
        <p class="lead">
          {f.perSecond(service.requests_per_s)} · p99 {f.microseconds(service.server_p99_us)} · errors {f.ratio(service.error_ratio)} · CPU {f.ratio(service.cpu_util_ratio)}
          {service.host && <> · on <EntityLink name={service.host} /></>}
        </p>
      )}
      <History entity={name} metrics={entity.data.metrics} charts={CHARTS} labels={LABEL} />
      {asked.data?.operations.length > 0 && (
        <div class="columns">
          <Operations title="Asked for" rows={asked.data.operations.filter((o) => o.side === "server")} />
          <Operations title="Asks for" rows={asked.data.operations.filter((o) => o.side === "client")} />
        </div>
      )}
      <div class="columns">
        <Calls title="Called by" edges={graph.data.edges.filter((e) => e.callee === name)} end="caller" />
        <Calls title="Calls" edges={graph.data.edges.filter((e) => e.caller === name)} end="callee" />
      </div>
    </>
  );
}

// Most edges have neither all day long: columns of those that have.
const TROUBLE = [
  ["net_retransmit_ratio", "resent", f.ratio],
  ["resets_per_s", "resets", f.perSecond],
];

function Calls({ title, edges, end }) {
  const trouble = TROUBLE.filter(([metric]) => edges.some((e) => e[metric] > 0));
  return (
    <section>
      <h3>{title}</h3>
      {edges.length === 0 && <p class="fine">nobody</p>}
      {edges.length > 0 && (
        <div class="scroll">
          <table class="list">
            <thead><tr><th>Service</th><th>protocol</th><th class="number">calls</th><th class="number">client p99</th><th class="number">server p99</th><th class="number">network p99</th>
              {trouble.map(([metric, label]) => <th key={metric} class="number">{label}</th>)}
            </tr></thead>
            <tbody>
              {edges.map((e) => (
                <tr key={e[end]}>
                  <td>{e[end] === "user" ? "user" : <ServiceLink name={e[end]} />}</td>
                  <td>{e.protocol}</td>
                  <td class="number">{f.perSecond(e.requests_per_s)}</td>
                  <td class="number">{f.microseconds(e.client_p99_us)}</td>
                  <td class="number">{f.microseconds(e.server_p99_us)}</td>
                  <td class="number">{f.microseconds(e.network_p99_us)}</td>
                  {trouble.map(([metric, , text]) => <td key={metric} class="number">{text(e[metric])}</td>)}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

// The last minutes against those before; what takes most time more comes first.
function Operations({ title, rows }) {
  if (rows.length === 0) return null;
  return (
    <section class="operations">
      <h3>{title}</h3>
      <div class="scroll">
        <table class="list">
          <thead><tr><th>Operation</th><th>protocol</th><th class="number">calls</th><th class="number">errors</th><th class="number">p50</th><th class="number">p99</th><th class="number">before</th></tr></thead>
          <tbody>
            {rows.map((o) => (
              <tr key={o.protocol + o.name}>
                <td>{o.name}</td>
                <td>{o.protocol}</td>
                <td class="number">{f.perSecond(o.now.calls_per_s)}</td>
                <td class="number">{f.ratio(o.now.error_ratio)}</td>
                <td class="number">{f.microseconds(o.now.p50_us)}</td>
                <td class="number">{f.microseconds(o.now.p99_us)}</td>
                <td class="number">{f.microseconds(o.before.p99_us)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}
