// What a selection of traces has that the rest has not: the question as conditions on traces, and its answer.
import { apiPath, getRows, literal, type Row } from "../../api.ts";
import { numberOf, numberOrZero } from "../../exact.ts";
import { boxParams, type Box } from "../../heat.ts";
import { absoluteRange, rangeBefore, type Range } from "../../range.ts";
import { rangeQuery } from "../../rangequery.ts";

/** How the selection is told from the rest. */
export const WAYS = [
  ["box", "A box"],
  ["slow", "Slow"],
  ["errors", "With errors"],
  ["before", "Now and before"],
] as const;
export type Way = (typeof WAYS)[number][0];

export type Unit = "traces" | "spans";

export interface Question {
  way: Way;
  /** What is counted on either side. A box is one of traces. */
  of: Unit;
  range: Range;
  /** Only traces of this root operation, on both sides; empty for all. */
  service: string;
  name: string;
  box: Box | null;
  /** Nanoseconds from which a trace counts as slow. */
  over: number | null;
}

/** One attribute with a value, and how often it is on either side. */
export interface Difference {
  position: number;
  scope: "field" | "attribute" | "resource" | "time";
  key: string;
  value: string;
  selection: number;
  baseline: number;
  selectionShare: number;
  baselineShare: number;
  /** How many times as frequent it is in the selection; null where the rest has none. */
  lift: number | null;
  /** Chi-squared with one degree of freedom: the larger, the less chance explains it. */
  evidence: number;
  /** Whether it tells the sides apart by being there, or by how long the spans that have it take. */
  toldBy: "presence" | "duration";
  /** Nanoseconds that its spans without children took on average, on either side; null where there are none. */
  selectionLeaf: number | null;
  baselineLeaf: number | null;
  pValue: number;
  /** Others that the very same traces have. */
  same: Difference[];
  /** Of a stretch of time, milliseconds. */
  from: number | null;
  to: number | null;
}

export interface Comparison {
  differences: Difference[];
  selection: number;
  baseline: number;
  notes: Record<string, unknown>;
}

/** Rows asked for: more than anybody reads. */
const MOST = 300;
/** A difference that chance brings about more often than this among so many values is left out. */
const P_MOST = 0.01;

const instant = (millis: number, round: (value: number) => number): string => `TIMESTAMP ${literal(new Date(round(millis)).toISOString())}`;

/** What holds for both sides. */
function common(question: Question): string[] {
  const conditions: string[] = [];
  if (question.service !== "") conditions.push(`root_service = ${literal(question.service)}`);
  if (question.name !== "") conditions.push(`root_name = ${literal(question.name)}`);
  return conditions;
}

/** What tells the selection from the rest; null where it is not known yet. */
function telling(question: Question): string[] | null {
  const { way, box, over, range } = question;
  if (way === "errors") return [question.of === "spans" ? "status = 'ERROR'" : "errors > 0"];
  if (way === "slow") return over === null ? null : [`duration_nano >= ${Math.round(over)}`];
  if (way === "before") return range.from === null ? null : [`start_time >= ${instant(range.from, Math.floor)}`];
  if (!box) return null;
  return [`start_time >= ${instant(box.from, Math.floor)}`, `start_time < ${instant(box.to, Math.ceil)}`, `duration_nano >= ${Math.ceil(box.low)}`, `duration_nano <= ${Math.ceil(box.high) - 1}`];
}

/** The range of both sides. */
export function rangeOf(question: Question): Range {
  const before = question.way === "before" ? rangeBefore(question.range) : null;
  return before ? { from: before.from, to: question.range.to } : question.range;
}

/** Both sides as conditions on the rows of the view `traces`, or of `spans`; null where the selection is not known yet. */
function sidesOf(question: Question): { selection: string; baseline: string } | null {
  const own = telling(question);
  if (!own) return null;
  const both = common(question);
  return { selection: [...both, ...own].join(" AND "), baseline: [...both, `NOT (${own.join(" AND ")})`].join(" AND ") };
}

/** The comparison as a request; null where the selection is not known yet. */
export function comparePath(question: Question): string | null {
  const sides = sidesOf(question);
  return sides && apiPath("compare", { ...rangeQuery(rangeOf(question)), of: question.of === "spans" ? "spans" : null, ...sides, limit: MOST });
}

/** The same as SQL. */
export function compareStatement(question: Question): string | null {
  const sides = sidesOf(question);
  if (!sides) return null;
  const { from, to } = rangeOf(question);
  const end = (millis: number | null): string => (millis === null ? "NULL" : literal(new Date(millis).toISOString()));
  return `SELECT * FROM ${question.of === "spans" ? "compare_spans" : "compare"}(\n  ${literal(sides.selection)},\n  ${literal(sides.baseline)},\n  ${end(from)}, ${end(to)})\nORDER BY position LIMIT ${MOST}`;
}

