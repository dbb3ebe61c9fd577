// Traces: search, the durations over time, the list.
import { useEffect, useState } from "preact/hooks";
import { apiPath, getRows, literal, type Query, type Row } from "../api.ts";
import { numberOf, numberOrZero } from "../exact.ts";
import { localTime, parseInstant, toMillis, utcText } from "../instant.ts";
import { Duration, Figure, Notes, SameQuestion, Service, Link } from "../parts/bits.tsx";
import { Scatter } from "../parts/scatter.tsx";
import { ErrorBox, NoSpans, Waiting } from "../parts/states.tsx";
import { Table, type Column } from "../parts/table.tsx";
import { rangeArguments, rangeKey, rangeQuery } from "../rangequery.ts";
import { absoluteRange, type Range } from "../range.ts";
import { useApp, useAsk } from "../state.tsx";
import { count, grouped, percent, ratio } from "../units.ts";

export interface TraceRow {
  id: string;
  service: string | null;
  name: string | null;
  start: number;
  startText: string;
  duration: number;
  extent: number | null;
  spans: number;
  errors: number;
  services: string[] | number;
  complete: boolean;
}

/** Filters as they stand in the URL; the names are those of the API. */
const FILTERS = ["service", "name", "root_service", "root_name", "status", "min_duration", "max_duration", "attribute"] as const;
const LIMIT = 100;

export function readTrace(row: Row): TraceRow {
  const instant = parseInstant(row["start_time"]);
  const services = row["services"];
  const text = (value: unknown): string | null => (typeof value === "string" ? value : null);
  return {
    id: String(row["trace_id"] ?? ""),
    service: text(row["root_service"]),
    name: text(row["root_name"]),
    start: instant ? toMillis(instant) : 0,
    startText: instant ? utcText(instant) : "",
    duration: numberOrZero(row["duration_nano"]),
    extent: numberOf(row["extent_nano"]),
    spans: numberOrZero(row["spans"]),
    errors: numberOrZero(row["errors"]),
    services: Array.isArray(services) ? services.map(String) : numberOrZero(services),
    complete: row["complete"] === true,
  };
}

function query(params: Record<string, string>, range: Range): Query {
  const filters: Query = {};
  for (const name of FILTERS) filters[name] = params[name] ?? null;
  return { ...rangeQuery(range), ...filters, order: params["order"] ?? null, limit: LIMIT, cursor: params["cursor"] ?? null };
}

const UNITS: Record<string, number> = { ns: 1, us: 1e3, "µs": 1e3, ms: 1e6, s: 1e9, m: 60e9, min: 60e9, h: 3600e9 };

function nanosOf(text: string): string {
  const found = /^\s*(\d+(?:\.\d+)?)\s*(ns|us|µs|ms|s|m|min|h)?\s*$/.exec(text);
  return found ? String(Math.round(Number(found[1]) * (UNITS[found[2] ?? "ns"] ?? 1))) : literal(text);
}

/** The search as SQL over the view `traces`. */
export function statementOf(params: Record<string, string>, range: Range): string {
  const where: string[] = [];
  const spans: string[] = [];
  const p = (name: string): string | undefined => params[name];
  if (p("root_service")) where.push(`root_service = ${literal(p("root_service") ?? "")}`);
  if (p("root_name")) where.push(`root_name = ${literal(p("root_name") ?? "")}`);
  if (p("min_duration")) where.push(`duration_nano >= ${nanosOf(p("min_duration") ?? "")}`);
  if (p("max_duration")) where.push(`duration_nano <= ${nanosOf(p("max_duration") ?? "")}`);
  if (p("service")) spans.push(`service = ${literal(p("service") ?? "")}`);
  if (p("name")) spans.push(`name = ${literal(p("name") ?? "")}`);
  if (p("attribute")) {
    const [key = "", ...value] = (p("attribute") ?? "").split("=");
    spans.push(`attributes[${literal(key)}] = ${literal(value.join("="))}`);
  }
  if (p("status") === "error") (spans.length > 0 ? spans : where).push(spans.length > 0 ? "status = 'ERROR'" : "errors > 0");
  if (spans.length > 0) where.push(`trace_id IN (SELECT trace_id FROM spans WHERE ${spans.join(" AND ")})`);
  const order = p("order") === "slowest" ? "duration_nano DESC" : "start_time DESC";
  return `SELECT * FROM traces${rangeArguments(range)}\n${where.length > 0 ? `WHERE ${where.join("\n  AND ")}\n` : ""}ORDER BY ${order}\nLIMIT ${LIMIT}`;
}

