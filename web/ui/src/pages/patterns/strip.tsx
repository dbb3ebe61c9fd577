// Latency of a pattern as a line from the median to the slowest on one log scale for all rows.
import { duration } from "../../units.ts";
import type { Pattern } from "./model.ts";

export interface StripScale {
  low: number;
  high: number;
}

const WIDE = 120;
const HIGH = 16;

/** From the shortest median to the longest trace. */
export function stripScale(patterns: readonly Pattern[]): StripScale {
  const logs = (value: (one: Pattern) => number | null): number[] => patterns.flatMap((one) => { const nanos = value(one); return nanos === null ? [] : [Math.log10(Math.max(1, nanos))]; });
  const low = logs((one) => one.p50).reduce((least, one) => Math.min(least, one), Infinity);
  const high = logs((one) => one.max).reduce((most, one) => Math.max(most, one), -Infinity);
  return Number.isFinite(low) && high > low ? { low, high } : { low: 0, high: 1 };
}

export function LatencyStrip(props: { pattern: Pattern; scale: StripScale }): preact.JSX.Element {
  const { pattern, scale } = props;
  if (pattern.p50 === null || pattern.max === null || pattern.p95 === null) return <span class="quiet" title="No traces in this window.">–</span>;
  const x = (nanos: number): number => 4 + ((Math.log10(Math.max(1, nanos)) - scale.low) / (scale.high - scale.low)) * (WIDE - 8);
  const words = `p50 ${duration(pattern.p50)}, p95 ${duration(pattern.p95)}, max ${duration(pattern.max)}`;
  return (
    <svg class="strip-line" width={WIDE} height={HIGH} role="img" aria-label={words}>
      <title>{words}</title>
      <line class="axis" x1="0" x2={WIDE} y1={HIGH / 2} y2={HIGH / 2} />
      <line class="tail" x1={x(pattern.p95)} x2={Math.max(x(pattern.p95) + 1, x(pattern.max))} y1={HIGH / 2} y2={HIGH / 2} />
      <line class="body" x1={x(pattern.p50)} x2={Math.max(x(pattern.p50) + 2, x(pattern.p95))} y1={HIGH / 2} y2={HIGH / 2} />
      <line class="mark" x1={x(pattern.p95)} x2={x(pattern.p95)} y1="2" y2={HIGH - 2} />
    </svg>
  );
}
