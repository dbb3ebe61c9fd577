// The range of the page as parameters of the API and as arguments of a SQL view.
import type { Query } from "./api.ts";
import { literal } from "./api.ts";
import type { Range } from "./range.ts";

function text(millis: number | null): string | null {
  return millis === null ? null : new Date(millis).toISOString();
}

/** `from` and `to` of an API call. */
export function rangeQuery(range: Range): Query {
  return { from: text(range.from), to: text(range.to) };
}

/** `('2026-…', '2026-…')`: the arguments of a view; `third` comes after them. */
export function rangeArguments(range: Range, third?: string): string {
  const from = text(range.from);
  const to = text(range.to);
  if (third !== undefined) return `(${[from, to].map((end) => (end === null ? "NULL" : literal(end))).join(", ")}, ${literal(third)})`;
  if (from === null && to === null) return "()";
  if (to === null) return `(${literal(from ?? "")})`;
  return `(${from === null ? "NULL" : literal(from)}, ${literal(to)})`;
}

/** The part of a `useAsk` key that stands for the range. */
export function rangeKey(params: Record<string, string>): string {
  return `${params["from"] ?? ""}|${params["to"] ?? ""}`;
}
