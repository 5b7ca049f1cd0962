// Every service in one table, sortable; long tables show their first rows and say so.
import { useState } from "preact/hooks";
import { usePoll } from "./api.js";
import * as f from "./format.js";
import { Empty, EntityLink, ServiceLink, Status } from "./parts.jsx";

const SHOWN = 200;
const RANK = { culprit: 0, slow: 1, ok: 2 };

const COLUMNS = [
  ["name", "Service", (s) => <><Status value={s.status} /> <ServiceLink name={s.name} /></>],
  ["host", "Host", (s) => (s.host ? <EntityLink name={s.host} /> : "–")],
  ["requests_per_s", "Requests", (s) => f.perSecond(s.requests_per_s)],
  ["error_ratio", "Errors", (s) => f.ratio(s.error_ratio)],
  ["server_p99_us", "p99", (s) => f.microseconds(s.server_p99_us)],
  ["self_p99_us", "Self p99", (s) => f.microseconds(s.self_p99_us)],
  ["cpu_util_ratio", "CPU", (s) => f.ratio(s.cpu_util_ratio)],
  ["mem_util_ratio", "Memory", (s) => f.ratio(s.mem_util_ratio)],
  ["containers", "Containers", (s) => s.containers],
];

function order(services, key, down) {
  const value = (s) => (key === "name" ? s.name : s[key] ?? -Infinity);
  return [...services].sort((a, b) => {
    if (key === "status") return RANK[a.status] - RANK[b.status] || a.name.localeCompare(b.name);
    const [x, y] = [value(a), value(b)];
    return (x < y ? -1 : x > y ? 1 : 0) * (down ? -1 : 1);
  });
}

export function Services() {
  const graph = usePoll("graph");
  const [filter, setFilter] = useState("");
  const [sort, setSort] = useState({ key: "status", down: false });
  if (!graph.data) return <Empty>Asking the analyzer…</Empty>;
  const found = graph.data.services.filter((s) => s.name !== "user" && s.name.includes(filter));
  const shown = order(found, sort.key, sort.down).slice(0, SHOWN);
  const by = (key) => setSort((old) => ({ key, down: old.key === key ? !old.down : key !== "name" }));

  return (
    <section>
      <div class="titled">
        <h1>Services</h1>
        <input type="search" placeholder="Filter by name" aria-label="Filter by name" value={filter} onInput={(e) => setFilter(e.target.value)} />
      </div>
      <div class="scroll">
        <table class="list">
          <thead>
            <tr>
              {COLUMNS.map(([key, name], i) => (
                <th key={key} class={i > 1 ? "number" : ""} aria-sort={sort.key === key ? (sort.down ? "descending" : "ascending") : undefined}>
                  <button class="quiet" onClick={() => by(key)}>{name}{sort.key === key && (sort.down ? " ↓" : " ↑")}</button>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {shown.map((s) => (
              <tr key={s.name}>
                {COLUMNS.map(([key, , cell], i) => <td key={key} class={i > 1 ? "number" : ""}>{cell(s)}</td>)}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {found.length > SHOWN && <p class="fine">{SHOWN} of {found.length} shown. Filter to see the others.</p>}
      {found.length === 0 && <Empty>No service{filter && ` with “${filter}” in its name`}.</Empty>}
    </section>
  );
}