const COLUMNS: Column<TraceRow>[] = [
  { key: "start", label: "Start", value: (row) => row.start, cell: (row) => localTime(row.start), title: (row) => row.startText, className: "mono" },
  { key: "root", label: "Root operation", value: (row) => `${row.service ?? ""} ${row.name ?? ""}`, cell: (row) => <RootName row={row} />, title: (row) => `${row.service ?? "no root"}: ${row.name ?? ""}` },
  { key: "duration", label: "Duration", help: "End minus start of the root span: what the caller waited.", number: true, value: (row) => row.duration, cell: (row) => <Duration nanos={row.duration} /> },
  { key: "extent", label: "Extent", help: "From the first start to the last end of any span: work that went on after the answer included.", number: true, value: (row) => row.extent, cell: (row) => <Duration nanos={row.extent} /> },
  { key: "spans", label: "Spans", number: true, value: (row) => row.spans, cell: (row) => count(row.spans), title: (row) => grouped(row.spans) },
  { key: "errors", label: "Errors", help: "Spans with status ERROR.", number: true, value: (row) => row.errors, cell: (row) => (row.errors > 0 ? <span class="error-text"><span class="mark-error" aria-hidden="true" />{count(row.errors)}</span> : <span class="quiet">0</span>) },
  { key: "services", label: "Services", number: true, value: (row) => (typeof row.services === "number" ? row.services : row.services.length), cell: (row) => (typeof row.services === "number" ? count(row.services) : row.services.length), title: (row) => (typeof row.services === "number" ? "" : row.services.join(", ")) },
  { key: "id", label: "Trace", cell: (row) => <TraceLink id={row.id} />, title: (row) => row.id },
];

function RootName(props: { row: TraceRow }): preact.JSX.Element {
  const { row } = props;
  return (
    <>
      {row.service === null ? <span class="quiet">No root yet</span> : <Service name={row.service} />} <span>{row.name}</span>
      {!row.complete && <span class="badge" title="The root is missing, or a span's parent has not arrived.">incomplete</span>}
    </>
  );
}

function TraceLink(props: { id: string }): preact.JSX.Element {
  const { href } = useApp();
  return <Link to={href("trace", {}, props.id)} class="mono">{props.id.slice(0, 8)}</Link>;
}

export function TracesPage(): preact.JSX.Element {
  const { place, range, open, setRange, set } = useApp();
  const path = apiPath("traces", query(place.params, range));
  const key = JSON.stringify(["traces", rangeKey(place.params), ...FILTERS.map((name) => place.params[name]), place.params["order"], place.params["cursor"]]);
  const { data, error, loading } = useAsk(key, (signal) => getRows(path, signal));
  const rows = (data?.rows ?? []).map(readTrace);
  const next = data?.cursor ?? null;
  const sort = place.params["order"] === "slowest" ? "-duration" : "-start";
  return (
    <>
      <SearchForm key={FILTERS.map((name) => place.params[name]).join("|")} />
      {error && <ErrorBox error={error} what="The search" />}
      {!error && !data && loading && <><Waiting height={160} /><Waiting rows={12} /></>}
      {data && rows.length === 0 && (place.params["cursor"] ? <p>No further traces.</p> : <NoSpans what="traces" />)}
      {data && rows.length > 0 && (
        <>
          <Headline rows={rows} more={next !== null} notes={data.notes} />
          <Scatter rows={rows} onOpen={(id) => open("trace", {}, id)} onSelect={(from, to) => setRange(absoluteRange(from, to))} />
          <Table name="traces" rows={rows} columns={COLUMNS} sort={sort} rowKey={(row) => row.id} onOpen={(row) => open("trace", {}, row.id)} />
        </>
      )}
      {data && (
        <div class="pager">
          {place.params["cursor"] && <button type="button" class="button" onClick={() => set({ cursor: null })}>First page</button>}
          {next && <button type="button" class="button" data-action="next" onClick={() => set({ cursor: next })}>Next {LIMIT}</button>}
        </div>
      )}
      <SameQuestion path={path} statement={statementOf(place.params, range)} />
    </>
  );
}

