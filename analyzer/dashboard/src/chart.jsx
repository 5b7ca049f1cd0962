// One uPlot chart; charts with the same `group` share their cursor and time axis.
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import * as f from "./format.js";

const HEIGHT = 150;
const STROKES = ["--c1", "--c2", "--c3", "--c4"];

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function shade(bands) {
  return {
    hooks: {
      drawClear: (u) => {
        u.ctx.fillStyle = css("--shade");
        for (const [from, to] of bands()) {
          const left = Math.max(u.bbox.left, u.valToPos(from, "x", true));
          const right = Math.min(u.bbox.left + u.bbox.width, u.valToPos(to, "x", true));
          if (right > left) u.ctx.fillRect(left, u.bbox.top, right - left, u.bbox.height);
        }
      },
    },
  };
}

// series: [{metric, label, values}], times in seconds, bands: [[from, to], ...] to shade.
export function Chart({ title, times, series, bands, group }) {
  const host = useRef(null);
  const plot = useRef(null);
  const latest = useRef(bands);
  latest.current = bands;
  const labels = series.map((s) => s.label).join();

  useEffect(() => {
    const axis = { stroke: css("--muted"), grid: { stroke: css("--line"), width: 1 }, ticks: { show: false }, font: "11px system-ui" };
    const unit = series[0].metric;
    const options = {
      width: host.current.clientWidth,
      height: HEIGHT,
      cursor: { sync: { key: group }, y: false },
      legend: { live: true },
      scales: { y: { range: (u, low, high) => [0, high > 0 ? high * 1.1 : 1] } },
      axes: [
        { ...axis, size: 30, values: (u, ticks) => ticks.map((t) => f.clock(t).slice(0, 5)) },
        { ...axis, size: 68, space: 34, values: (u, ticks) => ticks.map((v) => f.metric(unit, v)) },
      ],
      series: [
        { value: (u, v) => f.clock(v ?? u.data[0].at(-1)) },
        ...series.map((s, i) => ({
          label: s.label, stroke: css(STROKES[i % STROKES.length]), width: 1.5,
          dash: i > 1 ? [5, 3] : undefined, points: { show: false },
          value: (u, v, which, at) => f.metric(s.metric, at === null ? u.data[which].at(-1) : v),
        })),
      ],
      plugins: [shade(() => latest.current)],
    };
    const element = host.current;
    plot.current = new uPlot(options, [times, ...series.map((s) => s.values)], element);
    // It may still be told of the element after the page was left.
    const fit = new ResizeObserver(() => plot.current?.setSize({ width: element.clientWidth, height: HEIGHT }));
    fit.observe(element);
    return () => {
      fit.disconnect();
      plot.current.destroy();
      plot.current = null;
    };
  }, [labels, group]);

  useEffect(() => {
    plot.current?.setData([times, ...series.map((s) => s.values)]);
  }, [times]);

  return (
    <figure class="chart">
      <figcaption>{title}</figcaption>
      <div ref={host} />
    </figure>
  );
}
