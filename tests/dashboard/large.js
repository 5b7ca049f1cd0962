// An answer of /api/v1/graph as an application of `services` services would give it: layers of
// services, each called by one to three of the layer above; one is a cause, and slow is what waits for it.
export function largeGraph(services) {
  const layers = Math.ceil(Math.log2(services)) - 2;
  const layerOf = (i) => Math.floor((i * layers) / services);
  const name = (i) => `service-${String(i).padStart(4, "0")}`;
  const culprit = Math.floor(services * 0.7);
  const edges = [edge("user", name(0))];
  let seed = 1;
  const random = (n) => {
    seed = (seed * 48271) % 2147483647;
    return seed % n;
  };
  for (let i = 1; i < services; i++) {
    const callers = new Set();
    const first = Math.ceil(((layerOf(i) - 1) * services) / layers);
    const above = layerOf(i) ? Math.ceil((layerOf(i) * services) / layers) - first : 1;
    for (let n = 1 + random(3); n > 0; n--) callers.add(Math.max(0, first) + random(above));
    callers.delete(i);
    for (const caller of callers) edges.push(edge(name(caller), name(i)));
  }
  const slow = waiting(edges, name(culprit));
  const status = (i) => (i === culprit ? "culprit" : slow.has(name(i)) ? "slow" : "ok");
  const all = Array.from({ length: services }, (_, i) => service(name(i), status(i), i));
  return { time: Date.now() / 1000, services: [service("user", "ok", 0), ...all], edges };
}

// Who calls `name`, at whatever distance.
function waiting(edges, name) {
  const found = new Set();
  const climb = (callee) => {
    for (const { caller } of edges.filter((e) => e.callee === callee && !found.has(e.caller))) {
      found.add(caller);
      climb(caller);
    }
  };
  climb(name);
  return found;
}

const service = (name, status, i) => ({
  name, host: `host:node-${i % 40}`, status, requests_per_s: 20 + (i * 7) % 400, error_ratio: 0,
  server_p99_us: 2000 + (i * 131) % 90000, self_p99_us: 900 + (i * 57) % 4000,
  cpu_util_ratio: ((i * 13) % 100) / 100, mem_util_ratio: ((i * 29) % 100) / 100, containers: 1 + (i % 3),
});

const edge = (caller, callee) => ({
  caller, callee, protocol: "http", requests_per_s: 20, error_ratio: 0, client_p99_us: 3100, server_p99_us: 2900, network_p99_us: 200,
});
