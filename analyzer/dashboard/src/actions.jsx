// Actions: what was changed where, whether it helped, and the buttons.
import { useState } from "preact/hooks";
import { post, usePoll } from "./api.js";
import * as f from "./format.js";
import { Empty } from "./parts.jsx";

const OUT = ["sent", "applied"];

const outcome = (a) =>
  a.verified === true ? "helped" : a.verified === false ? "did not help" : a.state === "applied" ? "being verified" : "";

function change(a) {
  const now = f.knobValue(a.knob, a.value);
  if (a.old_value === null) return `to ${now}`;
  return a.old_value === a.value ? `${now} already` : `${f.knobValue(a.knob, a.old_value)} → ${now}`;
}

function Action({ action: a }) {
  return (
    <div class="action">
      <div>
        <strong>{f.knob(a.knob)}</strong> of {a.service}{a.container ? `/${a.container}` : ", all of it"}:{" "}
        <span class="nowrap">{change(a)}</span>
        <small>{a.reason}{a.detail ? ` · ${a.detail}` : ""}</small>
        <small>
          {a.agent} · {a.path} · {f.clock(a.applied ?? a.created)}
          {a.before !== null && a.after !== null && ` · ${f.microseconds(a.before)} → ${f.microseconds(a.after)}`}
          {a.predicted !== null && ` (predicted ${f.microseconds(a.predicted)})`}
        </small>
      </div>
      <span class="fine">{outcome(a)}</span>
      <span class={`state ${a.state}`}>{a.state}</span>
    </div>
  );
}

// The actions of a step are applied together and undone together.
function Step({ title, actions, free, refresh }) {
  const [problem, setProblem] = useState(null);
  const [busy, setBusy] = useState(false);
  const proposed = free && actions.find((a) => a.state === "proposed");
  const out = actions.find((a) => OUT.includes(a.state));
  const send = async (action, verb) => {
    setBusy(true);
    setProblem(null);
    try {
      await post(`actions/${action.id}/${verb}`);
      refresh();
    } catch (e) {
      setProblem(e.message);
    }
    setBusy(false);
  };
  return (
    <div class="step">
      <div>
        {title && <small>{title}</small>}
        {actions.map((a) => <Action key={a.id} action={a} />)}
        {problem && <small class="problem" role="alert">{problem}</small>}
      </div>
      <span class="buttons">
        {proposed && <button disabled={busy} onClick={() => send(proposed, "apply")}>Apply</button>}
        {out && <button disabled={busy} onClick={() => send(out, "undo")}>Undo</button>}
      </span>
    </div>
  );
}

// Step by step in the order given. One step of an incident is out at a time.
export function Steps({ actions, refresh }) {
  const groups = new Map();
  for (const a of actions) {
    const key = `${a.incident}/${a.step}`;
    groups.set(key, [...(groups.get(key) ?? []), a]);
  }
  const taken = new Set(actions.filter((a) => OUT.includes(a.state)).map((a) => a.incident));
  const title = ([first]) => first.step > 0 && first.state === "proposed" && "If that is not enough";
  return [...groups].map(([key, group]) => (
    <Step key={key} title={title(group)} actions={group} free={!taken.has(group[0].incident)} refresh={refresh} />
  ));
}

export function Actions() {
  const actions = usePoll("actions?limit=200");
  if (!actions.data) return <Empty>Asking the analyzer…</Empty>;
  const ordered = [...actions.data].sort((a, b) => b.incident - a.incident || a.id - b.id);
  return (
    <section>
      <h1>Actions</h1>
      <p class="lead">Every change is on loan: it goes back when it is not renewed, when an agent stops, and when it stops helping.</p>
      {actions.data.length === 0 && <Empty>Nothing was changed so far.</Empty>}
      <Steps actions={ordered} refresh={actions.refresh} />
    </section>
  );
}
