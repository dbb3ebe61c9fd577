// Dependencies: who calls whom, as a map and as a table of the same edges.
import { useMemo, useState } from "preact/hooks";
import { apiPath, getRows, type Row } from "../api.ts";
import { numberOf, numberOrZero } from "../exact.ts";
import { busiest, byCalls, focused, MOST_NODES, NODES_AROUND, withBefore, type Edge } from "../graph.ts";
import { Duration, Errors, Figure, Notes, SameQuestion, Service } from "../parts/bits.tsx";
import { CHANGES, MapView, MEASURES, type Measure } from "../parts/map.tsx";
import { errorColumn, serviceColumn, textColumn } from "../parts/columns.tsx";
import { ErrorBox, NoSpans, Waiting } from "../parts/states.tsx";
import { Table, type Column } from "../parts/table.tsx";
import { rangeBefore, type Range } from "../range.ts";
import { rangeArguments, rangeKey, rangeQuery } from "../rangequery.ts";
import { useApp, useAsk } from "../state.tsx";
import { bytes, count, grouped } from "../units.ts";

function BeforeCalls(props: { edge: Edge }): preact.JSX.Element {
  const { before, calls } = props.edge;
  if (!before) return <span class="badge" title="Not called in the window before.">new</span>;
  return <>{calls === 0 && <span class="badge" title="Not called in this window.">gone</span>} {count(before.calls)}</>;
}

export function readEdge(row: Row): Edge {
  // A sum of 0 means that no size of this kind was recorded, not that nothing was sent.
  const size = (name: string): number | null => numberOf(row[name]) || null;
  return {
    caller: String(row["caller"] ?? ""),
    callee: String(row["callee"] ?? ""),
    kind: String(row["kind"] ?? ""),
    calls: numberOrZero(row["calls"]),
    errors: numberOrZero(row["errors"]),
    callerP50: numberOf(row["caller_p50_nano"]),
    callerP99: numberOf(row["caller_p99_nano"]),
    calleeP50: numberOf(row["callee_p50_nano"]),
    calleeP99: numberOf(row["callee_p99_nano"]),
    requestBytes: size("request_bytes"),
    responseBytes: size("response_bytes"),
    weighted: numberOrZero(row["weighted_calls"]),
  };
}

function Bytes(props: { value: number | null }): preact.JSX.Element {
  if (props.value === null) return <span class="quiet" title="No call recorded this size.">–</span>;
  return <span title={`${grouped(props.value)} B`}>{bytes(props.value)}</span>;
}

function columns(compared: boolean): Column<Edge>[] {
  const change: Column<Edge>[] = compared ? [{ key: "before", label: "Calls before", help: "In the window before, of the same length.", number: true, value: (row) => row.before?.calls ?? 0, cell: (row) => <BeforeCalls edge={row} />, title: (row) => grouped(row.before?.calls ?? 0) }] : [];
  const nanos = (key: "callerP50" | "callerP99" | "calleeP50" | "calleeP99", label: string, help: string): Column<Edge> => ({
    key, label, help, number: true, value: (row) => row[key], cell: (row) => <Duration nanos={row[key]} />,
  });
  return [
    serviceColumn("caller", "Caller", (row) => row.caller),
    serviceColumn("callee", "Callee", (row) => row.callee),
    textColumn("kind", "Kind", (row) => row.kind, "rpc: parent and child in different services. messaging: the child consumes. link: a consumer's link. database, external: a client without a child in another service."),
    {
      key: "calls", label: "Calls", number: true, value: (row) => row.calls, title: (row) => grouped(row.calls),
      cell: (row) => <>{count(row.calls)}{Math.abs(row.weighted - row.calls) > 0.5 && <span class="quiet" title="Estimated from sampling weights"> ≈ {count(row.weighted)}</span>}</>,
    },
    ...change,
    errorColumn("Share of calls whose callee failed.", (row) => row.calls),
    nanos("callerP50", "p50 caller", "Half of the calls took at most this long, as the caller saw them."),
    nanos("callerP99", "p99 caller", "99 % of the calls took at most this long, as the caller saw them."),
    nanos("calleeP50", "p50 callee", "Half of the calls took at most this long, as the callee saw them. The difference is network and queueing."),
    nanos("calleeP99", "p99 callee", "99 % of the calls took at most this long, as the callee saw them."),
    { key: "request", label: "Request", help: "Bytes of request bodies, where a size was recorded.", number: true, value: (row) => row.requestBytes, cell: (row) => <Bytes value={row.requestBytes} /> },
    { key: "response", label: "Response", help: "Bytes of response bodies, where a size was recorded.", number: true, value: (row) => row.responseBytes, cell: (row) => <Bytes value={row.responseBytes} /> },
  ];
}

