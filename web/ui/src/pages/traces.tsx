// Traces: search, the durations over time, the list.
import { useEffect, useState } from "preact/hooks";
import { BrushMenu } from "../parts/brush.tsx";
import { Facets } from "./traces/facets.tsx";
import { apiPath, getRows, literal, sql, type Query, type Row } from "../api.ts";
import { numberOf, numberOrZero } from "../exact.ts";
import { askHeat, boxParams, type Box, type Cell } from "../heat.ts";
import { localTime, millisToNanoText, parseInstant, toMillis, utcText } from "../instant.ts";
import { Duration, Figure, Notes, SameQuestion, Service, Link } from "../parts/bits.tsx";
import { Heatmap } from "../parts/heatmap.tsx";
import { Scatter } from "../parts/scatter.tsx";
import { countColumn, durationColumn } from "../parts/columns.tsx";
import { ErrorBox, NoSpans, Waiting } from "../parts/states.tsx";
import { Table, type Column } from "../parts/table.tsx";
import { rangeArguments, rangeKey, rangeQuery } from "../rangequery.ts";
import type { Range } from "../range.ts";
import { useApp, useAsk } from "../state.tsx";
import { count, duration, grouped, percent, ratio } from "../units.ts";

export interface TraceRow {
  id: string;
  service: string | null;
  name: string | null;
  start: number;
  startText: string;
  duration: number;
  extent: number | null;
  spans: number;
  /** Spans that failed. */
  errors: number;
  rootFailed: boolean;
  services: string[] | number;
  complete: boolean;
}

/** Filters as they stand in the URL; the names are those of the API. */
const FILTERS = ["service", "name", "kind", "scope_name", "root_service", "root_name", "root_status", "status", "min_duration", "max_duration", "attribute", "resource"] as const;
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
    rootFailed: row["root_error"] === true,
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

/** Columns by which the list can be sorted: how they are called in the URL and in SQL. The API knows the first two, and only those have pages. */
const ORDERS: Record<string, string> = {
  newest: "start_time DESC", slowest: "duration_nano DESC", oldest: "start_time", fastest: "duration_nano", extent: "extent_nano DESC", spans: "spans DESC", errors: "errors DESC", services: "services DESC",
};

/** What the search asks of a trace, as conditions on the view `traces`. */
export function conditionsOf(params: Record<string, string>, range: Range): string[] {
  const where: string[] = [];
  const spans: string[] = [];
  const p = (name: string): string | undefined => params[name];
  if (p("root_service")) where.push(`root_service = ${literal(p("root_service") ?? "")}`);
  if (p("root_name")) where.push(`root_name = ${literal(p("root_name") ?? "")}`);
  if (p("root_status") === "error") where.push("root_error");
  if (p("min_duration")) where.push(`duration_nano >= ${nanosOf(p("min_duration") ?? "")}`);
  if (p("max_duration")) where.push(`duration_nano <= ${nanosOf(p("max_duration") ?? "")}`);
  if (p("service")) spans.push(`service = ${literal(p("service") ?? "")}`);
  for (const name of ["name", "kind", "scope_name"]) if (p(name)) spans.push(`${name} = ${literal(p(name) ?? "")}`);
  for (const [name, map] of [["attribute", "attributes"], ["resource", "resource"]] as const) {
    if (!p(name)) continue;
    const [key = "", ...value] = (p(name) ?? "").split("=");
    spans.push(`${map}[${literal(key)}] = ${literal(value.join("="))}`);
  }
  if (p("status") === "error") (spans.length > 0 ? spans : where).push(spans.length > 0 ? "status = 'ERROR'" : "errors > 0");
  if (spans.length > 0) {
    if (range.from !== null) spans.push(`start_time_unix_nano >= ${millisToNanoText(range.from)}`);
    if (range.to !== null) spans.push(`start_time_unix_nano < ${millisToNanoText(range.to)}`);
    where.push(`trace_id IN (SELECT trace_id FROM spans WHERE ${spans.join(" AND ")})`);
  }
  return where;
}

