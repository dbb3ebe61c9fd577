// One trace as the waterfall needs it, read from the answer of `/api/v1/traces/ID?format=columns`.
import { apiPath, literal, request, sql } from "../../api.ts";
import { numberOf, numberOrZero, objectOf, plainText } from "../../exact.ts";
import { nanosBetween, parseInstant, type Instant } from "../../instant.ts";
import { layoutTree, type Node, type Row } from "../../tree.ts";

export type Fields = Record<string, unknown>;

export interface Span extends Node {
  service: string;
  name: string;
  kind: string;
  status: string;
  /** When its events happened: nanoseconds from the start of the trace. */
  events: number[];
  links: number;
}

export interface Trace {
  id: string;
  origin: Instant;
  rows: Row<Span>[];
  /** Length of the picture in nanoseconds: first start to last end. */
  length: number;
  duration: number | null;
  spans: number;
  /** Spans that are stored; more than `spans` where the answer was cut. */
  total: number;
  errors: number;
  depth: number;
  services: [string, number][];
  missing: number;
  complete: boolean;
  root: Span | null;
  /** What people have said of it since, as `GET /api/v1/patches` has it. */
  patches: Fields[];
  /** Why missing parents are not there, by their ids. */
  reasons: Record<string, string>;
}

/** The server gives no more spans than this in one answer. */
const MOST_SPANS = 100_000;

/** Asks for one trace: its shape, without attributes. */
export async function askTrace(id: string, signal: AbortSignal): Promise<Trace> {
  const response = await request(apiPath(`traces/${encodeURIComponent(id)}`, { format: "columns", limit: MOST_SPANS }), { signal });
  // Plain numbers will do for a picture: times count from the start of the trace.
  const answer = (await response.json()) as Fields;
  performance.mark("trace-data");
  return readTraceAnswer(answer);
}

export function readTraceAnswer(answer: Fields): Trace {
  const columns = (objectOf(answer["columns"]) ?? {}) as Columns;
  const spans = readColumns(columns);
  const absent = Array.isArray(answer["missing_parents"]) ? answer["missing_parents"].map(String) : [];
  const rows = layoutTree(spans, columns.depth ?? [], new Set(absent));
  const services = new Map<string, number>();
  let errors = 0;
  let length = 1;
  let root: Span | null = null;
  for (const span of spans) {
    services.set(span.service, (services.get(span.service) ?? 0) + 1);
    if (span.status === "ERROR") errors += 1;
    length = Math.max(length, span.start + span.duration);
    if (span.parent === null && (root === null || span.start < root.start)) root = span;
  }
  return {
    id: String(answer["trace_id"] ?? ""),
    origin: parseInstant(answer["start_time"]) ?? { seconds: 0, nanos: 0 },
    rows,
    length,
    duration: numberOf(answer["duration_nano"]),
    spans: spans.length,
    total: numberOf(answer["spans_total"]) ?? spans.length,
    errors,
    depth: 1 + rows.reduce((most, row) => Math.max(most, row.depth), 0),
    services: [...services].sort((a, b) => b[1] - a[1]),
    missing: rows.filter((row) => row.span === null).length,
    complete: answer["complete"] === true,
    root,
    patches: Array.isArray(answer["patches"]) ? (answer["patches"] as Fields[]) : [],
    reasons: Object.fromEntries(Object.entries(objectOf(answer["missing_reasons"]) ?? {}).map(([id, reason]) => [id, String(reason)])),
  };
}

interface Words {
  words: string[];
  at: number[];
}

interface Columns {
  span_id?: string[];
  parent_span_id?: string[];
  /** In the tree; each span stands right after what is above it. */
  depth?: number[];
  start_nano?: unknown[];
  duration_nano?: unknown[];
  service?: Words;
  name?: Words;
  kind?: Words;
  status?: Words;
  events?: { row: number[]; at_nano: unknown[] };
  links?: { row: number[]; count: number[] };
}

function readColumns(columns: Columns): Span[] {
  const word = (column: Words | undefined, index: number): string => column?.words[column.at[index] ?? -1] ?? "";
  const spans = (columns.span_id ?? []).map((id, index): Span => ({
    id,
    parent: columns.parent_span_id?.[index] || null,
    start: numberOrZero(columns.start_nano?.[index]),
    duration: numberOrZero(columns.duration_nano?.[index]),
    service: word(columns.service, index),
    name: word(columns.name, index),
    kind: word(columns.kind, index),
    status: word(columns.status, index),
    events: NONE,
    links: 0,
  }));
  columns.events?.row.forEach((row, index) => {
    const span = spans[row];
    if (!span) return;
    if (span.events === NONE) span.events = [];
    span.events.push(numberOrZero(columns.events?.at_nano[index]));
  });
  columns.links?.row.forEach((row, index) => {
    const span = spans[row];
    if (span) span.links = columns.links?.count[index] ?? 0;
  });
  return spans;
}

/** Shared by all spans without events; never written to. */
const NONE: number[] = [];

const ROW_COLUMNS =
  "trace_id, span_id, parent_span_id, trace_state, service, name, kind, start_time, duration_nano, status, status_message, attributes, resource, scope, events, links, weight, end_time, " +
  "start_time_unix_nano, flags, received_time, dropped_attributes_count, dropped_events_count, dropped_links_count";

/** What one span says in full; null where it has gone meanwhile. */
export async function askSpan(trace: Trace, span: Span, signal: AbortSignal): Promise<Fields | null> {
  const answer = await sql(`SELECT ${ROW_COLUMNS} FROM spans WHERE trace_id = ${literal(trace.id)} AND span_id = ${literal(span.id)}`, signal);
  const start = (row: Fields): number => nanosBetween(parseInstant(row["start_time"]) ?? trace.origin, trace.origin);
  // Client and server may share one id: the row is the one that starts and lasts alike.
  const same = (row: Fields): boolean => row["kind"] === span.kind && start(row) === span.start && numberOrZero(row["duration_nano"]) === span.duration;
  return answer.rows.find(same) ?? answer.rows[0] ?? null;
}

/** Ids of the spans whose attributes contain the text; the page has names, services and ids itself. */
export async function askMatches(trace: string, wanted: string, signal: AbortSignal): Promise<Set<string>> {
  const has = (column: string): string => `strpos(lower(${column}), ${literal(wanted.toLowerCase())}) > 0`;
  const answer = await sql(`SELECT DISTINCT span_id FROM spans WHERE trace_id = ${literal(trace)} AND (${has("attributes")} OR ${has("status_message")})`, signal);
  return new Set(answer.rows.map((row) => String(row["span_id"])));
}

/** Nanoseconds of an event from the start of the trace. Unix nanoseconds are beyond what doubles hold: the difference is taken on the digits. */
export function eventTime(event: Fields, origin: Instant): number {
  const digits = plainText(event["time_unix_nano"]);
  if (!/^-?\d+$/.test(digits)) return 0;
  return Number(BigInt(digits) - (BigInt(origin.seconds) * 1_000_000_000n + BigInt(origin.nanos)));
}

/** True where the text is in the span's name or service, or is its id. */
export function matches(span: Span, wanted: string): boolean {
  return span.name.toLowerCase().includes(wanted) || span.service.toLowerCase().includes(wanted) || span.id === wanted;
}
