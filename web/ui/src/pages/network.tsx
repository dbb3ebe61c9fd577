// Network: bytes by service in four components that are never mixed, with coverage; and who caused them.
import { apiPath, getRows, type Answer, type Row } from "../api.ts";
import { numberOf, numberOrZero } from "../exact.ts";
import { Badge, Figure, Link, Notes, SameQuestion, Service } from "../parts/bits.tsx";
import { Bytes, measured } from "../parts/bytes.tsx";
import { countColumn, coverageColumn, serviceColumn, sizeColumn, textColumn } from "../parts/columns.tsx";
import { ErrorBox, NoSpans, Waiting } from "../parts/states.tsx";
import { Table, type Column } from "../parts/table.tsx";
import { rangeArguments, rangeKey, rangeQuery } from "../rangequery.ts";
import { useApp, useAsk } from "../state.tsx";
import { percent, ratio } from "../units.ts";
import { CausedFlows, EdgeFlows } from "./network/flows.tsx";
import { EdgesTable, OperationsTable } from "./network/moved.tsx";

interface Usage {
  service: string;
  serverIn: number | null;
  serverOut: number | null;
  clientOut: number | null;
  clientIn: number | null;
  bytesIn: number | null;
  bytesOut: number | null;
  eligible: number;
  coverage: number | null;
}

interface Caused {
  service: string;
  name: string;
  traces: number;
  calls: number;
  bytes: number | null;
  coverage: number | null;
}

function readUsage(row: Row): Usage {
  return {
    service: String(row["service"] ?? ""),
    serverIn: numberOf(row["server_in"]),
    serverOut: numberOf(row["server_out"]),
    clientOut: numberOf(row["client_out"]),
    clientIn: numberOf(row["client_in"]),
    bytesIn: numberOf(row["bytes_in"]),
    bytesOut: numberOf(row["bytes_out"]),
    eligible: numberOrZero(row["eligible_spans"] ?? row["spans"]),
    coverage: numberOf(row["coverage"]),
  };
}

function readCaused(row: Row): Caused {
  return { service: String(row["root_service"] ?? ""), name: String(row["root_name"] ?? ""), traces: numberOrZero(row["traces"]), calls: numberOrZero(row["calls"]), bytes: numberOf(row["bytes"]), coverage: numberOf(row["coverage"]) };
}

/** In and out; on demand the four components that they are made of. */
function columns(withParts: boolean): Column<Usage>[] {
  const part = (key: "serverIn" | "serverOut" | "clientOut" | "clientIn" | "bytesIn" | "bytesOut", label: string, help: string): Column<Usage> => ({
    key, label, help, number: true, value: (row) => measured(row[key], row.coverage), cell: (row) => <Bytes value={row[key]} coverage={row.coverage} />,
  });
  return [
    serviceColumn("service", "Service", (row) => row.service, { link: true }),
    part("bytesIn", "In", "server in + client in."),
    part("bytesOut", "Out", "server out + client out."),
    ...(withParts
      ? [
          part("serverIn", "Server in", "Bodies of requests that it served, and of messages that it consumed."),
          part("serverOut", "Server out", "Bodies of the responses that it gave."),
          part("clientOut", "Client out", "Bodies of requests that it made, and of messages that it produced."),
          part("clientIn", "Client in", "Bodies of the responses that it got."),
        ]
      : []),
    countColumn("eligible", "Eligible spans", (row) => row.eligible, "Spans that could carry a body size."),
    coverageColumn("Share of eligible spans that carried a size. Sizes are optional: a low coverage means that the bytes are a lower bound."),
  ];
}

function each(row: Caused): number | null {
  const whole = measured(row.bytes, row.coverage);
  return whole === null ? null : whole / Math.max(1, row.traces);
}

const CAUSED_COLUMNS: Column<Caused>[] = [
  { key: "service", label: "Root service", value: (row) => row.service, cell: (row) => (row.service === "" ? <span class="quiet">No root yet</span> : <Service name={row.service} />) },
  textColumn("name", "Root operation", (row) => row.name),
  countColumn("traces", "Traces", (row) => row.traces),
  countColumn("calls", "Calls", (row) => row.calls, "Calls between services in those traces."),
  sizeColumn("bytes", "Bytes caused", (row) => row.bytes, "All bytes moved between services in the traces that this operation started."),
  { key: "each", label: "A trace", number: true, value: (row) => each(row), cell: (row) => <Bytes value={each(row)} coverage={row.coverage} /> },
  coverageColumn("Share of those calls that carried a size."),
  { key: "open", label: "", cell: (row) => <TracesLink row={row} /> },
];

function TracesLink(props: { row: Caused }): preact.JSX.Element {
  const { href } = useApp();
  return <Link to={href("traces", { root_service: props.row.service, root_name: props.row.name })}>Traces</Link>;
}

interface Way {
  key: string;
  label: string;
  help: string;
  path: string;
  view: string;
  sort: string;
  Part: (props: { answer: Answer }) => preact.JSX.Element;
}

const WAYS: readonly Way[] = [
  { key: "", label: "By service", help: "Bytes of bodies that each service moved", path: "network", view: "network", sort: "bytes_out", Part: UsageTable },
  { key: "operations", label: "By operation", help: "Bytes of bodies that the spans of each operation carried", path: "network/operations", view: "network_operations", sort: "bytes_in + bytes_out", Part: OperationsTable },
  { key: "edges", label: "By edge", help: "Bytes between each two, once: as the called one recorded them, else as the caller did", path: "dependencies", view: "dependencies", sort: "request_bytes + response_bytes", Part: EdgesTable },
  { key: "caused", label: "Caused by operations", help: "Bytes moved in the traces that each root operation started", path: "network/caused", view: "network_caused", sort: "bytes", Part: CausedTable },
  { key: "services", label: "Caused by services", help: "Bytes moved below the spans of each service: by itself and by all that it called, directly or not", path: "network/caused/services", view: "network_caused_services", sort: "bytes", Part: ServicesTable },
];

