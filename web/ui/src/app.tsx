// The frame: rail, bar, and the page that the URL names.
import { useEffect, useState } from "preact/hooks";
import { copyWhole } from "./copy.ts";
import { useKeys } from "./keys.ts";
import { Bar } from "./parts/bar.tsx";
import { Help } from "./parts/help.tsx";
import { Rail } from "./parts/rail.tsx";
import { ComparePage } from "./pages/compare.tsx";
import { DependenciesPage } from "./pages/dependencies.tsx";
import { LatencyPage } from "./pages/latency.tsx";
import { NetworkPage } from "./pages/network.tsx";
import { OverviewPage } from "./pages/overview.tsx";
import { PatternsPage } from "./pages/patterns.tsx";
import { SqlPage } from "./pages/sql/page.tsx";
import { StoragePage } from "./pages/storage.tsx";
import { TailPage } from "./pages/tail.tsx";
import { TracesPage } from "./pages/traces.tsx";
import { TracePage } from "./pages/trace/page.tsx";
import { StateProvider, useRootState, type State } from "./state.tsx";
import { isRanged, type Page } from "./url.ts";

const VIEWS: Record<Page, () => preact.JSX.Element> = {
  overview: OverviewPage,
  traces: TracesPage,
  trace: TracePage,
  latency: LatencyPage,
  compare: ComparePage,
  dependencies: DependenciesPage,
  network: NetworkPage,
  patterns: PatternsPage,
  sql: SqlPage,
  tail: TailPage,
  storage: StoragePage,
};

const TITLES: Record<Page, string> = {
  overview: "Overview",
  traces: "Traces",
  trace: "Trace",
  latency: "Latency",
  compare: "Compare",
  dependencies: "Dependencies",
  network: "Network",
  patterns: "Patterns",
  sql: "SQL",
  tail: "Tail",
  storage: "Storage",
};

export function App(): preact.JSX.Element {
  const state = useRootState();
  const [help, setHelp] = useState(false);
  const { page, id, lost } = state.place;
  const title = lost === undefined ? TITLES[page] : "No such page";
  useEffect(() => {
    document.title = page === "trace" ? `Trace ${id.slice(0, 8)} · Spanlake` : `${title} · Spanlake`;
  }, [page, id, title]);
  useEffect(copyWhole, []);
  useKeys(state, { help: () => setHelp((shown) => !shown), close: () => setHelp(false) });
  return (
    <StateProvider value={state}>
      <div class="frame">
        <Rail onHelp={() => setHelp(true)} />
        <div class="main">
          <Bar title={title} />
          <Content key={title} state={state} />
        </div>
        {help && <Help onClose={() => setHelp(false)} />}
      </div>
    </StateProvider>
  );
}

function Content(props: { state: State }): preact.JSX.Element {
  const { page, lost } = props.state.place;
  const View = VIEWS[page];
  if (lost !== undefined) {
    return (
      <main class="content" id="content">
        <div class="box empty" role="alert">
          <b>There is no page at {lost}</b>
          <p>The address may be of another version, or cut short. <a href="/">Open the overview</a></p>
        </div>
      </main>
    );
  }
  return (
    <main class={`content page-${page}`} id="content">
      {props.state.rangeError && isRanged(page) ? (
        <div class="box box-error" role="alert">
          <b><span class="mark-error" aria-hidden="true" /> The time range cannot be read: {props.state.rangeError}</b>
          <p>Write <code>-1h</code>, <code>now</code>, <code>2026-11-22T10:00:00Z</code> or Unix seconds.</p>
        </div>
      ) : (
        <View />
      )}
    </main>
  );
}