interface Answered {
  edges: Edge[];
  notes: Record<string, unknown>;
}

async function askEdges(range: Range, signal: AbortSignal): Promise<Answered> {
  const answer = await getRows(apiPath("dependencies", rangeQuery(range)), signal);
  return { edges: answer.rows.map(readEdge), notes: answer.notes };
}

/** A map that is too large to read starts around its busiest service. */
const EVERYTHING = "*";

export function DependenciesPage(): preact.JSX.Element {
  const { place, range, set } = useApp();
  const { params } = place;
  const path = apiPath("dependencies", rangeQuery(range));
  const { data, error, loading } = useAsk(JSON.stringify(["dependencies", rangeKey(params)]), (signal) => askEdges(range, signal));
  const earlier = params["against"] === "before" ? rangeBefore(range) : null;
  const before = useAsk(earlier ? JSON.stringify(["dependencies before", rangeKey(params)]) : null, (signal) => askEdges(earlier ?? range, signal));
  const edges = useMemo(() => (data && earlier && before.data ? withBefore(data.edges, before.data.edges) : (data?.edges ?? [])), [data, before.data, earlier !== null]);
  const busy = useMemo(() => byCalls(edges), [edges]);
  const isLarge = busy.length > MOST_NODES;
  const asked = params["focus"] ?? "";
  const focus = asked === EVERYTHING ? "" : asked || (isLarge ? (busy[0]?.[0] ?? "") : "");
  const depth = params["depth"] === "2" ? 2 : params["depth"] === "all" ? 1000 : 1;
  const most = Math.min(200, Math.max(2, Number(params["nodes"]) || (focus === "" ? MOST_NODES : NODES_AROUND)));
  const around = useMemo(() => focused(edges, focus, depth), [edges, focus, depth]);
  const shown = useMemo(() => busiest(around, most, focus), [around, most, focus]);
  if (error) return <ErrorBox error={error} what="The map" />;
  if (!data && loading) return <><Waiting height={44} /><Waiting height={420} /></>;
  if (!data || data.edges.length === 0) return <NoSpans what="calls between services" />;
  const measures = earlier ? [...MEASURES, ...CHANGES] : MEASURES;
  const standard = earlier ? "callsChange" : "errors";
  const measure = (measures.find((one) => one.key === params["measure"])?.key ?? standard) as Measure;
  const onFocus = (name: string): void => set(name === focus ? { focus: isLarge ? EVERYTHING : null, depth: null, nodes: null } : { focus: name, nodes: null });
  return (
    <>
      <Headline edges={data.edges} notes={data.notes} />
      <section class="section">
        <div class="section-head">
          <Find names={busy.map(([name]) => name)} onFind={(name) => set({ focus: name, nodes: null })} />
          <label class="quiet">
            Colour by{" "}
            <select value={measure} onChange={(event) => set({ measure: event.currentTarget.value === standard ? null : event.currentTarget.value }, true)}>
              {measures.map((one) => <option key={one.key} value={one.key}>{one.label}</option>)}
            </select>
          </label>
          {rangeBefore(range) && <label class="field check"><input type="checkbox" checked={earlier !== null} onChange={() => set({ against: earlier ? null : "before", measure: null })} />Against the window before</label>}
          {earlier && before.loading && !before.data && <span class="quiet">Asking for the window before…</span>}
          {earlier && before.error && <span class="error-text">The window before failed: {before.error.message}</span>}
          {focus && <Focus name={focus} depth={params["depth"] ?? "1"} whole={isLarge ? EVERYTHING : null} />}
          <Exports path={path} />
        </div>
        {shown.hidden > 0 && (
          <p class="quiet" data-part="hidden">
            {isLarge && asked === "" && <>{grouped(busy.length)} services and {grouped(edges.length)} edges: the map starts around the busiest. </>}
            The {grouped(nodesOf(shown.edges))} busiest {focus ? "around it " : ""}are drawn, {grouped(nodesOf(around) - nodesOf(shown.edges))} more are hidden.{" "}
            {most < 200 && <button type="button" class="link" onClick={() => set({ nodes: String(Math.min(200, most + 40)) }, true)}>Draw 40 more</button>}
          </p>
        )}
        <MapView edges={shown.edges} measure={measure} focus={focus} onFocus={onFocus} />
      </section>
      <section class="section">
        <div class="section-head"><h2>Edges</h2><span class="quiet">{focus ? `${grouped(around.length)} around ${focus}` : grouped(edges.length)}</span></div>
        <Table name="dependencies" rows={focus ? around : edges} columns={columns(earlier !== null)} sort="-calls" rowKey={(row) => `${row.caller}\n${row.callee}\n${row.kind}`} onOpen={(row) => set({ focus: row.callee, nodes: null })} />
        <SameQuestion path={path} statement={`SELECT * FROM dependencies${rangeArguments(range)}\nORDER BY calls DESC`} />
      </section>
    </>
  );
}

