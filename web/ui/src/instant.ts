// Instants to the nanosecond: JavaScript's own dates stop at the millisecond.

/** Seconds since 1970 and nanoseconds within the second. */
export interface Instant {
  seconds: number;
  nanos: number;
}

const TEXT = /^(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?\d*(Z|[+-]\d\d:?\d\d)?$/;

/** Reads `2026-11-22T04:00:00.123456789Z`; no zone means UTC. Null where it is not an instant. */
export function parseInstant(text: unknown): Instant | null {
  if (typeof text !== "string") return null;
  const found = TEXT.exec(text);
  if (!found) return null;
  const part = (index: number): number => Number(found[index] ?? 0);
  const seconds = Date.UTC(part(1), part(2) - 1, part(3), part(4), part(5), part(6)) / 1000;
  const nanos = Number((found[7] ?? "0").padEnd(9, "0"));
  return { seconds: seconds - offset(found[8]), nanos };
}

function offset(zone: string | undefined): number {
  if (!zone || zone === "Z") return 0;
  const digits = zone.replace(":", "");
  const size = Number(digits.slice(1, 3)) * 3600 + Number(digits.slice(3, 5)) * 60;
  return digits.startsWith("-") ? -size : size;
}

/** `a - b` in nanoseconds; exact while below 2^53 (104 days). */
export function nanosBetween(a: Instant, b: Instant): number {
  return (a.seconds - b.seconds) * 1e9 + (a.nanos - b.nanos);
}

/** Milliseconds since 1970. */
export function toMillis(instant: Instant): number {
  return instant.seconds * 1000 + instant.nanos / 1e6;
}

/** Unix nanoseconds as SQL and the API take them: exact, no exponent. */
export function millisToNanoText(millis: number): string {
  return (BigInt(Math.round(millis)) * 1_000_000n).toString();
}

const two = (value: number): string => String(value).padStart(2, "0");

/** Local `2026-11-22 04:00:00.123`. */
export function localTime(millis: number, digits: 0 | 3 = 3): string {
  const date = new Date(millis);
  if (Number.isNaN(date.getTime())) return "–";
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${clock(date, digits)}`;
}

/** Local `04:00:00.123`. */
export function localClock(millis: number, digits: 0 | 3 = 3): string {
  return clock(new Date(millis), digits);
}

function clock(date: Date, digits: 0 | 3): string {
  const text = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return digits === 0 ? text : `${text}.${String(date.getMilliseconds()).padStart(3, "0")}`;
}

/** UTC with all digits, for a hover: `2026-11-22T04:00:00.123456789Z`. */
export function utcText(instant: Instant): string {
  const date = new Date(instant.seconds * 1000).toISOString().slice(0, 19);
  return `${date}.${String(instant.nanos).padStart(9, "0")}Z`;
}