export function readDifference(row: Row): Difference {
  const millis = (value: unknown): number | null => {
    const at = typeof value === "string" ? Date.parse(value.replace(/(\.\d{3})\d+/, "$1")) : NaN;
    return Number.isNaN(at) ? null : at;
  };
  return {
    position: numberOrZero(row["position"]),
    scope: String(row["scope"]) as Difference["scope"],
    key: String(row["key"] ?? ""),
    value: String(row["value"] ?? ""),
    selection: numberOrZero(row["selection"]),
    baseline: numberOrZero(row["baseline"]),
    selectionShare: numberOrZero(row["selection_share"]),
    baselineShare: numberOrZero(row["baseline_share"]),
    lift: numberOf(row["lift"]),
    evidence: numberOf(row["evidence"]) ?? numberOrZero(row["g"]),
    toldBy: row["told_by"] === "duration" ? "duration" : "presence",
    selectionLeaf: numberOf(row["selection_leaf_nano"]),
    baselineLeaf: numberOf(row["baseline_leaf_nano"]),
    pValue: numberOf(row["p_value"]) ?? 1,
    same: [],
    from: millis(row["from_time"]),
    to: millis(row["to_time"]),
  };
}

/** What a way of selecting says by itself is no finding. */
function isTautology(difference: Difference, way: Way): boolean {
  if (difference.scope === "time") return way === "box" || way === "before";
  return way === "errors" && difference.scope === "field" && difference.key === "status";
}

/** What says most to a person stands for what the same traces have. */
const TELLING: readonly Difference["scope"][] = ["attribute", "field", "resource", "time"];

/** Rows in their order; what the same traces (or spans) have is gathered below the most telling of them. */
export function gathered(rows: readonly Row[], way: Way): Difference[] {
  const groups = new Map<number, Difference[]>();
  for (const row of rows) {
    const one = readDifference(row);
    if (one.pValue > P_MOST || isTautology(one, way)) continue;
    const group = numberOf(row["same_as"]) ?? one.position;
    groups.set(group, [...(groups.get(group) ?? []), one]);
  }
  return [...groups.values()].map((group) => {
    const [head, ...same] = group.sort((a, b) => TELLING.indexOf(a.scope) - TELLING.indexOf(b.scope) || a.position - b.position);
    return { ...(head as Difference), same };
  });
}

export async function askComparison(question: Question, path: string, signal: AbortSignal): Promise<Comparison> {
  const answer = await getRows(path, signal);
  const { selection, baseline, ...notes } = answer.notes;
  return { differences: gathered(answer.rows, question.way), selection: Number(selection ?? 0), baseline: Number(baseline ?? 0), notes };
}

/** The search for the traces of the selection that have it; null where the search has no field for it. */
export function filterParams(question: Question, difference: Difference): Record<string, string> | null {
  const params = selectionParams(question);
  const { scope, key, value } = difference;
  if (scope === "attribute" || scope === "resource") return { ...params, [scope]: `${key}=${value}` };
  if (scope === "time" && difference.from !== null && difference.to !== null) return { ...params, ...absoluteRange(difference.from, difference.to) };
  if (scope === "field" && ["service", "name", "kind", "scope_name"].includes(key)) return { ...params, [key]: value };
  if (scope === "field" && key === "status" && value === "ERROR") return { ...params, status: "error" };
  return null;
}

/** The search for the traces of the selection. */
export function selectionParams(question: Question): Record<string, string> {
  const { way, box, over, service, name } = question;
  return {
    ...(service === "" ? {} : { root_service: service }),
    ...(name === "" ? {} : { root_name: name }),
    ...(way === "box" && box ? boxParams(box) : {}),
    ...(way === "slow" && over !== null && question.of === "traces" ? { min_duration: `${Math.round(over)}ns`, order: "slowest" } : {}),
    ...(way === "errors" ? (question.of === "traces" ? { root_status: "error" } : { status: "error" }) : {}),
  };
}

/** The traces of the selection that have it, as SQL: for what the search has no field for. */
export function tracesStatement(question: Question, difference: Difference): string {
  const { scope, key, value } = difference;
  const column = scope === "resource" ? `resource[${literal(key)}]` : key;
  const size = scope === "field" && key === "spans" ? /^(\d+)(?: to (\d+))?$/.exec(value) : null;
  const { from, to } = question.range;
  const end = (millis: number | null): string => (millis === null ? "NULL" : literal(new Date(millis).toISOString()));
  const where = [...common(question), ...(question.of === "traces" ? (telling(question) ?? []) : [])];
  const has = size ? `spans BETWEEN ${size[1]} AND ${size[2] ?? size[1]}` : `trace_id IN (SELECT trace_id FROM spans WHERE CAST(${column} AS VARCHAR) = ${literal(value)})`;
  return `SELECT * FROM traces(${end(from)}, ${end(to)})\nWHERE ${[...where, has].join("\n  AND ")}\nORDER BY duration_nano DESC LIMIT 100`;
}