function nodesOf(edges: readonly Edge[]): number {
  return new Set(edges.flatMap((edge) => [edge.caller, edge.callee])).size;
}

function Headline(props: { edges: readonly Edge[]; notes: Record<string, unknown> }): preact.JSX.Element {
  const calls = props.edges.reduce((sum, edge) => sum + edge.calls, 0);
  const errors = props.edges.reduce((sum, edge) => sum + edge.errors, 0);
  return (
    <div class="figures">
      <Figure label="Services and external systems" name="nodes">{grouped(nodesOf(props.edges))}</Figure>
      <Figure label="Edges" name="edges">{grouped(props.edges.length)}</Figure>
      <Figure label="Calls" name="calls" title={grouped(calls)}>{count(calls)}</Figure>
      <Figure label="Errors" name="errors"><Errors errors={errors} of={calls} /></Figure>
      <Notes notes={props.notes} />
    </div>
  );
}

/** A service by name; the browser completes it. */
function Find(props: { names: readonly string[]; onFind: (name: string) => void }): preact.JSX.Element {
  const [text, setText] = useState("");
  const found = (value: string): string | undefined => props.names.find((name) => name === value) ?? props.names.find((name) => name.toLowerCase().includes(value.toLowerCase()));
  const go = (value: string): void => {
    const name = value.trim() === "" ? undefined : found(value.trim());
    if (!name) return;
    setText("");
    props.onFind(name);
  };
  return (
    <form class="find" onSubmit={(event) => { event.preventDefault(); go(text); }}>
      <input
        type="search"
        list="service-names"
        placeholder="Find a service"
        aria-label="Find a service"
        value={text}
        onInput={(event) => {
          const { value } = event.currentTarget;
          setText(value);
          if (!(event instanceof InputEvent) || event.inputType === "insertReplacementText") go(value);
        }}
      />
      <datalist id="service-names">{props.names.slice(0, 2000).map((name) => <option key={name} value={name} />)}</datalist>
    </form>
  );
}

function Focus(props: { name: string; depth: string; whole: string | null }): preact.JSX.Element {
  const { set } = useApp();
  return (
    <>
      <span>Around <Service name={props.name} /></span>
      <span class="tabs" role="group" aria-label="Depth">
        {["1", "2", "all"].map((depth) => (
          <button key={depth} type="button" class={props.depth === depth ? "on" : ""} onClick={() => set({ depth: depth === "1" ? null : depth, focus: props.name, nodes: null }, true)}>{depth === "all" ? "all steps" : depth === "1" ? "1 step" : "2 steps"}</button>
        ))}
      </span>
      <button type="button" class="button" onClick={() => set({ focus: props.whole, depth: null, nodes: null })}>Whole map</button>
    </>
  );
}

function Exports(props: { path: string }): preact.JSX.Element {
  const join = props.path.includes("?") ? "&" : "?";
  const formats = [["dot", "DOT", "dot"], ["mermaid", "Mermaid", "mmd"], ["graphml", "GraphML", "graphml"], ["csv", "CSV", "csv"], ["json", "JSON", "json"], ["jaeger", "Jaeger", "jaeger.json"]] as const;
  return (
    <span class="exports push">
      <span class="quiet">Export</span>
      {formats.map(([format, label, extension]) => (
        <a key={format} href={`${props.path}${join}format=${format}`} download={`dependencies.${extension}`}>{label}</a>
      ))}
    </span>
  );
}
