// What is wrong, why, how that is known and what is done about it.
import { usePoll } from "./api.js";
import * as f from "./format.js";
import { Steps } from "./actions.jsx";
import { Bar, Empty, EntityLink, Metric, Spark } from "./parts.jsx";

const LIVE = ["open", "acting"];

export function Problems({ slos, status }) {
  const incidents = usePoll("incidents?limit=30");
  if (!slos || !incidents.data) return <Empty>Asking the analyzer…</Empty>;
  const live = incidents.data.filter((i) => LIVE.includes(i.state));
  const past = incidents.data.filter((i) => !LIVE.includes(i.state));

  return (
    <>
      {live.length === 0 && <Calm slos={slos} status={status} />}
      {live.map((i) => <Incident key={i.id} incident={i} refresh={incidents.refresh} />)}
      {live.length > 0 && <Targets slos={slos} />}
      {past.length > 0 && <History incidents={past} refresh={incidents.refresh} />}
    </>
  );
}

function Calm({ slos, status }) {
  const learning = status && status.model.state !== "ready";
  return (
    <section>
      <h1>{slos.length ? "All targets are met" : "Watching"}</h1>
      {learning && (
        <p class="lead">
          {status.model.state === "training"
            ? "The first model is being trained."
            : `Learning what is normal: ${status.windows} windows of ${status.window_s} s so far.`}
        </p>
      )}
      {slos.length === 0 && <p class="lead">No target yet. One is proposed once enough healthy traffic was seen.</p>}
      <Targets slos={slos} headless />
    </section>
  );
}

function Targets({ slos, headless }) {
  if (!slos.length) return null;
  return (
    <section>
      {!headless && <h2>Targets</h2>}
      <ul class="targets">
        {slos.map((s) => <Target key={s.entity + s.metric} slo={s} />)}
      </ul>
    </section>
  );
}

function Target({ slo }) {
  const history = usePoll(`series?entity=${encodeURIComponent(slo.entity)}&metrics=${slo.metric}`, 4000);
  return (
    <li class={slo.violated ? "violated" : ""}>
      <div>
        <strong>{f.entity(slo.entity)}</strong>
        <small>{f.metricName(slo.metric)}{slo.proposed ? " · proposed" : ""}</small>
      </div>
      <Spark values={history.data?.series?.[slo.metric] ?? []} target={slo.target} />
      <div class="figures">
        <b>{f.metric(slo.metric, slo.current)}</b>
        <small>target {f.metric(slo.metric, slo.target)}</small>
      </div>
    </li>
  );
}

function headline(incident) {
  const d = incident.diagnosis;
  if (!d) return <>Finding out why <strong>{f.entity(incident.slo.entity)}</strong> is slow…</>;
  if (d.verdict !== "diagnosed") return <><strong>{f.entity(incident.slo.entity)}</strong> is slow, cause unknown</>;
  return (
    <>
      {d.culprits.map((c, i) => (
        <span key={c.service}>{i > 0 && " and "}<EntityLink name={c.service} />: {f.resource(c.resource)}</span>
      ))}
    </>
  );
}

export function Incident({ incident, refresh }) {
  const { slo, diagnosis: d } = incident;
  const until = incident.ended ? `until ${f.clock(incident.ended)}` : "still going on";
  return (
    <article class={`incident ${incident.state}`}>
      <p class="kicker">
        {f.entity(slo.entity)} over {f.metric(slo.metric, slo.target)} since {f.clock(incident.started)}, {until},
        peak {f.metric(slo.metric, incident.peak)}
      </p>
      <h1>{headline(incident)}</h1>
      {d && <Why diagnosis={d} slo={slo} />}
      {incident.actions.length > 0 && (
        <section>
          <h3>What is done about it</h3>
          <Steps actions={incident.actions} refresh={refresh} />
        </section>
      )}
    </article>
  );
}

function Why({ diagnosis: d, slo }) {
  return (
    <>
      {d.why && <p class="lead">{d.why}</p>}
      {d.operation && (
        <p class="operation">
          Of what {d.operation.service} is asked for, <strong>{d.operation.name}</strong> slowed most: p99{" "}
          {f.microseconds(d.operation.now.p99_us)}, {f.microseconds(d.operation.before.p99_us)} before.
        </p>
      )}
      <div class="columns">
        {d.ranking.length > 0 && <Ranking ranking={d.ranking} slo={slo} />}
        {d.counterfactual && d.counterfactual.restored !== null && <Counterfactual diagnosis={d} slo={slo} />}
      </div>
      {d.evidence.length > 0 && <Evidence evidence={d.evidence} />}
      {d.ruled_out?.length > 0 && <RuledOut diagnosis={d} />}
      <p class="fine">Method {d.method}, answered in {f.duration(d.seconds)}.</p>
    </>
  );
}

