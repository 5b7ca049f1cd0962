// The series of a service or host as charts on one time axis.
import { usePoll } from "./api.js";
import { Chart } from "./chart.jsx";
import { Empty } from "./parts.jsx";

// `charts`: [title, metrics] each; of the metrics, those the entity has. `labels`: metric to words.
export function History({ entity, metrics, charts, labels }) {
  const wanted = charts.flatMap(([, names]) => names).filter((m) => metrics.includes(m));
  const incidents = usePoll("incidents?limit=50", 5000);
  const history = usePoll(`series?entity=${encodeURIComponent(entity)}&metrics=${wanted.join(",")}`);
  if (!history.data) return <Empty>Asking the analyzer…</Empty>;

  const { times, series } = history.data;
  const now = times.at(-1) ?? 0;
  const bands = (incidents.data ?? []).map((i) => [i.started, i.ended ?? now]);
  const present = (names) => names.filter((m) => series[m]?.some((v) => v !== null));
  const idle = (names) => names.every((m) => series[m].every((v) => !v));
  const known = charts.map(([title, names]) => [title, present(names)]).filter(([, shown]) => shown.length);
  const quiet = known.filter(([, shown]) => idle(shown)).map(([title]) => title);

  return (
    <>
      {times.length < 2 && <Empty>No window of it yet.</Empty>}
      <div class="charts">
        {times.length > 1 && known.filter(([title]) => !quiet.includes(title)).map(([title, shown]) => (
          <Chart key={entity + title} title={title} times={times} bands={bands} group={entity}
            series={shown.map((metric) => ({ metric, label: labels[metric], values: series[metric] }))} />
        ))}
      </div>
      <p class="fine">
        Shaded: a target was missed.{quiet.length > 0 && ` At zero throughout: ${quiet.join("; ").toLowerCase()}.`}
      </p>
    </>
  );
}
