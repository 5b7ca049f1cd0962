// Numbers as people read them. Unknown (null, NaN) is always an en dash.

const NONE = "–";
const known = (v) => v !== null && v !== undefined && Number.isFinite(v);
const digits = (v) => (Math.abs(v) >= 100 ? 0 : Math.abs(v) >= 10 ? 1 : 2);

export function microseconds(us) {
  if (!known(us)) return NONE;
  if (Math.abs(us) < 1000) return `${us.toFixed(0)} µs`;
  if (Math.abs(us) < 1e6) return `${(us / 1000).toFixed(digits(us / 1000))} ms`;
  return `${(us / 1e6).toFixed(digits(us / 1e6))} s`;
}

export function ratio(r) {
  if (!known(r)) return NONE;
  const size = Math.abs(r);
  return `${(r * 100).toFixed(size === 0 || size >= 0.0995 ? 0 : size >= 0.00995 ? 1 : 2)} %`;
}

export function bytes(b, suffix = "") {
  if (!known(b)) return NONE;
  const units = ["B", "kB", "MB", "GB", "TB"];
  let i = 0;
  while (Math.abs(b) >= 1000 && i < units.length - 1) {
    b /= 1000;
    i++;
  }
  return `${b.toFixed(i === 0 ? 0 : digits(b))} ${units[i]}${suffix}`;
}

export function plain(v) {
  if (!known(v)) return NONE;
  if (v === 0) return "0";
  if (Math.abs(v) < 0.01) return v.toExponential(1);
  return Math.abs(v) >= 1e4 ? Math.round(v).toLocaleString("en") : v.toFixed(digits(v));
}

export const perSecond = (v) => (known(v) ? `${plain(v)}/s` : NONE);

// A probability: nothing is told to be certain.
export function percent(p) {
  if (!known(p)) return NONE;
  if (p > 0.99) return ">99 %";
  return p > 0 && p < 0.01 ? "<1 %" : `${Math.round(p * 100)} %`;
}

// By the metric's name, which says its unit.
export function metric(name, value) {
  if (name.endsWith("_us")) return microseconds(value);
  if (name.endsWith("_ratio")) return ratio(value);
  if (name.endsWith("_bytes_per_s")) return bytes(value, "/s");
  if (name.endsWith("_bytes")) return bytes(value);
  if (name.endsWith("_per_s")) return perSecond(value);
  if (name.endsWith("_cores") && known(value)) return `${plain(value)} cores`;
  return plain(value);
}

// "user->gateway" as "user → gateway", "host:node-a" as "node-a".
export const entity = (name) => name.replace("->", " → ").replace(/^host:/, "");

// "server_p99_us" as "server p99".
export const metricName = (name) => name.replace(/_us$/, "").replaceAll("_", " ");

export function clock(seconds) {
  if (!known(seconds)) return NONE;
  return new Date(seconds * 1000).toLocaleTimeString("en-GB");
}

export function duration(seconds) {
  if (!known(seconds)) return NONE;
  if (seconds < 1) return `${Math.ceil(seconds * 1000)} ms`;
  if (seconds < 90) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

const KNOBS = {
  cpu_quota: "CPU quota", cpu_weight: "CPU weight", memory_high: "memory limit", io_read_bps: "disk read rate",
  io_write_bps: "disk write rate", io_read_iops: "disk reads per second", net_rate: "network rate",
};
export const knob = (name) => KNOBS[name] ?? name.replaceAll("_", " ");

// A setting of an action, in the unit of its knob.
export function knobValue(knob, value) {
  if (value === -1) return "no limit";
  if (!known(value)) return NONE;
  if (knob === "cpu_quota") return `${plain(value / 1000)} cores`;
  if (/memory/.test(knob)) return bytes(value);
  if (/bps|rate/.test(knob)) return bytes(value, "/s");
  return plain(value);
}

const RESOURCES = {
  cpu: "CPU", memory: "memory", disk: "disk", network: "network",
  workload: "request rate", code: "its own code", unknown: "unknown",
};
export const resource = (name) => RESOURCES[name] ?? name;
