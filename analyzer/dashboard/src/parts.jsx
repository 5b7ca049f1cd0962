// Small pieces every page uses.
import { entity, percent } from "./format.js";

// Status by shape as well as colour: a filled circle, a triangle, a diamond.
const SHAPES = {
  ok: <circle cx="6" cy="6" r="4.2" />,
  slow: <path d="M6 1.2 11.2 10.6H.8Z" />,
  culprit: <path d="M6 .4 11.6 6 6 11.6.4 6Z" />,
};
const WORDS = { ok: "healthy", slow: "slow because of another", culprit: "cause" };

export const Status = ({ value }) => (
  <svg class={`status ${value}`} viewBox="0 0 12 12" width="12" height="12" role="img" aria-label={WORDS[value] ?? value}>
    <title>{WORDS[value] ?? value}</title>
    {SHAPES[value] ?? SHAPES.ok}
  </svg>
);

export const ServiceLink = ({ name }) => <a href={`#/service/${encodeURIComponent(name)}`}>{name}</a>;

// A service, or "host:node-a". Edges have no page.
export const EntityLink = ({ name }) =>
  name.includes("->") ? entity(name)
    : name.startsWith("host:") ? <a href={`#/host/${encodeURIComponent(name)}`}>{entity(name)}</a>
    : <ServiceLink name={name} />;

export const Bar = ({ value, label }) => (
  <span class="meter" role="img" aria-label={`${label ?? ""} ${percent(value)}`}>
    <i style={{ width: `${Math.max(0, Math.min(1, value ?? 0)) * 100}%` }} />
  </span>
);

// A metric's name, which may break where it has an underscore.
export const Metric = ({ name }) => name.split("_").map((part, i) => <>{i > 0 && <>_<wbr /></>}{part}</>);

export const Empty = ({ children }) => <p class="empty">{children}</p>;

// A line of `values` with the target as a dashed line and what exceeds it drawn over in red.
export function Spark({ values, target, width = 260, height = 48 }) {
  const known = values.filter((v) => v !== null);
  if (known.length < 2) return <svg class="spark" width={width} height={height} aria-hidden="true" />;
  const top = Math.max(...known, target ?? 0) * 1.08;
  const x = (i) => (i / (values.length - 1)) * width;
  const y = (v) => height - (v / top) * height;
  let line = "";
  values.forEach((v, i) => {
    if (v !== null) line += `${line && values[i - 1] !== null ? "L" : "M"}${x(i).toFixed(1)} ${y(v).toFixed(1)}`;
  });
  const id = `over-${Math.round(target ?? 0)}-${width}`;
  return (
    <svg class="spark" viewBox={`0 0 ${width} ${height}`} width={width} height={height} preserveAspectRatio="none" aria-hidden="true">
      <clipPath id={id}><rect x="0" y="0" width={width} height={target ? y(target) : 0} /></clipPath>
      <path class="line" d={line} />
      {target && <path class="over" d={line} clip-path={`url(#${id})`} />}
      {target && <line class="target" x1="0" x2={width} y1={y(target)} y2={y(target)} />}
    </svg>
  );
}