/** The search as SQL over the view `traces`. */
export function statementOf(params: Record<string, string>, range: Range): string {
  const where = conditionsOf(params, range);
  const order = ORDERS[params["order"] ?? "newest"] ?? ORDERS["newest"];
  return `SELECT * FROM traces${rangeArguments(range)}\n${where.length > 0 ? `WHERE ${where.join("\n  AND ")}\n` : ""}ORDER BY ${order}, trace_id\nLIMIT ${LIMIT}`;
}

/** UTC, and how long after the start of the range. */
function startWords(row: TraceRow, from: number | null): string {
  return from === null || row.start < from ? row.startText : `${row.startText}\n+${duration((row.start - from) * 1e6)} from the start of the range`;
}

const columns = (from: number | null): Column<TraceRow>[] => [
  { key: "start", label: "Start", value: (row) => row.start, cell: (row) => localTime(row.start), title: (row) => startWords(row, from), className: "mono" },
  { key: "root", label: "Root operation", value: (row) => `${row.service ?? ""} ${row.name ?? ""}`, cell: (row) => <RootName row={row} />, title: (row) => `${row.service ?? "No root yet"}: ${row.name ?? ""}`, className: "pair" },
  durationColumn("duration", "Duration", (row) => row.duration, "End minus start of the root span: what the caller waited."),
  durationColumn("extent", "Extent", (row) => row.extent, "From the first start to the last end of any span: work that went on after the answer included."),
  countColumn("spans", "Spans", (row) => row.spans),
  { key: "errors", label: "Failed spans", help: "Spans with status ERROR, of whatever service: a request can succeed although a call below it failed.", number: true, value: (row) => row.errors, cell: (row) => <ErrorCount row={row} /> },
  { key: "services", label: "Services", number: true, value: (row) => (typeof row.services === "number" ? row.services : row.services.length), cell: (row) => (typeof row.services === "number" ? count(row.services) : row.services.length), title: (row) => (typeof row.services === "number" ? "" : row.services.join(", ")) },
  { key: "id", label: "Trace", cell: (row) => <TraceLink id={row.id} />, title: (row) => row.id },
];

/** A click on service or operation searches for it. */
function RootName(props: { row: TraceRow }): preact.JSX.Element {
  const { row } = props;
  const { place, href } = useApp();
  const also = (change: Record<string, string>): string => href("traces", { ...Object.fromEntries(Object.entries(place.params).filter(([name]) => name !== "cursor")), ...change });
  return (
    <>
      {row.service === null ? <span class="quiet">No root yet</span> : <Link to={also({ root_service: row.service })} class="filter" title="Only traces that start at this service"><Service name={row.service} /></Link>}{" "}
      {row.name !== null && <Link to={also({ root_service: row.service ?? "", root_name: row.name })} class="filter" title="Only traces of this operation">{row.name}</Link>}
      {!row.complete && <span class="badge" title="The root is missing, or a span's parent has not arrived.">incomplete</span>}
    </>
  );
}

function ErrorCount(props: { row: TraceRow }): preact.JSX.Element {
  const { place, href } = useApp();
  if (props.row.errors === 0) return <span class="quiet">0</span>;
  const { cursor: _, ...params } = place.params;
  return <Link to={href("traces", { ...params, status: "error" })} class="filter error-text" title="Only traces in which a span failed"><span class="mark-error" aria-hidden="true" />{count(props.row.errors)}</Link>;
}

function TraceLink(props: { id: string }): preact.JSX.Element {
  const { href } = useApp();
  return <Link to={href("trace", {}, props.id)} class="mono">{props.id.slice(0, 8)}</Link>;
}

interface Found {
  rows: TraceRow[];
  next: string | null;
  notes: Record<string, unknown>;
}

/** By start or duration from the API, page by page; in any other order the first rows, by SQL. */
async function search(params: Record<string, string>, range: Range, signal: AbortSignal): Promise<Found> {
  const order = params["order"] ?? "newest";
  const paged = order === "newest" || order === "slowest" || !(order in ORDERS);
  const answer = paged ? await getRows(apiPath("traces", query(params, range)), signal) : await sql(statementOf(params, range), signal);
  return { rows: answer.rows.map(readTrace), next: answer.cursor, notes: answer.notes };
}

