import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import "uplot/dist/uPlot.min.css";
import "./style.css";
import { usePoll } from "./api.js";
import { clock } from "./format.js";
import { Problems } from "./problems.jsx";
import { ServiceMap } from "./map.jsx";
import { Services } from "./services.jsx";
import { Service } from "./service.jsx";
import { Host } from "./host.jsx";
import { Actions } from "./actions.jsx";
import { System } from "./system.jsx";

const PAGES = [
  ["problems", "Problems", Problems],
  ["map", "Map", ServiceMap],
  ["services", "Services", Services],
  ["actions", "Actions", Actions],
  ["system", "System", System],
];

function useRoute() {
  const read = () => location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  const [route, set] = useState(read);
  useEffect(() => {
    const changed = () => {
      set(read());
      document.getElementById("page")?.focus({ preventScroll: true });
      scrollTo(0, 0);
    };
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  return route;
}

const THEMES = ["auto", "light", "dark"];

function ThemeSwitch() {
  const [theme, set] = useState(localStorage.getItem("sage-theme") ?? "auto");
  useEffect(() => {
    localStorage.setItem("sage-theme", theme);
    document.documentElement.dataset.theme = theme;
  }, [theme]);
  const next = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
  return (
    <button class="quiet" onClick={() => set(next)} title={`Theme: ${theme}. Change to ${next}`}>
      <span aria-hidden="true">{{ auto: "◐", light: "☀", dark: "☾" }[theme]}</span>
      <span class="hidden">Theme {theme}, change to {next}</span>
    </button>
  );
}

function App() {
  const [page, argument] = useRoute();
  const status = usePoll("status");
  const problems = usePoll("slos");
  const violated = (problems.data ?? []).filter((s) => s.violated).length;
  const current = page === "service" || page === "host" ? "services" : page || "problems";
  const Page = PAGES.find(([id]) => id === current)?.[2] ?? Problems;

  useEffect(() => {
    document.title = violated ? `(${violated}) Sage` : "Sage";
  }, [violated]);

  return (
    <>
      <a class="skip" href="#page" onClick={(e) => { e.preventDefault(); document.getElementById("page").focus(); }}>
        Skip to content
      </a>
      <header class="bar">
        <a class="brand" href="#/problems">Sage</a>
        <nav aria-label="Pages">
          {PAGES.map(([id, name]) => (
            <a key={id} href={`#/${id}`} aria-current={id === current ? "page" : undefined}>
              {name}
              {id === "problems" && violated > 0 && <span class="badge">{violated}</span>}
            </a>
          ))}
        </nav>
        <span class="spacer" />
        {status.data && <span class={`mode ${status.data.mode}`} title="What happens with actions">{status.data.mode}</span>}
        <ThemeSwitch />
      </header>
      {status.error && (
        <p class="away" role="status">
          The analyzer does not answer ({status.error}).
          {status.at > 0 && ` What you see is from ${clock(status.at / 1000)}.`}
        </p>
      )}
      <main id="page" class={current === "map" ? "wide" : ""} tabIndex={-1}>
        {page === "service" ? <Service name={argument} /> : page === "host" ? <Host name={argument} /> : <Page status={status.data} slos={problems.data} />}
      </main>
    </>
  );
}

render(<App />, document.getElementById("app"));