// What acting on each one alone would bring stands beside it, where that was worked out.
function Ranking({ ranking, slo }) {
  const predicted = ranking.some((c) => (c.restored ?? null) !== null);
  return (
    <section>
      <h3>Ranked causes</h3>
      <table class="ranking">
        {predicted && <thead><tr><th /><th /><th /><th /><th /><th class="number">it alone normal</th></tr></thead>}
        <tbody>
          {ranking.slice(0, 6).map((c) => (
            <tr key={c.service + c.resource}>
              <td><EntityLink name={c.service} /></td>
              <td>{f.resource(c.resource)}</td>
              <td class="fine"><Metric name={c.metric} /></td>
              <td><Bar value={c.probability} label={c.service} /></td>
              <td class="number">{f.percent(c.probability)}</td>
              {predicted && <td class="number">{f.metric(slo.metric, c.restored)}</td>}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function Counterfactual({ diagnosis, slo }) {
  const { observed, restored, target, probability, with: was, without } = diagnosis.counterfactual;
  const names = diagnosis.culprits.map((c) => `${f.entity(c.service)} its normal ${f.resource(c.resource)}`).join(" and ");
  const top = Math.max(observed, restored, target) || 1;
  const row = (label, value, kind) => (
    <div class={`cf ${kind}`}>
      <span>{label}</span>
      <span class="track"><i style={{ width: `${(value / top) * 100}%` }} /><b style={{ left: `${(target / top) * 100}%` }} /></span>
      <span class="number">{f.metric(slo.metric, value)}</span>
    </div>
  );
  return (
    <section>
      <h3>Had it been normal</h3>
      <p>
        Had {names || "the cause"}, {f.metricName(slo.metric)} would be{" "}
        <strong>{f.metric(slo.metric, restored)}</strong>, not {f.metric(slo.metric, observed)}
        {probability !== null && <>; {f.percent(probability)} sure to meet the target</>}.
      </p>
      {row("observed", observed, "bad")}
      {row("had it been normal", restored, "good")}
      {was && without && was.p50 !== null && without.p50 !== null && (
        <table class="spread">
          <thead><tr><th>over its windows</th><th class="number">p50</th><th class="number">p90</th><th class="number">p99</th></tr></thead>
          <tbody>
            {[["observed", was], ["had it been normal", without]].map(([label, s]) => (
              <tr key={label}>
                <td>{label}</td>
                {[s.p50, s.p90, s.p99].map((v, i) => <td key={i} class="number">{f.metric(slo.metric, v)}</td>)}
              </tr>
            ))}
          </tbody>
        </table>
      )}
      <p class="fine">The mark is the target, {f.metric(slo.metric, target)}.</p>
    </section>
  );
}

function Evidence({ evidence }) {
  return (
    <section>
      <h3>How it is known</h3>
      <div class="scroll">
        <table class="evidence">
          <thead><tr><th>Where</th><th>What moved</th><th class="number">normal</th><th class="number">now</th><th class="number">robust sigmas</th><th class="number">since</th></tr></thead>
          <tbody>
            {evidence.slice(0, 8).map((e) => (
              <tr key={e.entity + e.metric}>
                <td><EntityLink name={e.entity} /></td>
                <td><Metric name={e.metric} /></td>
                <td class="number">{f.metric(e.metric, e.normal)}</td>
                <td class="number"><b>{f.metric(e.metric, e.observed)}</b></td>
                <td class="number">{e.sigmas === null ? "–" : (e.sigmas > 0 ? "+" : "") + f.plain(Math.max(-999, Math.min(999, e.sigmas)))}</td>
                <td class="number">{f.clock(e.since)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function RuledOut({ diagnosis: d }) {
  return (
    <section>
      <h3>{d.verdict === "diagnosed" ? "Ruled out" : "Looked at"}</h3>
      <ul class="ruled-out">
        {d.ruled_out.slice(0, 5).map((r) => (
          <li key={r.service}><EntityLink name={r.service} />: {r.why}</li>
        ))}
      </ul>
    </section>
  );
}

function History({ incidents, refresh }) {
  return (
    <section>
      <h2>Earlier</h2>
      {incidents.map((i) => (
        <details key={i.id} class="past">
          <summary>
            <span class="number">{f.clock(i.started)}</span>
            <span>{headline(i)}</span>
            <span class="fine">{f.entity(i.slo.entity)}, peak {f.metric(i.slo.metric, i.peak)}, {i.ended ? `lasted ${f.duration(i.ended - i.started)}` : i.state}</span>
          </summary>
          <Incident incident={i} refresh={refresh} />
        </details>
      ))}
    </section>
  );
}
