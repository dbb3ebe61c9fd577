// The one time range of all pages: what people type, and the instants it means now.

/** A range as it stands in the URL: `-1h`, `now`, ISO, Unix seconds; empty = no bound. */
export interface RangeText {
  from: string;
  to: string;
}

/** The same range in milliseconds since 1970; null = no bound. */
export interface Range {
  from: number | null;
  to: number | null;
}

export const DEFAULT_RANGE: RangeText = { from: "-1h", to: "now" };
/** Everything stored. */
export const ALL_TIME: RangeText = { from: "all", to: "" };

const UNITS: Record<string, number> = { s: 1e3, m: 60e3, min: 60e3, h: 3600e3, d: 86400e3, w: 604800e3 };

/** Milliseconds that `text` means at `now`; null = no bound (`all` or empty); undefined = not understood. */
export function parseTime(text: string, now: number): number | null | undefined {
  const trimmed = text.trim();
  if (trimmed === "" || trimmed === "all") return null;
  if (trimmed === "now") return now;
  const relative = /^(?:now)?\s*([+-])\s*(\d+(?:\.\d+)?)\s*(s|min|m|h|d|w)$/.exec(trimmed);
  if (relative) {
    const size = Number(relative[2]) * (UNITS[relative[3] ?? ""] ?? 0);
    return relative[1] === "-" ? now - size : now + size;
  }
  if (/^\d{9,11}(\.\d+)?$/.test(trimmed)) return Number(trimmed) * 1000;
  if (/^\d{12,14}$/.test(trimmed)) return Number(trimmed);
  if (!/^\d{4}-\d\d-\d\d/.test(trimmed)) return undefined;
  const zoned = /(Z|[+-]\d\d:?\d\d)$/.test(trimmed.slice(10));
  const parsed = Date.parse(zoned || trimmed.length > 10 ? trimmed.replace(" ", "T") : `${trimmed}T00:00:00`);
  return Number.isNaN(parsed) ? undefined : parsed;
}

/** The range at `now`, or words about what is wrong with it. */
export function resolveRange(text: RangeText, now: number): Range | string {
  const from = parseTime(text.from, now);
  const to = parseTime(text.to, now);
  if (from === undefined) return `“${text.from}” is not a time`;
  if (to === undefined) return `“${text.to}” is not a time`;
  if (from !== null && to !== null && from >= to) return "the range ends before it starts";
  return { from, to };
}

/** True where the range moves with the clock. */
export function isRelative(text: RangeText): boolean {
  return [text.from, text.to].some((part) => /^(now|[+-])/.test(part.trim()));
}

/** `Last 1 h`, `All time`, or the two ends. */
export function describeRange(text: RangeText): string {
  const { from, to } = text;
  if ((from === "all" || from === "") && to === "") return "All time";
  const last = /^-(\d+(?:\.\d+)?)(s|min|m|h|d|w)$/.exec(from);
  if (last && (to === "now" || to === "")) return `Last ${last[1]} ${last[2] === "m" ? "min" : last[2]}`;
  return `${shortEnd(from) || "start"} – ${shortEnd(to) || "now"}`;
}

function shortEnd(text: string): string {
  const millis = /^\d{4}-/.test(text) ? Date.parse(text) : NaN;
  if (Number.isNaN(millis)) return text;
  const date = new Date(millis);
  const two = (value: number): string => String(value).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}${date.getSeconds() ? `:${two(date.getSeconds())}` : ""}`;
}

/** Two instants as a range that no longer moves. */
export function absoluteRange(from: number, to: number): RangeText {
  return { from: new Date(Math.floor(from)).toISOString(), to: new Date(Math.ceil(to)).toISOString() };
}

/** The range moved by `share` of its length (negative: back); unbounded ranges stay. */
export function shiftRange(range: Range, share: number): RangeText | null {
  if (range.from === null || range.to === null) return null;
  const by = (range.to - range.from) * share;
  return absoluteRange(range.from + by, range.to + by);
}

/** The range made `factor` times as long around its middle. */
export function zoomRange(range: Range, factor: number): RangeText | null {
  if (range.from === null || range.to === null) return null;
  const middle = (range.from + range.to) / 2;
  const half = Math.max(1, ((range.to - range.from) / 2) * factor);
  return absoluteRange(middle - half, middle + half);
}

const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800];

/** A bucket of whole seconds such that the range has at most `most` of them. */
export function bucketSeconds(range: { from: number; to: number }, most: number): number {
  const seconds = (range.to - range.from) / 1000;
  const last = STEPS[STEPS.length - 1] ?? 604800;
  return STEPS.find((step) => seconds / step <= most) ?? Math.ceil(seconds / most / last) * last;
}

/** The range of the same length just before; null where it has no ends. */
export function rangeBefore(range: Range): Range | null {
  if (range.from === null || range.to === null) return null;
  return { from: range.from - (range.to - range.from), to: range.from };
}