/** How a click on a column's head orders the list; the second click turns it round, where that makes sense. */
const BY_COLUMN: Record<string, readonly string[]> = { start: ["newest", "oldest"], duration: ["slowest", "fastest"], extent: ["extent"], spans: ["spans"], errors: ["errors"], services: ["services"] };
const SORT_SHOWN: Record<string, string> = { newest: "-start", oldest: "start", slowest: "-duration", fastest: "duration" };

export function TracesPage(): preact.JSX.Element {
  const { place, range, open, set } = useApp();
  const { params } = place;
  const order = params["order"] ?? "newest";
  const filters = FILTERS.map((name) => params[name]);
  const key = JSON.stringify(["traces", rangeKey(params), ...filters, order, params["cursor"]]);
  const { data, error, loading } = useAsk(key, (signal) => search(params, range, signal));
  const rows = data?.rows ?? [];
  const isPart = data !== null && (data.next !== null || rows.length === LIMIT || Boolean(params["cursor"]));
  const conditions = conditionsOf(params, range);
  const asked = Object.fromEntries(FILTERS.flatMap((name) => (params[name] ? [[name, params[name]]] : [])));
  const heat = useAsk(isPart ? JSON.stringify(["heat", rangeKey(params), ...filters]) : null, (signal) => askHeat(range, asked, conditions, signal));
  const sortBy = (column: string): void => {
    const [first = "newest", second] = BY_COLUMN[column] ?? [];
    const next = order === first && second ? second : first;
    set({ order: next === "newest" ? null : next, cursor: null });
  };
  const [box, setBox] = useState<Box | null>(null);
  useEffect(() => setBox(null), [key]);
  const shared = Object.fromEntries(["root_service", "root_name"].flatMap((name) => (params[name] ? [[name, params[name]]] : [])));
  return (
    <>
      <SearchForm key={filters.join("|")} />
      {error && <ErrorBox error={error} what="The search" />}
      {!error && !data && loading && <><Waiting height={216} /><Waiting rows={12} /></>}
      {data && rows.length === 0 && (params["cursor"] ? <p>No further traces.</p> : <NoSpans what="traces" />)}
      {data && rows.length > 0 && (
        <>
          <Headline rows={rows} total={isPart ? (heat.data?.cells ?? null) : null} isPart={isPart} notes={data.notes} />
          <div class="picture">
            {!isPart && <Scatter rows={rows} box={box} onOpen={(id) => open("trace", {}, id)} onSelect={setBox} />}
            {isPart && heat.error && <ErrorBox error={heat.error} what="The picture" />}
            {isPart && !heat.data && !heat.error && <Waiting height={216} />}
            {isPart && heat.data && <Heatmap heat={heat.data} box={box} label="Drag a box: what do its traces have in common?" onSelect={setBox} onExample={(id) => open("trace", {}, id)} />}
            {box && <BrushMenu box={box} filters={shared} onOnly={() => set({ ...boxParams(box), cursor: null })} onClose={() => setBox(null)} />}
          </div>
          <Facets conditions={conditions} name={JSON.stringify(filters)} />
          <Table name="traces" rows={rows} columns={columns(range.from)} sort={SORT_SHOWN[order] ?? `-${order}`} onSort={sortBy} rowKey={(row) => row.id} onOpen={(row) => open("trace", {}, row.id)} />
        </>
      )}
      {data && (
        <div class="pager">
          {params["cursor"] && <button type="button" class="button" onClick={() => set({ cursor: null })}>First page</button>}
          {data.next && <button type="button" class="button" data-action="next" onClick={() => set({ cursor: data.next })}>Next {LIMIT}</button>}
          {!data.next && isPart && !params["cursor"] && <span class="quiet">The first {LIMIT} in this order; by start or duration there are more pages</span>}
        </div>
      )}
      <SameQuestion path={SAME_ORDER.has(order) ? apiPath("traces", query(params, range)) : undefined} statement={statementOf(params, range)} />
    </>
  );
}

