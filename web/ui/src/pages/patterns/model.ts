// Kinds of request, as the views `patterns` and `pattern` answer.
import { apiPath, getRows, literal, type Row } from "../../api.ts";
import { numberOf, numberOrZero } from "../../exact.ts";
import type { Range } from "../../range.ts";
import { rangeArguments, rangeQuery } from "../../rangequery.ts";

export interface Pattern {
  id: string;
  service: string;
  name: string;
  traces: number;
  /** Estimated before sampling, with its standard error. */
  weighted: number;
  weightedError: number;
  errors: number;
  p50: number | null;
  p95: number | null;
  p99: number | null;
  max: number | null;
  spans: number;
  depth: number;
  services: number;
  bytes: number;
  topService: string;
  topName: string;
  topShare: number | null;
  first: string;
  last: string;
  fast: string;
  typical: string;
  slow: string;
  shape: string;
  incomplete: number;
}

/** One place in the tree of a pattern. */
export interface Place {
  position: number;
  depth: number;
  service: string;
  name: string;
  /** How often it is called in one trace: from, to. */
  low: number;
  high: number;
  spans: number;
  errors: number;
  p50: number | null;
  p95: number | null;
  max: number | null;
  self: number;
  selfShare: number | null;
}

export function readPattern(row: Row): Pattern {
  const text = (name: string): string => String(row[name] ?? "");
  const traces = numberOrZero(row["traces"]);
  return {
    id: text("pattern"),
    service: text("root_service"),
    name: text("root_name"),
    traces,
    weighted: numberOf(row["weighted_traces"]) ?? traces,
    weightedError: numberOrZero(row["weighted_traces_error"]),
    errors: numberOrZero(row["errors"]),
    p50: numberOf(row["p50_nano"]),
    p95: numberOf(row["p95_nano"]),
    p99: numberOf(row["p99_nano"]),
    max: numberOf(row["max_nano"]),
    spans: numberOrZero(row["spans"]),
    depth: numberOrZero(row["depth"]),
    services: numberOrZero(row["services"]),
    bytes: numberOrZero(row["bytes"]),
    topService: text("top_service"),
    topName: text("top_name"),
    topShare: numberOf(row["top_self_share"]),
    first: text("first_seen"),
    last: text("last_seen"),
    fast: text("fast_trace_id"),
    typical: text("typical_trace_id"),
    slow: text("slow_trace_id"),
    shape: text("shape"),
    incomplete: numberOrZero(row["incomplete"]),
  };
}

export function readPlace(row: Row): Place {
  return {
    position: numberOrZero(row["position"]),
    depth: numberOrZero(row["depth"]),
    service: String(row["service"] ?? ""),
    name: String(row["name"] ?? ""),
    low: numberOrZero(row["low_spans"]),
    high: numberOrZero(row["high_spans"]),
    spans: numberOrZero(row["spans"]),
    errors: numberOrZero(row["errors"]),
    p50: numberOf(row["p50_nano"]),
    p95: numberOf(row["p95_nano"]),
    max: numberOf(row["max_nano"]),
    self: numberOrZero(row["self_nano"]),
    selfShare: numberOf(row["self_share"]),
  };
}

export interface Patterns {
  patterns: Pattern[];
  notes: Record<string, unknown>;
}

export async function askPatterns(range: Range, signal: AbortSignal): Promise<Patterns> {
  const answer = await getRows(apiPath("patterns", rangeQuery(range)), signal);
  return { patterns: answer.rows.map(readPattern), notes: answer.notes };
}

/** The statement behind the tree of one pattern. */
export function treeStatement(pattern: string, range: Range): string {
  const range_ = rangeArguments(range).slice(1, -1);
  return `SELECT * FROM pattern(${literal(pattern)}${range_ === "" ? "" : `, ${range_}`})\nORDER BY position`;
}

/** The same over HTTP. */
export function treePath(pattern: string, range: Range): string {
  return apiPath(`patterns/${encodeURIComponent(pattern)}`, rangeQuery(range));
}

export async function askTree(pattern: string, range: Range, signal: AbortSignal): Promise<Place[]> {
  const { rows } = await getRows(treePath(pattern, range), signal);
  return rows.map(readPlace).sort((a, b) => a.position - b.position);
}

/** A pattern with the same one in the window before; null where it was not there. */
export interface Compared extends Pattern {
  before: Pattern | null;
}

/** Patterns of both windows: those that have stopped are there with no traces. */
export function withBefore(now: readonly Pattern[], before: readonly Pattern[]): Compared[] {
  const earlier = new Map(before.map((one) => [one.id, one]));
  const here = new Set(now.map((one) => one.id));
  const gone = before.filter((one) => !here.has(one.id)).map((one): Compared => ({ ...one, traces: 0, weighted: 0, errors: 0, p50: null, p95: null, p99: null, max: null, before: one }));
  return [...now.map((one): Compared => ({ ...one, before: earlier.get(one.id) ?? null })), ...gone];
}
