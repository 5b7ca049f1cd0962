// Where the boxes of the map go: dagre, callers before callees.
import dagre from "@dagrejs/dagre";

export const BOX = { width: 150, height: 46 };
export const LABEL = { width: 92, height: 14, labelpos: "c" };

// The services a person should see: all, only those with a problem and their neighbours, or,
// past `limit`, the problems' neighbourhood or else the busiest.
export function select(graph, onlyProblems, limit) {
  const bad = new Set(graph.services.filter((s) => s.status !== "ok").map((s) => s.name));
  const near = new Set(bad);
  for (const e of graph.edges) {
    if (bad.has(e.caller)) near.add(e.callee);
    if (bad.has(e.callee)) near.add(e.caller);
  }
  let keep = new Set(graph.services.map((s) => s.name));
  if (onlyProblems || (keep.size > limit && bad.size)) keep = near;
  if (keep.size > limit) {
    const rate = (name) => graph.services.find((s) => s.name === name)?.requests_per_s ?? 0;
    const busiest = [...keep].map((n) => [n, bad.has(n) ? Infinity : rate(n)]).sort((a, b) => b[1] - a[1]);
    keep = new Set(busiest.slice(0, limit).map(([n]) => n));
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
