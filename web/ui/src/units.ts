// Numbers as people read them: three significant digits, a unit, never a guess where there is no value.

/** What stands where a value is missing. */
export const MISSING = "–";

const DURATION_STEPS: readonly [number, string][] = [
  [1, "ns"],
  [1e3, "µs"],
  [1e6, "ms"],
  [1e9, "s"],
];

/** Three significant digits without exponent: 1.24, 12.4, 124, 1240. */
export function significant(value: number): string {
  if (value === 0) return "0";
  const digits = Math.floor(Math.log10(Math.abs(value))) + 1;
  const rounded = Number(value.toPrecision(3));
  const after = Math.floor(Math.log10(Math.abs(rounded))) + 1;
  return rounded.toFixed(Math.max(0, 3 - Math.max(digits, after, 1)));
}

/** `870 µs`, `1.24 ms`, `3.07 s`, `2 min 05 s`, `3 h 12 min`, `2 d 4 h`. */
export function duration(nanos: number | null | undefined): string {
  if (nanos === null || nanos === undefined || !Number.isFinite(nanos)) return MISSING;
  const size = Math.abs(nanos);
  const sign = nanos < 0 ? "−" : "";
  if (size < 1) return "0 ns";
  if (size < 1e3) return `${sign}${Math.round(size)} ns`;
  if (size >= 59.95e9) return sign + longDuration(Math.round(size / 1e9));
  let index = size >= 1e9 ? 3 : size >= 1e6 ? 2 : 1;
  // 999.6 µs would round to 1000 µs: the next unit says it better.
  if (index < 3 && Number((size / (DURATION_STEPS[index]?.[0] ?? 1)).toPrecision(3)) >= 1000) index += 1;
  const [unit, name] = DURATION_STEPS[index] ?? [1, "ns"];
  return `${sign}${significant(size / unit)} ${name}`;
}

/** A duration on an axis: `10 ms`, not `10.0 ms`. */
export function tickDuration(nanos: number): string {
  return duration(nanos).replace(/(\.\d*?)0+(?= )/, "$1").replace(/\.(?= )/, "");
}

function longDuration(seconds: number): string {
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${pad(seconds % 60)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 1440) return `${Math.floor(minutes / 60)} h ${pad(minutes % 60)} min`;
  const hours = Math.round(minutes / 60);
  return hours % 24 === 0 ? `${hours / 24} d` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

function pad(value: number): string {
  return String(value).padStart(2, "0");
}

/** All nanoseconds of a duration, grouped: `1,240,000 ns`. */
export function exactDuration(nanos: number | null | undefined): string {
  return nanos === null || nanos === undefined ? "not known" : `${grouped(nanos)} ns`;
}

/** An integer with separators: `1,234,567`. */
export function grouped(value: number): string {
  // The browser's own formatting takes 50 ms when it is asked for the first time.
  const [whole = "0", part = ""] = String(Math.round(Math.abs(value) * 100) / 100).split(".");
  if (!/^\d+$/.test(whole)) return value.toLocaleString("en-US", { maximumFractionDigits: 2 });
  const sign = value < 0 && (whole !== "0" || part !== "") ? "-" : "";
  return `${sign}${whole.replace(/\B(?=(\d{3})+$)/g, ",")}${part === "" ? "" : `.${part}`}`;
}

/** `1,234`, `12.3 k`, `4.56 M`, `7.8 G`. */
export function count(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return MISSING;
  const size = Math.abs(value);
  if (size < 9999.5) return grouped(size < 10 && !Number.isInteger(value) ? Number(value.toPrecision(3)) : Math.round(value));
  for (const [unit, name] of [[1e3, "k"], [1e6, "M"], [1e9, "G"]] as const) {
    if (Number((size / unit).toPrecision(3)) < 1000) return `${significant(value / unit)} ${name}`;
  }
  return `${significant(value / 1e12)} T`;
}

/** Binary units: `812 B`, `1.2 MiB`. */
export function bytes(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return MISSING;
  if (Math.abs(value) < 1024) return `${grouped(Math.round(value))} B`;
  let size = value;
  for (const name of ["KiB", "MiB", "GiB", "TiB"]) {
    size /= 1024;
    if (Math.abs(size) < 1023.5 || name === "TiB") return `${significant(size)} ${name}`;
  }
  return MISSING;
}

/** Per second: `12.3 /s`, `0.05 /s`. */
export function rate(perSecond: number | null | undefined): string {
  if (perSecond === null || perSecond === undefined || !Number.isFinite(perSecond)) return MISSING;
  if (perSecond === 0) return "0 /s";
  if (perSecond < 0.001) return "<0.001 /s";
  if (perSecond < 999.5) return `${significant(perSecond)} /s`;
  return `${count(perSecond)} /s`;
}

/** One decimal; a share that is not zero never reads as zero. */
export function percent(share: number | null | undefined): string {
  if (share === null || share === undefined || !Number.isFinite(share)) return MISSING;
  if (share > 0 && share < 0.0005) return "<0.1 %";
  if (share < 1 && share > 0.9995) return ">99.9 %";
  return `${(share * 100).toFixed(1)} %`;
}

/** `part / whole` where there is a whole. */
export function ratio(part: number, whole: number): number | null {
  return whole > 0 ? part / whole : null;
}

/** One noun with its number: `1 span`, `2,310 spans`; `many` where an s does not make it. */
export function plural(value: number, noun: string, many = `${noun}s`): string {
  return `${count(value)} ${value === 1 ? noun : many}`;
}
