// One trace as the waterfall needs it, read from the answer of `/api/v1/traces/ID`.
import { numberOf, numberOrZero, objectOf, plainText } from "../../exact.ts";
import { nanosBetween, parseInstant, type Instant } from "../../instant.ts";
import { layoutTree, type Node, type Row } from "../../tree.ts";

export type Fields = Record<string, unknown>;

export interface Span extends Node {
  service: string;
  name: string;
  kind: string;
  status: string;
  /** The row as it came: for the panel. */
  row: Fields;
  /** Nanoseconds from the start of the trace. */
  events: { at: number; name: string; fields: Fields }[];
  links: Fields[];
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
}

export function readTraceAnswer(answer: Fields): Trace {
  const raw = Array.isArray(answer["spans"]) ? (answer["spans"] as Fields[]) : [];
  const starts = raw.map((row) => parseInstant(row["start_time"]) ?? { seconds: 0, nanos: 0 });
  const origin = starts.reduce((first, one) => (nanosBetween(one, first) < 0 ? one : first), starts[0] ?? { seconds: 0, nanos: 0 });
  const spans = raw.map((row, index) => readSpan(row, nanosBetween(starts[index] ?? origin, origin), origin));
  const rows = layoutTree(spans);
  const services = new Map<string, number>();
  for (const span of spans) services.set(span.service, (services.get(span.service) ?? 0) + 1);
  const missing = rows.filter((row) => row.span === null).length;
  const root = spans.find((span) => span.parent === null) ?? null;
  return {
    id: String(answer["trace_id"] ?? ""),
    origin,
    rows,
    length: spans.reduce((most, span) => Math.max(most, span.start + span.duration), 1),
    duration: numberOf(answer["duration_nano"]),
    spans: spans.length,
    total: numberOf(answer["spans_total"]) ?? spans.length,
    errors: spans.filter((span) => span.status === "ERROR").length,
    depth: 1 + rows.reduce((most, row) => Math.max(most, row.depth), 0),
    services: [...services].sort((a, b) => b[1] - a[1]),
    missing,
    complete: answer["complete"] === true,
    root,
  };
}

function readSpan(row: Fields, start: number, origin: Instant): Span {
  const events = Array.isArray(row["events"]) ? (row["events"] as Fields[]) : [];
  return {
    id: String(row["span_id"] ?? ""),
    parent: typeof row["parent_span_id"] === "string" && row["parent_span_id"] !== "" ? row["parent_span_id"] : null,
    start,
    duration: numberOrZero(row["duration_nano"]),
    service: String(row["service"] ?? ""),
    name: String(row["name"] ?? ""),
    kind: String(row["kind"] ?? ""),
    status: String(row["status"] ?? ""),
    row,
    events: events.map((fields) => ({ at: eventTime(fields["time_unix_nano"], fields["time"], origin), name: String(fields["name"] ?? ""), fields })),
    links: Array.isArray(row["links"]) ? (row["links"] as Fields[]) : [],
  };
}

/** Unix nanoseconds are beyond what doubles hold: the difference is taken on the digits. */
function eventTime(nanos: unknown, text: unknown, origin: Instant): number {
  const instant = parseInstant(text);
  if (instant) return nanosBetween(instant, origin);
  const digits = plainText(nanos);
  if (!/^-?\d+$/.test(digits)) return 0;
  return Number(BigInt(digits) - (BigInt(origin.seconds) * 1_000_000_000n + BigInt(origin.nanos)));
}

/** True where the text is in the span's name, service, id, or any attribute. */
export function matches(span: Span, wanted: string): boolean {
  if (span.name.toLowerCase().includes(wanted) || span.service.toLowerCase().includes(wanted) || span.id === wanted) return true;
  return Object.entries(objectOf(span.row["attributes"]) ?? {}).some(([key, value]) => key.toLowerCase().includes(wanted) || plainText(value).toLowerCase().includes(wanted));
}

/** Row indices of the critical path: from the last end backwards, whoever was running kept the caller waiting. */
export function criticalPath(rows: readonly Row<Span>[], top: number): [number, number, number][] {
  const path: [number, number, number][] = [];
  const stack: [number, number, number][] = [];
  const root = rows[top];
  if (!root) return path;
  stack.push([top, root.start, root.end]);
  while (stack.length > 0) {
    const [index, from, to] = stack.pop() as [number, number, number];
    descend(rows, index, { from, to, path, stack });
  }
  return path;
}

interface Walk {
  from: number;
  to: number;
  path: [number, number, number][];
  stack: [number, number, number][];
}

function descend(rows: readonly Row<Span>[], index: number, walk: Walk): void {
  const row = rows[index];
  if (!row) return;
  const below: number[] = [];
  for (let child = index + 1; child <= index + row.size; child += (rows[child]?.size ?? 0) + 1) below.push(child);
  below.sort((a, b) => (rows[b]?.end ?? 0) - (rows[a]?.end ?? 0));
  let at = walk.to;
  for (const child of below) {
    const one = rows[child];
    // What ended later than the work after it began did not hold that work up.
    if (!one || one.end > at || one.end <= walk.from || one.end <= one.start) continue;
    if (at > one.end) walk.path.push([index, one.end, at]);
    walk.stack.push([child, Math.max(one.start, walk.from), one.end]);
    at = Math.max(one.start, walk.from);
    if (at <= walk.from) break;
  }
  if (at > walk.from) walk.path.push([index, walk.from, at]);
}
