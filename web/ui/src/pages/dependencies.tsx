// Dependencies: who calls whom, as a map and as a table of the same edges.
import { useMemo } from "preact/hooks";
import { apiPath, getRows, type Row } from "../api.ts";
import { numberOf, numberOrZero } from "../exact.ts";
import { busiest, focused, MOST_NODES, type Edge } from "../graph.ts";
import { Duration, Errors, Figure, Notes, SameQuestion, Service } from "../parts/bits.tsx";
import { MapView, MEASURES, type Measure } from "../parts/map.tsx";
import { ErrorBox, NoSpans, Waiting } from "../parts/states.tsx";
import { Table, type Column } from "../parts/table.tsx";
import { rangeArguments, rangeKey, rangeQuery } from "../rangequery.ts";
import { useApp, useAsk } from "../state.tsx";
import { bytes, count, grouped } from "../units.ts";

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

function columns(): Column<Edge>[] {
  const nanos = (key: "callerP50" | "callerP99" | "calleeP50" | "calleeP99", label: string, help: string): Column<Edge> => ({
    key, label, help, number: true, value: (row) => row[key], cell: (row) => <Duration nanos={row[key]} />,
  });
  return [
    { key: "caller", label: "Caller", value: (row) => row.caller, cell: (row) => <Service name={row.caller} /> },
    { key: "callee", label: "Callee", value: (row) => row.callee, cell: (row) => <Service name={row.callee} /> },
    { key: "kind", label: "Kind", help: "rpc: parent and child in different services. messaging: the child consumes. link: a consumer's link. database, external: a client without a child in another service.", value: (row) => row.kind, cell: (row) => row.kind },
    {
      key: "calls", label: "Calls", number: true, value: (row) => row.calls, title: (row) => grouped(row.calls),
      cell: (row) => <>{count(row.calls)}{Math.abs(row.weighted - row.calls) > 0.5 && <span class="quiet" title="Estimated from sampling weights"> ≈ {count(row.weighted)}</span>}</>,
    },
    { key: "errors", label: "Errors", help: "Share of calls whose callee failed.", number: true, value: (row) => row.errors / Math.max(1, row.calls), cell: (row) => <Errors errors={row.errors} of={row.calls} /> },
    nanos("callerP50", "p50 caller", "Half of the calls took at most this long, as the caller saw them."),
    nanos("callerP99", "p99 caller", "99 % of the calls took at most this long, as the caller saw them."),
    nanos("calleeP50", "p50 callee", "Half of the calls took at most this long, as the callee saw them. The difference is network and queueing."),
    nanos("calleeP99", "p99 callee", "99 % of the calls took at most this long, as the callee saw them."),
    { key: "request", label: "Request", help: "Bytes of request bodies, where a size was recorded.", number: true, value: (row) => row.requestBytes, cell: (row) => <Bytes value={row.requestBytes} /> },
    { key: "response", label: "Response", help: "Bytes of response bodies, where a size was recorded.", number: true, value: (row) => row.responseBytes, cell: (row) => <Bytes value={row.responseBytes} /> },
  ];
}

export function DependenciesPage(): preact.JSX.Element {
  const { place, range, set } = useApp();
  const path = apiPath("dependencies", rangeQuery(range));
  const { data, error, loading } = useAsk(JSON.stringify(["dependencies", rangeKey(place.params)]), async (signal) => {
    const answer = await getRows(path, signal);
    return { edges: answer.rows.map(readEdge), notes: answer.notes };
  });
  const focus = place.params["focus"] ?? "";
  const depth = place.params["depth"] === "2" ? 2 : place.params["depth"] === "all" ? 1000 : 1;
  const shown = useMemo(() => busiest(focused(data?.edges ?? [], focus, depth), MOST_NODES), [data, focus, depth]);
  if (error) return <ErrorBox error={error} what="The map" />;
  if (!data && loading) return <><Waiting height={44} /><Waiting height={420} /></>;
  if (!data || data.edges.length === 0) return <NoSpans what="calls between services" />;
  const measure = (MEASURES.find((one) => one.key === place.params["measure"])?.key ?? "errors") as Measure;
  const nodes = new Set(data.edges.flatMap((edge) => [edge.caller, edge.callee]));
  const calls = data.edges.reduce((sum, edge) => sum + edge.calls, 0);
  const errors = data.edges.reduce((sum, edge) => sum + edge.errors, 0);
  return (
    <>
      <div class="figures">
        <Figure label="Services and external systems" name="nodes">{nodes.size}</Figure>
        <Figure label="Edges" name="edges">{data.edges.length}</Figure>
        <Figure label="Calls" name="calls" title={grouped(calls)}>{count(calls)}</Figure>
        <Figure label="Errors" name="errors"><Errors errors={errors} of={calls} /></Figure>
        <Notes notes={data.notes} />
      </div>
      <section class="section">
        <div class="section-head">
          <label class="quiet">
            Colour by{" "}
            <select value={measure} onChange={(event) => set({ measure: event.currentTarget.value === "errors" ? null : event.currentTarget.value }, true)}>
              {MEASURES.map((one) => <option key={one.key} value={one.key}>{one.label}</option>)}
            </select>
          </label>
          {focus && <Focus name={focus} depth={place.params["depth"] ?? "1"} />}
          {shown.hidden > 0 && <span class="quiet">The {MOST_NODES} busiest are shown; {shown.hidden} more are hidden</span>}
          <Exports path={path} />
        </div>
        <MapView edges={shown.edges} measure={measure} focus={focus} onFocus={(name) => set({ focus: name === focus ? null : name, depth: name === focus ? null : (place.params["depth"] ?? null) })} />
      </section>
      <section class="section">
        <div class="section-head"><h2>Edges</h2>{focus && <span class="quiet">of the map above</span>}</div>
        <Table name="dependencies" rows={focus ? shown.edges : data.edges} columns={columns()} sort="-calls" rowKey={(row) => `${row.caller}\n${row.callee}\n${row.kind}`} onOpen={(row) => set({ focus: row.callee })} />
        <SameQuestion path={path} statement={`SELECT * FROM dependencies${rangeArguments(range)}\nORDER BY calls DESC`} />
      </section>
    </>
  );
}

function Focus(props: { name: string; depth: string }): preact.JSX.Element {
  const { set } = useApp();
  return (
    <>
      <span>Around <Service name={props.name} /></span>
      <span class="tabs" role="group" aria-label="Depth">
        {["1", "2", "all"].map((depth) => (
          <button key={depth} type="button" class={props.depth === depth ? "on" : ""} onClick={() => set({ depth: depth === "1" ? null : depth }, true)}>{depth === "all" ? "all steps" : depth === "1" ? "1 step" : "2 steps"}</button>
        ))}
      </span>
      <button type="button" class="button" onClick={() => set({ focus: null, depth: null })}>Whole map</button>
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
