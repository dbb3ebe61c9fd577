// Durations over time as counts a cell: asked of the server, so that every trace counts and not only those in a list.
import { apiPath, getRows, sql, type Query, type Row } from "./api.ts";
import { numberOf, numberOrZero } from "./exact.ts";
import { parseInstant, toMillis } from "./instant.ts";
import { bucketSeconds, type Range } from "./range.ts";
import { rangeArguments, rangeQuery } from "./rangequery.ts";

/** Cells a doubling of the duration. */
const PER_DOUBLING = 4;
const MOST_COLUMNS = 120;
/** More cells than any screen has: 120 columns of 63 doublings. */
const MOST_CELLS = MOST_COLUMNS * 63 * PER_DOUBLING;

/** Which traces count as failed in every picture, as in the views `latency` and `patterns`; in words that follow a number. */
export const FAILED_ROOT = "whose root failed";

export interface Cell {
  /** Start of its stretch of time, milliseconds since 1970. */
  at: number;
  /** `low <= duration < high` in nanoseconds. */
  low: number;
  high: number;
  bin: number;
  count: number;
  failed: number;
  example: string;
}

export interface TimeLine {
  at: number;
  count: number;
  p50: number | null;
  p95: number | null;
  p99: number | null;
}

export interface Heat {
  cells: Cell[];
  lines: TimeLine[];
  from: number;
  to: number;
  /** Milliseconds of one column. */
  step: number;
}

/** A stretch of time and of durations. */
export interface Box {
  from: number;
  to: number;
  low: number;
  high: number;
}

function slot(seconds: number): string {
  return `CAST(date_part('epoch', date_bin(INTERVAL '${seconds} seconds', start_time)) AS BIGINT)`;
}

const filter = (conditions: readonly string[]): string => (conditions.length === 0 ? "" : `\nWHERE ${conditions.join("\n  AND ")}`);

export function cellsStatement(range: Range, seconds: number, conditions: readonly string[]): string {
  return `SELECT ${slot(seconds)} AS at, CAST(floor(log2(greatest(duration_nano, 1)) * ${PER_DOUBLING}) AS BIGINT) AS bin,
  count(*) AS traces, sum(CASE WHEN root_error THEN 1 ELSE 0 END) AS failed, max(trace_id) AS example
FROM traces${rangeArguments(range)}${filter(conditions)}
GROUP BY at, bin ORDER BY at, bin LIMIT ${MOST_CELLS}`;
}

export function linesStatement(range: Range, seconds: number, conditions: readonly string[]): string {
  return `SELECT ${slot(seconds)} AS at, count(*) AS traces, quantile(duration_nano, 0.5) AS p50_nano,
  quantile(duration_nano, 0.95) AS p95_nano, quantile(duration_nano, 0.99) AS p99_nano
FROM traces${rangeArguments(range)}${filter(conditions)}
GROUP BY at ORDER BY at`;
}

/** Where the traces lie, for a range without ends. */
async function ends(range: Range, conditions: readonly string[], signal: AbortSignal): Promise<{ from: number; to: number } | null> {
  if (range.from !== null && range.to !== null) return { from: range.from, to: range.to };
  const edge = (name: string): string => `CAST(date_part('epoch', ${name}(start_time)) AS DOUBLE)`;
  const answer = await sql(`SELECT ${edge("min")} AS first, ${edge("max")} AS last FROM traces${rangeArguments(range)}${filter(conditions)}`, signal);
  const first = numberOf(answer.rows[0]?.["first"]);
  const last = numberOf(answer.rows[0]?.["last"]);
  return first === null || last === null ? null : { from: range.from ?? first * 1000, to: range.to ?? last * 1000 + 1 };
}

export function heatmapPath(range: Range, root: Query, seconds: number): string {
  return apiPath("latency/heatmap", { ...rangeQuery(range), ...root, step: `${seconds}s`, rows: PER_DOUBLING, limit: MOST_CELLS });
}

