// The state of Sage itself: agents, what was lost, the model.
import { usePoll } from "./api.js";
import * as f from "./format.js";
import { Empty } from "./parts.jsx";

const losses = (map) => {
  const rows = Object.entries(map ?? {}).filter(([, n]) => n > 0);
  return rows.length ? rows.map(([cause, n]) => `${cause.replaceAll("_", " ")} ${n}`).join(", ") : "none";
};

export function System() {
  const { data: s } = usePoll("status");
  if (!s) return <Empty>Asking the analyzer…</Empty>;
  const now = Date.now() / 1000;
  return (
    <>
      <section>
        <h1>System</h1>
        <dl>
          <dt>Analyzer</dt><dd>{s.version}, up {f.duration(s.uptime_s)}, mode {s.mode}</dd>
          <dt>Seen</dt><dd>{s.services} services, {s.edges} edges, {s.windows} windows of {s.window_s} s</dd>
          <dt>Model</dt>
          <dd>
            {s.model.state}
            {s.model.version > 0 && `, version ${s.model.version} of ${f.clock(s.model.trained_at)}, ${s.model.windows} windows, ${s.model.parameters?.toLocaleString("en")} parameters, trained in ${f.duration(s.model.training_s)}, held-out error ${f.plain(s.model.error)}`}
          </dd>
          <dt>Lost</dt><dd>{losses(s.losses)}</dd>
        </dl>
      </section>
      <section>
        <h2>Agents</h2>
        {s.agents.length === 0 && <Empty>No agent has reported yet. Start one with <code>sage-agent run --analyzer URL</code>.</Empty>}
        {s.agents.length > 0 && (
          <div class="scroll">
            <table class="list">
              <thead><tr><th>Agent</th><th class="number">last seen</th><th class="number">windows</th><th>lost</th></tr></thead>
              <tbody>
                {s.agents.map((a) => (
                  <tr key={a.name}>
                    <td>{a.name}</td>
                    <td class="number">{f.duration(Math.max(0, now - a.last_seen))} ago</td>
                    <td class="number">{a.windows}</td>
                    <td>{losses(a.losses)}</td>
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