/** Orders that the API knows itself. */
const SAME_ORDER: ReadonlySet<string> = new Set(["newest", "slowest"]);

/** Figures of all that match where the picture knows them, else of the rows below. */
function Headline(props: { rows: TraceRow[]; total: readonly Cell[] | null; isPart: boolean; notes: Record<string, unknown> }): preact.JSX.Element {
  const { rows, total, isPart } = props;
  const sum = (value: (cell: Cell) => number): number => (total ?? []).reduce((all, cell) => all + value(cell), 0);
  const traces = total ? sum((cell) => cell.count) : rows.length;
  const failed = total ? sum((cell) => cell.failed) : rows.filter((row) => row.rootFailed).length;
  const where = isPart && !total ? " on this page" : "";
  const incomplete = rows.filter((row) => !row.complete).length;
  return (
    <div class="figures">
      <Figure label={`Traces${where}`} name="traces" title={grouped(traces)}>{count(traces)}</Figure>
      <Figure label={`Root failed${where}`} name="failed" help="Traces whose root failed." title={grouped(failed)}>
        {failed > 0 ? <span class="error-text"><span class="mark-error" aria-hidden="true" />{count(failed)} <small>{percent(ratio(failed, traces))}</small></span> : "0"}
      </Figure>
      <Figure label={isPart ? "Slowest of the rows" : "Slowest"} name="slowest"><Duration nanos={Math.max(...rows.map((row) => row.duration))} /></Figure>
      {incomplete > 0 && <Figure label={isPart ? "Incomplete of the rows" : "Incomplete"} help="The root is missing, or a span's parent has not arrived.">{count(incomplete)}</Figure>}
      <Notes notes={props.notes} />
    </div>
  );
}

/** What can be asked of how a trace ended. */
const OUTCOMES: Record<string, { label: string; params: { root_status: string; status: string } }> = {
  any: { label: "any", params: { root_status: "", status: "" } },
  root: { label: "root failed", params: { root_status: "error", status: "" } },
  span: { label: "any span failed", params: { root_status: "", status: "error" } },
};

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
  const outcome = value("root_status") === "error" ? "root" : value("status") === "error" ? "span" : "any";
  return (
    <form class="filters" onSubmit={submit}>
      {field("service", "Service", "any span of")}
      {field("name", "Operation", "any span named", "wide")}
      {field("root_service", "Root service", "started at")}
      {field("root_name", "Root operation", "GET /cart")}
      {field("min_duration", "At least", "5ms", "narrow")}
      {field("max_duration", "At most", "2s", "narrow")}
      {field("attribute", "Attribute", "http.route=/cart", "wide")}
      {field("resource", "Resource", "host.name=web-1", "wide")}
      {(["kind", "scope_name"] as const).map((name) => value(name) !== "" && <span key={name}>{field(name, name === "kind" ? "Kind" : "Scope", "any span of")}</span>)}
      <label class="field">
        Order
        <select name="order" value={value("order") || "newest"} onChange={(event) => setValues({ ...values, order: event.currentTarget.value === "newest" ? "" : event.currentTarget.value })}>
          <option value="newest">Newest first</option>
          <option value="slowest">Slowest first</option>
          <option value="oldest">Oldest first</option>
          <option value="fastest">Fastest first</option>
          <option value="errors">Most failed spans</option>
          <option value="spans">Most spans</option>
          <option value="extent">Longest extent</option>
          <option value="services">Most services</option>
        </select>
      </label>
      <label class="field">
        Outcome
        <select name="outcome" value={outcome} onChange={(event) => setValues({ ...values, ...OUTCOMES[event.currentTarget.value]?.params })}>
          {Object.entries(OUTCOMES).map(([key, { label }]) => <option key={key} value={key}>{label}</option>)}
        </select>
      </label>
      <button type="submit" class="button primary">Search</button>
      {filtered && <button type="button" class="button" onClick={() => set({ ...Object.fromEntries(FILTERS.map((name) => [name, null])), cursor: null })}>Clear</button>}
    </form>
  );
}