export function NetworkPage(): preact.JSX.Element {
  const { place, range, set } = useApp();
  const way = WAYS.find((one) => one.key === (place.params["by"] ?? "")) ?? (WAYS[0] as Way);
  const path = apiPath(way.path, rangeQuery(range));
  const { data, error, loading } = useAsk(JSON.stringify(["network", way.key, rangeKey(place.params)]), (signal) => getRows(path, signal));
  return (
    <>
      <div class="section-head">
        <span class="tabs" role="group" aria-label="Bytes by">
          {WAYS.map((one) => (
            <button key={one.key} type="button" class={one === way ? "on" : ""} aria-pressed={one === way} onClick={() => set({ by: one.key, sort: null })}>{one.label}</button>
          ))}
        </span>
        {way.key === "" && <label class="field check"><input type="checkbox" checked={place.params["parts"] === "1"} onChange={(event) => set({ parts: event.currentTarget.checked ? "1" : null }, true)} />Four components</label>}
        <span class="quiet">{way.help}</span>
      </div>
      {error && <ErrorBox error={error} what="Network" />}
      {!error && !data && loading && <><Waiting height={44} /><Waiting rows={10} /></>}
      {data && (data.rows.length === 0 ? <NoSpans what="spans" /> : <way.Part answer={data} />)}
      {data && <SameQuestion path={path} statement={`SELECT * FROM ${way.view}${rangeArguments(range)}\nORDER BY ${way.sort} DESC`} />}
    </>
  );
}

function UsageTable(props: { answer: Answer }): preact.JSX.Element {
  const withParts = useApp().place.params["parts"] === "1";
  const rows = props.answer.rows.map(readUsage);
  const sum = (value: (row: Usage) => number | null): number => rows.reduce((total, row) => total + (value(row) ?? 0), 0);
  const eligible = sum((row) => row.eligible);
  const sized = sum((row) => (row.coverage ?? 0) * row.eligible);
  const coverage = ratio(sized, eligible);
  return (
    <>
      <div class="figures">
        <Figure label="Served" help="Request and response bodies as servers saw them, messages as consumers did.">{<Bytes value={sum((row) => row.serverIn) + sum((row) => row.serverOut)} coverage={coverage} />}</Figure>
        <Figure label="Called" help="The same traffic as clients and producers saw it, and what went to external systems.">{<Bytes value={sum((row) => row.clientIn) + sum((row) => row.clientOut)} coverage={coverage} />}</Figure>
        <Figure label="Coverage" name="coverage" help="Share of eligible spans that carried a size.">{percent(coverage)}</Figure>
        {coverage !== null && coverage < 0.9 && <Badge tone="warn" title="Spans without a size count no bytes: the true figures are higher.">lower bound</Badge>}
        <Notes notes={otherNotes(props.answer.notes)} />
      </div>
      <div class={withParts ? "beside stacked" : "beside"}>
        <Table name="network" rows={rows} columns={columns(withParts)} sort="-bytesOut" rowKey={(row) => row.service} />
        <EdgeFlows />
      </div>
    </>
  );
}

/** The coverage is a figure of its own on this page. */
function otherNotes(notes: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(notes).filter(([name]) => name !== "coverage"));
}

function CausedTable(props: { answer: Answer }): preact.JSX.Element {
  const rows = props.answer.rows.map(readCaused);
  const total = rows.reduce((sum, row) => sum + (row.bytes ?? 0), 0);
  const calls = rows.reduce((sum, row) => sum + row.calls, 0);
  const coverage = ratio(rows.reduce((sum, row) => sum + (row.coverage ?? 0) * row.calls, 0), calls);
  return (
    <>
      <div class="figures">
        <Figure label="Bytes caused" name="bytes"><Bytes value={total} coverage={coverage} /></Figure>
        <Figure label="Root operations">{rows.length}</Figure>
        <Figure label="Coverage" name="coverage" help="Share of calls between services that carried a size.">{percent(coverage)}</Figure>
        <Notes notes={otherNotes(props.answer.notes)} />
      </div>
      <div class="beside wide">
        <Table name="caused" rows={rows} columns={CAUSED_COLUMNS} sort="-bytes" rowKey={(row) => `${row.service}\n${row.name}`} />
        <CausedFlows rows={rows.map((row) => ({ ...row, bytes: measured(row.bytes, row.coverage) ?? 0 }))} />
      </div>
    </>
  );
}

/** A trace counts with each of its services, so that the lines do not add up to the whole. */
function ServicesTable(props: { answer: Answer }): preact.JSX.Element {
  const rows = props.answer.rows.map((row): Caused => ({ ...readCaused(row), service: String(row["service"] ?? "") }));
  const columns = CAUSED_COLUMNS.filter((column) => !["name", "open"].includes(column.key)).map((column) =>
    column.key === "service" ? { ...column, label: "Service", cell: (row: Caused) => <Service name={row.service} link /> } : column.key === "bytes" ? { ...column, help: "All bytes moved below its spans, its own calls among them, each call once." } : column,
  );
  return (
    <>
      <div class="figures">
        <Figure label="Services" name="services">{rows.length}</Figure>
        <Notes notes={otherNotes(props.answer.notes)} />
      </div>
      <Table name="caused-services" rows={rows} columns={columns} sort="-bytes" rowKey={(row) => row.service} />
    </>
  );
}