/** A cell of the view: `low < duration <= high`. The slowest trace of it is the example. */
export function readCell(row: Row): Cell {
  const at = parseInstant(row["from_time"]);
  const low = numberOrZero(row["low_nano"]);
  return {
    at: at ? toMillis(at) : 0,
    bin: Math.round(Math.log2(Math.max(1, low)) * PER_DOUBLING),
    low,
    high: numberOrZero(row["high_nano"]),
    count: numberOrZero(row["traces"]),
    failed: numberOrZero(row["errors"]),
    example: String(row["trace_id"] ?? ""),
  };
}

function readLine(row: Row): TimeLine {
  return { at: numberOrZero(row["at"]) * 1000, count: numberOrZero(row["traces"]), p50: numberOf(row["p50_nano"]), p95: numberOf(row["p95_nano"]), p99: numberOf(row["p99_nano"]) };
}

interface Columns {
  from: number;
  to: number;
  /** Seconds of one column. */
  seconds: number;
}

/** Null where nothing matches. */
async function columnsOf(range: Range, conditions: readonly string[], signal: AbortSignal): Promise<Columns | null> {
  const found = await ends(range, conditions, signal);
  return found && { ...found, seconds: bucketSeconds(found, MOST_COLUMNS) };
}

function heatOf(columns: Columns, cells: Cell[], lines: TimeLine[]): Heat {
  const step = columns.seconds * 1000;
  return { cells, lines, from: Math.floor(columns.from / step) * step, to: Math.ceil(columns.to / step) * step, step };
}

/** Durations over time of the traces that satisfy `conditions`, which may ask for any of their spans. Null where nothing matches. */
async function askFound(range: Range, conditions: readonly string[], signal: AbortSignal): Promise<Heat | null> {
  const columns = await columnsOf(range, conditions, signal);
  if (!columns) return null;
  const { rows } = await sql(cellsStatement(range, columns.seconds, conditions), signal);
  return heatOf(columns, rows.map(readFound), []);
}

/** The same of a search: where it asks for nothing but a root operation, the view `latency_heatmap` knows the answer without reading spans. */
export function askHeat(range: Range, asked: Readonly<Record<string, string>>, conditions: readonly string[], signal: AbortSignal): Promise<Heat | null> {
  const isOfRoots = Object.keys(asked).every((name) => name === "root_service" || name === "root_name");
  return isOfRoots ? askRoots(range, asked, conditions, signal) : askFound(range, conditions, signal);
}

/** A cell of [`cellsStatement`]. */
function readFound(row: Row): Cell {
  const bin = numberOrZero(row["bin"]);
  return { at: numberOrZero(row["at"]) * 1000, bin, low: 2 ** (bin / PER_DOUBLING), high: 2 ** ((bin + 1) / PER_DOUBLING), count: numberOrZero(row["traces"]), failed: numberOrZero(row["failed"]), example: String(row["example"] ?? "") };
}

/** The view `latency_heatmap` of all traces or of one root operation; `failed` are those whose root failed. Null where there are none. */
export async function askRoots(range: Range, root: Query, conditions: readonly string[], signal: AbortSignal): Promise<Heat | null> {
  const columns = await columnsOf(range, conditions, signal);
  if (!columns) return null;
  const cells = await getRows(heatmapPath(range, root, columns.seconds), signal);
  return cells.rows.length === 0 ? null : heatOf(columns, cells.rows.map(readCell), []);
}

/** The view `latency_heatmap` of all traces or of one root operation, with quantiles; `failed` are those whose root failed. Null where there are none. */
export async function askLatency(range: Range, root: Query, conditions: readonly string[], signal: AbortSignal): Promise<Heat | null> {
  const columns = await columnsOf(range, conditions, signal);
  if (!columns) return null;
  const [cells, lines] = await Promise.all([getRows(heatmapPath(range, root, columns.seconds), signal), sql(linesStatement(range, columns.seconds, conditions), signal)]);
  return heatOf(columns, cells.rows.map(readCell), lines.rows.map(readLine));
}

/** A box of the picture as filters of the search. */
export function boxParams(box: Box): Record<string, string> {
  return { from: new Date(Math.floor(box.from)).toISOString(), to: new Date(Math.ceil(box.to)).toISOString(), min_duration: `${Math.ceil(box.low)}ns`, max_duration: `${Math.ceil(box.high) - 1}ns` };
}
