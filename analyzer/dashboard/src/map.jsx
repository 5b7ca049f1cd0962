// The live service map.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { usePoll } from "./api.js";
import * as f from "./format.js";
import { BOX, LABEL, layout, select } from "./layout.js";
import { Empty, Status } from "./parts.jsx";

const LIMIT = 120;
const NARROW = 640; // as in style.css: the map goes down the page, not across

// Edges on a way from the user to a service that is a cause.
function violatingPath(edges, services) {
  const goal = new Set(services.filter((s) => s.status === "culprit").map((s) => s.name));
  const path = new Set();
  if (!goal.size) return path;
  let grew = true;
  while (grew) {
    grew = false;
    for (const e of edges) {
      if (goal.has(e.callee) && !path.has(e)) {
        path.add(e);
        goal.add(e.caller);
        grew = true;
      }
    }
  }
  return path;
}

const curve = (points) => {
  const [first, ...rest] = points;
  const mid = rest.slice(0, -1);
  let d = `M${first.x} ${first.y}`;
  mid.forEach((p, i) => {
    const next = rest[i + 1];
    const last = i === mid.length - 1;
    d += `Q${p.x} ${p.y} ${last ? next.x : (p.x + next.x) / 2} ${last ? next.y : (p.y + next.y) / 2}`;
  });
  return d;
};

export function ServiceMap() {
  const { data } = usePoll("graph");
  const [only, setOnly] = useState(false);
  const [zoom, setZoom] = useState(1);
  const frame = useRef(null);
  const seen = useMemo(() => data && select(data, only, LIMIT), [data, only]);
  // Positions change only with the shape of the graph, not with its numbers.
  const shape = seen && seen.services.map((s) => s.name).join() + seen.edges.map((e) => e.caller + e.callee).join();
  const place = useMemo(() => seen && layout(seen, innerWidth < NARROW ? "TB" : "LR"), [shape]);

  // A new shape starts as wide as the page, unless that would be too small to read.
  useEffect(() => {
    if (frame.current) setZoom(Math.min(1.2, Math.max(0.55, frame.current.clientWidth / place.width)));
  }, [shape]);

  if (!data) return <Empty>Asking the analyzer…</Empty>;
  if (!data.services.length) return <Empty>No call was seen yet.</Empty>;
  const path = violatingPath(seen.edges, seen.services);

  return (
    <section>
      <div class="titled">
        <h1>Service map</h1>
        <label><input type="checkbox" checked={only} onChange={(e) => setOnly(e.target.checked)} /> only problems</label>
        <span class="zoom">
          <button class="quiet" onClick={() => setZoom((z) => Math.max(0.4, z / 1.25))} aria-label="Smaller">−</button>
          <button class="quiet" onClick={() => setZoom((z) => Math.min(2.5, z * 1.25))} aria-label="Larger">+</button>
        </span>
      </div>
      <p class="legend">
        <span><Status value="ok" /> healthy</span>
        <span><Status value="slow" /> slow because of another</span>
        <span><Status value="culprit" /> cause</span>
        <span class="fine">on the lines: client p99, calls per second</span>
      </p>
      {seen.services.length === 0 && <Empty>No service has a problem.</Empty>}
      {seen.services.length > 0 && (
        <div class="map" ref={frame}>
          <svg width={place.width * zoom} height={place.height * zoom} viewBox={`0 0 ${place.width} ${place.height}`} role="group" aria-label="Service map">
            <defs>
              <marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0 8 4 0 8Z" /></marker>
              <marker id="arrow-hot" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0 8 4 0 8Z" /></marker>
            </defs>
            {seen.edges.map((e) => <Edge key={e.caller + e.callee} edge={e} at={place.edge(e)} hot={path.has(e)} />)}
            {seen.edges.map((e) => <EdgeLabel key={e.caller + e.callee} edge={e} at={place.edge(e)} />)}
            {seen.services.map((s) => <Node key={s.name} service={s} at={place.node(s.name)} />)}
          </svg>
        </div>
      )}
      {seen.hidden > 0 && <p class="fine">{seen.hidden} services without a problem nearby are not drawn.</p>}
    </section>
  );
}

function Edge({ edge, at, hot }) {
  if (!at) return null;
  return (
    <g class={`edge ${hot ? "hot" : ""}`}>
      <path d={curve(at.points)} marker-end={hot ? "url(#arrow-hot)" : "url(#arrow)"}>
        <title>{`${edge.caller} → ${edge.callee} (${edge.protocol})\nclient p99 ${f.microseconds(edge.client_p99_us)}, server p99 ${f.microseconds(edge.server_p99_us)}, network p99 ${f.microseconds(edge.network_p99_us)}\n${f.perSecond(edge.requests_per_s)}, errors ${f.ratio(edge.error_ratio)}, resent ${f.ratio(edge.net_retransmit_ratio)}, resets ${f.perSecond(edge.resets_per_s ?? 0)}`}</title>
      </path>
    </g>
  );
}

// Above all lines, on a ground of its own; as wide as layout.js left room for.
function EdgeLabel({ edge, at }) {
  if (!at) return null;
  return (
    <g class="edge-label" transform={`translate(${at.x} ${at.y})`}>
      <rect x={-LABEL.width / 2} y={-LABEL.height / 2} width={LABEL.width} height={LABEL.height} />
      <text y="-2">{f.microseconds(edge.client_p99_us ?? edge.server_p99_us)}</text>
      <text y="10">{f.perSecond(edge.requests_per_s)}</text>
    </g>
  );
}

function Node({ service: s, at }) {
  if (!at) return null;
  const outside = s.name === "user";
  const box = (
    <g class={`node ${s.status} ${outside ? "outside" : ""}`} transform={`translate(${at.x - BOX.width / 2} ${at.y - BOX.height / 2})`}>
      <rect width={BOX.width} height={BOX.height} rx={outside ? 23 : 6} />
      {!outside && <svg x="10" y="11"><Status value={s.status} /></svg>}
      <text x="30" y="21" class="name">{s.name.length > 16 ? `${s.name.slice(0, 15)}…` : s.name}<title>{s.name}</title></text>
      <text x="30" y="36" class="sub">{outside ? "outside world" : `${f.microseconds(s.server_p99_us)} · CPU ${f.ratio(s.cpu_util_ratio)}`}</text>
    </g>
  );
  return outside ? box : <a href={`#/service/${encodeURIComponent(s.name)}`} aria-label={`${s.name}, ${s.status}`}>{box}</a>;
}
