// The analyzer's HTTP interface (docs/api.md), polled.
import { useEffect, useState } from "preact/hooks";

const POLL_MS = 2000;

async function request(path, options) {
  const response = await fetch(`/api/v1/${path}`, { signal: AbortSignal.timeout(8000), ...options });
  const body = await response.json().catch(() => ({ error: `${path}: HTTP ${response.status}` }));
  if (!response.ok) throw new Error(body.error ?? `${path}: HTTP ${response.status}`);
  return body;
}

export function post(path, body) {
  const token = localStorage.getItem("sage-token");
  const headers = { "Content-Type": "application/json" };
  if (token) headers.Authorization = `Bearer ${token}`;
  return request(path, { method: "POST", headers, body: JSON.stringify(body ?? {}) });
}

// The latest answer of `path` (null: nothing to ask yet), asked for again after each answer.
// While the analyzer is away `data` keeps the last answer and `error` says why it is old; an
// answer to another path is never shown.
export function usePoll(path, period = POLL_MS) {
  const [state, set] = useState({ path, data: null, error: null, at: 0 });
  const [round, again] = useState(0);

  useEffect(() => {
    let timer;
    let live = true;
    const ask = async () => {
      if (path && !document.hidden) {
        try {
          const data = await request(path);
          if (live) set({ path, data, error: null, at: Date.now() });
        } catch (e) {
          if (live) set((old) => ({ ...(old.path === path ? old : { path, data: null, at: 0 }), error: e.message }));
        }
      }
      if (live) timer = setTimeout(ask, period);
    };
    ask();
    return () => {
      live = false;
      clearTimeout(timer);
    };
  }, [path, period, round]);

  const { data, error, at } = state.path === path ? state : { data: null, error: null, at: 0 };
  return { data, error, at, refresh: () => again((n) => n + 1) };
}