function Headline(props: { rows: TraceRow[]; more: boolean; notes: Record<string, unknown> }): preact.JSX.Element {
  const { rows } = props;
  const failed = rows.filter((row) => row.errors > 0).length;
  const incomplete = rows.filter((row) => !row.complete).length;
  return (
    <div class="figures">
      <Figure label={props.more ? "Traces on this page" : "Traces"} name="traces">{count(rows.length)}</Figure>
      <Figure label="With errors" name="failed">
        {failed > 0 ? <span class="error-text"><span class="mark-error" aria-hidden="true" />{count(failed)} <small>{percent(ratio(failed, rows.length))}</small></span> : "0"}
      </Figure>
      <Figure label="Slowest" name="slowest"><Duration nanos={Math.max(...rows.map((row) => row.duration))} /></Figure>
      {incomplete > 0 && <Figure label="Incomplete" help="The root is missing, or a span's parent has not arrived.">{count(incomplete)}</Figure>}
      <Notes notes={props.notes} />
    </div>
  );
}

function SearchForm(): preact.JSX.Element {
  const { place, set } = useApp();
  const [values, setValues] = useState<Record<string, string>>({});
  useEffect(() => setValues({}), [place.params]);
  const value = (name: string): string => values[name] ?? place.params[name] ?? "";
  const submit = (event: Event): void => {
    event.preventDefault();
    set({ ...Object.fromEntries(FILTERS.map((name) => [name, value(name).trim()])), order: value("order"), cursor: null });
  };
  const field = (name: string, label: string, hint: string, kind = ""): preact.JSX.Element => (
    <label class={`field ${kind}`}>
      {label}
      <input name={name} value={value(name)} placeholder={hint} spellcheck={false} autocomplete="off" onInput={(event) => setValues({ ...values, [name]: event.currentTarget.value })} />
    </label>
  );
  const filtered = FILTERS.some((name) => place.params[name]);
  return (
    <form class="filters" onSubmit={submit}>
      {field("service", "Service", "any span of")}
      {field("name", "Operation", "any span named", "wide")}
      {field("root_service", "Root service", "started at")}
      {field("root_name", "Root operation", "")}
      {field("min_duration", "At least", "5ms", "narrow")}
      {field("max_duration", "At most", "2s", "narrow")}
      {field("attribute", "Attribute", "http.route=/cart", "wide")}
      <label class="field">
        Order
        <select name="order" value={value("order") || "newest"} onChange={(event) => setValues({ ...values, order: event.currentTarget.value === "newest" ? "" : event.currentTarget.value })}>
          <option value="newest">Newest first</option>
          <option value="slowest">Slowest first</option>
        </select>
      </label>
      <label class="field check">
        <input type="checkbox" name="status" checked={value("status") === "error"} onChange={(event) => setValues({ ...values, status: event.currentTarget.checked ? "error" : "" })} />
        With errors
      </label>
      <button type="submit" class="button primary">Search</button>
      {filtered && <button type="button" class="button" onClick={() => set({ ...Object.fromEntries(FILTERS.map((name) => [name, null])), cursor: null })}>Clear</button>}
    </form>
  );
}
