// Where the boxes of the map go: dagre, callers before callees.
import dagre from "@dagrejs/dagre";

export const BOX = { width: 150, height: 46 };
export const LABEL = { width: 56, height: 26, labelpos: "c" };

const named = (services, wanted) => new Set(services.filter(wanted).map((s) => s.name));

// Those with a problem, the neighbours of the causes (or, before there is a cause, of all), and
// the outside world where it calls one of them.
function troubled({ services, edges }) {
  const bad = named(services, (s) => s.status !== "ok");
  const causes = named(services, (s) => s.status === "culprit");
  const middle = causes.size ? causes : bad;
  const near = new Set(bad);
  for (const e of edges) {
    if (middle.has(e.caller)) near.add(e.callee);
    if (middle.has(e.callee) || (e.caller === "user" && bad.has(e.callee))) near.add(e.caller);
  }
  return near;
}

// The services a person should see: all, only where there are problems, or, past `limit`, where
// there are problems or else the busiest; causes are never left out for others.
export function select(graph, onlyProblems, limit) {
  const near = troubled(graph);
  let keep = named(graph.services, () => true);
  if (onlyProblems || (keep.size > limit && near.size)) keep = near;
  if (keep.size > limit) {
    const weight = { culprit: 2, slow: 1, ok: 0 };
    const first = graph.services.filter((s) => keep.has(s.name)).sort((a, b) =>
      weight[b.status] - weight[a.status] || (b.requests_per_s ?? 0) - (a.requests_per_s ?? 0));
    keep = new Set(first.slice(0, limit).map((s) => s.name));
  }
  return {
    services: graph.services.filter((s) => keep.has(s.name)),
    edges: graph.edges.filter((e) => keep.has(e.caller) && keep.has(e.callee)),
    hidden: graph.services.length - keep.size,
  };
}

export function layout({ services, edges }, direction) {
  const g = new dagre.graphlib.Graph();
  g.setGraph({ rankdir: direction, nodesep: 18, edgesep: 8, ranksep: 40, marginx: 12, marginy: 12 });
  for (const s of services) g.setNode(s.name, { ...BOX });
  for (const e of edges) if (g.hasNode(e.caller) && g.hasNode(e.callee)) g.setEdge(e.caller, e.callee, { ...LABEL });
  dagre.layout(g);
  const { width, height } = g.graph();
  return { width, height, node: (name) => g.node(name), edge: (e) => g.edge(e.caller, e.callee) };
}
