// Actions: what was changed where, whether it helped, and the buttons.
import { useState } from "preact/hooks";
import { post, usePoll } from "./api.js";
import * as f from "./format.js";
import { Empty } from "./parts.jsx";

const MAY_APPLY = ["proposed", "reverted", "lifted"];
const MAY_UNDO = ["sent", "applied"];

const outcome = (a) =>
  a.verified === true ? "helped" : a.verified === false ? "did not help" : a.state === "applied" ? "being verified" : "";

export function ActionRow({ action: a, refresh }) {
  const [problem, setProblem] = useState(null);
  const [busy, setBusy] = useState(false);
  const send = async (verb) => {
    setBusy(true);
    setProblem(null);
    try {
      await post(`actions/${a.id}/${verb}`);
      refresh?.();
    } catch (e) {
      setProblem(e.message);
    }
    setBusy(false);
  };
  return (
    <div class="action">
      <div>
        <strong>{a.knob.replaceAll("_", " ")}</strong> of {a.service}{a.container ? `/${a.container}` : ""}:{" "}
        <span class="number">{f.knobValue(a.knob, a.old_value)} → {f.knobValue(a.knob, a.value)}</span>
        <small>{a.reason}{a.detail ? ` · ${a.detail}` : ""}</small>
        <small>
          {a.agent} · {a.path} · {f.clock(a.applied ?? a.created)}
          {a.before !== null && a.after !== null && ` · ${f.microseconds(a.before)} → ${f.microseconds(a.after)}`}
          {a.predicted !== null && ` (predicted ${f.microseconds(a.predicted)})`}
        </small>
        {problem && <small class="problem" role="alert">{problem}</small>}
      </div>
      <span class={`state ${a.state}`}>{a.state}</span>
      <span class="fine">{outcome(a)}</span>
      <span class="buttons">
        {MAY_APPLY.includes(a.state) && <button disabled={busy} onClick={() => send("apply")}>Apply</button>}
        {MAY_UNDO.includes(a.state) && <button disabled={busy} onClick={() => send("undo")}>Undo</button>}
      </span>
    </div>
  );
}

export function Actions() {
  const actions = usePoll("actions?limit=200");
  if (!actions.data) return <Empty>Asking the analyzer…</Empty>;
  return (
    <section>
      <h1>Actions</h1>
      <p class="lead">Every change is on loan: it goes back when it is not renewed, when an agent stops, and when it stops helping.</p>
      {actions.data.length === 0 && <Empty>Nothing was changed so far.</Empty>}
      {actions.data.map((a) => <ActionRow key={a.id} action={a} refresh={actions.refresh} />)}
    </section>
  );
}
