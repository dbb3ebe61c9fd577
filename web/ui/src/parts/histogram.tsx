// Durations on a log axis, with the quantiles as labelled lines; drag selects a stretch.
import { useState } from "preact/hooks";
import { quantile, type Bucket } from "../quantile.ts";
import { count, duration, grouped, percent, tickDuration } from "../units.ts";
import { beside, niceStep, useWidth } from "./chart.tsx";

interface HistogramProps {
  buckets: readonly Bucket[];
  /** The window to compare with: an outline, scaled to the same number of traces. */
  before?: readonly Bucket[];
  /** Those of them with errors: stacked dark at the foot. */
  failed?: readonly Bucket[];
  /** What is said of those, after a number. */
  failedWords?: string;
  noun: string;
  onSelect: (low: number, high: number) => void;
}

const LEFT = 52;
const TOP = 34;
const HEIGHT = 240;
const BOTTOM = 22;

interface Bin {
  low: number;
  high: number;
  count: number;
}

/** Buckets of any width as equal bins of the log axis: a bucket counts where its middle lies. */
export function binned(buckets: readonly Bucket[], most: number, extent: readonly Bucket[] = buckets): Bin[] {
  const filled = extent.filter((bucket) => bucket.count > 0);
  if (filled.length === 0) return [];
  const low = Math.log2(Math.max(1, Math.min(...filled.map((bucket) => bucket.low))));
  const high = Math.log2(Math.max(2, ...filled.map((bucket) => bucket.high)));
  // Bins are whole fractions of a doubling, and never finer than what the buckets can tell.
  const finest = Math.max(...filled.map((bucket) => Math.log2(Math.max(1, bucket.high)) - Math.log2(Math.max(1, bucket.low))));
  const step = [1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 2].find((size) => (high - low) / size <= most && size >= finest * 2) ?? 2;
  const first = Math.floor(low / step) - 1;
  const last = Math.ceil(high / step) + 1;
  const bins = Array.from({ length: last - first }, (_, index) => ({ low: 2 ** ((first + index) * step), high: 2 ** ((first + index + 1) * step), count: 0 }));
  for (const bucket of buckets) {
    if (bucket.count === 0) continue;
    const middle = Math.log2(Math.max(1, Math.sqrt(Math.max(1, bucket.low) * Math.max(1, bucket.high))));
    const bin = bins[Math.min(bins.length - 1, Math.max(0, Math.floor(middle / step) - first))];
    if (bin) bin.count += bucket.count;
  }
  return bins;
}

export function Histogram(props: HistogramProps): preact.JSX.Element {
  const [frame, width] = useWidth();
  const [hover, setHover] = useState<number | null>(null);
  const [drag, setDrag] = useState<[number, number] | null>(null);
  const inner = Math.max(1, width - LEFT - 12);
  const before = props.before ?? [];
  const extent = before.length > 0 ? [...props.buckets, ...before] : props.buckets;
  const bins = binned(props.buckets, Math.max(20, inner / 10), extent);
  const failed = props.failed && props.failed.length > 0 ? binned(props.failed, Math.max(20, inner / 10), extent) : [];
  const earlier = before.length > 0 ? binned(before, Math.max(20, inner / 10), extent) : [];
  const first = bins[0];
  const last = bins[bins.length - 1];
  const total = bins.reduce((sum, bin) => sum + bin.count, 0);
  if (!first || !last) return <div class="chart-frame" ref={frame} style={{ height: `${HEIGHT}px` }} />;
  const from = Math.log10(first.low);
  const to = Math.log10(last.high);
  const x = (nanos: number): number => LEFT + ((Math.log10(Math.max(1, nanos)) - from) / (to - from)) * inner;
  const scaled = total / Math.max(1, earlier.reduce((sum, bin) => sum + bin.count, 0));
  const top = Math.max(1, ...bins.map((bin) => bin.count), ...earlier.map((bin) => bin.count * scaled));
  const step = niceStep(top, 4);
  const most = Math.ceil(top / step) * step;
  const y = (value: number): number => TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / most);
  const at = (event: PointerEvent): number => {
    const box = (event.currentTarget as Element).getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (event.clientX - box.left - LEFT) / inner));
    return 10 ** (from + share * (to - from));
  };
  const found = hover === null ? undefined : bins.find((bin) => hover >= bin.low && hover < bin.high);
  const failedHere = found ? (failed.find((bin) => bin.low === found.low)?.count ?? 0) : 0;
  const below = found ? bins.filter((bin) => bin.high <= found.high).reduce((sum, bin) => sum + bin.count, 0) : 0;
  return (
    <div class="chart-frame" ref={frame} style={{ height: `${HEIGHT}px` }}>
      {width > 0 && (
        <svg
          class="chart"
          width={width}
          height={HEIGHT}
          role="img"
          aria-label={`Histogram of ${grouped(total)} ${props.noun} by duration`}
          onPointerDown={(event) => {
            event.currentTarget.setPointerCapture(event.pointerId);
            setDrag([at(event), at(event)]);
          }}
          onPointerMove={(event) => {
            setHover(at(event));
            if (drag) setDrag([drag[0], at(event)]);
          }}
          onPointerUp={() => {
            if (drag && Math.abs(x(drag[1]) - x(drag[0])) > 4) props.onSelect(Math.min(...drag), Math.max(...drag));
            setDrag(null);
          }}
          onPointerLeave={() => setHover(null)}
        >
          <rect width={width} height={HEIGHT} fill="transparent" />
          {Array.from({ length: Math.round(most / step) + 1 }, (_, index) => index * step).map((value) => (
            <g key={value}>
              <line class="axis" x1={LEFT} x2={width - 12} y1={y(value)} y2={y(value)} />
              <text x={LEFT - 6} y={y(value) + 4} text-anchor="end">{count(value)}</text>
            </g>
          ))}
          {bins.map((bin) => (
            <rect key={bin.low} class="bar-fill" x={x(bin.low) + 0.5} width={Math.max(1, x(bin.high) - x(bin.low) - 1)} y={y(bin.count)} height={Math.max(bin.count > 0 ? 1 : 0, y(0) - y(bin.count))} />
          ))}
          {failed.filter((bin) => bin.count > 0).map((bin) => (
            <rect key={bin.low} class="bar-error" data-part="failed" x={x(bin.low) + 0.5} width={Math.max(1, x(bin.high) - x(bin.low) - 1)} y={Math.min(y(bin.count), y(0) - 1)} height={Math.max(1, y(0) - y(bin.count))}><title>{grouped(bin.count)} {props.failedWords ?? "with errors"}</title></rect>
          ))}
          {earlier.length > 0 && <path class="outline" data-part="before" d={outline(earlier.map((bin) => ({ ...bin, count: bin.count * scaled })), x, y)} />}
          <Decades from={from} to={to} x={x} width={inner} />
          <Quantiles buckets={props.buckets} x={x} width={width} />
          {found && !drag && <rect class="hover" x={x(found.low)} width={x(found.high) - x(found.low)} y={TOP} height={HEIGHT - TOP - BOTTOM} />}
          {drag && <rect class="brush" x={x(Math.min(...drag))} width={Math.abs(x(drag[1]) - x(drag[0]))} y={TOP} height={HEIGHT - TOP - BOTTOM} />}
        </svg>
      )}
      {found && !drag && (
        <div class="tip" style={{ top: `${TOP}px`, ...beside(x(found.low), x(found.high) - x(found.low), width) }}>
          {duration(found.low)} – {duration(found.high)}<br />{grouped(found.count)} {props.noun}, {percent(below / total)} are this fast or faster
          {failedHere > 0 && <span class="error-text"><br />{grouped(failedHere)} of them {props.failedWords ?? "with errors"} ({percent(failedHere / Math.max(1, found.count))})</span>}
          {earlier.length > 0 && <><br />{grouped(earlier.find((bin) => bin.low === found.low)?.count ?? 0)} in the window before</>}
        </div>
      )}
    </div>
  );
}

/** Steps along the tops of the bins. */
function outline(bins: readonly Bin[], x: (nanos: number) => number, y: (value: number) => number): string {
  return bins.map((bin, index) => `${index === 0 ? "M" : "L"}${x(bin.low).toFixed(1)} ${y(bin.count).toFixed(1)}H${x(bin.high).toFixed(1)}`).join("");
}

function Decades(props: { from: number; to: number; x: (nanos: number) => number; width: number }): preact.JSX.Element {
  const few = props.to - props.from < 3;
  const factors = few ? (props.to - props.from < 1.2 ? [1, 1.5, 2, 3, 4, 5, 6, 8] : [1, 2, 5]) : [1];
  const ticks: number[] = [];
  for (let power = Math.floor(props.from); power <= props.to; power += 1) {
    for (const factor of factors) {
      const at = factor * 10 ** power;
      if (Math.log10(at) >= props.from && Math.log10(at) <= props.to) ticks.push(at);
    }
  }
  const every = Math.max(1, Math.ceil(ticks.length / Math.max(1, props.width / 64)));
  return (
    <g>
      {ticks.filter((_, index) => index % every === 0).map((at) => (
        <text key={at} x={props.x(at)} y={HEIGHT - 5} text-anchor="middle">{tickDuration(at)}</text>
      ))}
    </g>
  );
}

/** Lines with their label at the line; labels that would collide take the row below. */
function Quantiles(props: { buckets: readonly Bucket[]; x: (nanos: number) => number; width: number }): preact.JSX.Element {
  const ends = [-Infinity, -Infinity, -Infinity];
  return (
    <g>
      {([["p50", 0.5], ["p95", 0.95], ["p99", 0.99]] as const).map(([label, share]) => {
        const nanos = quantile(props.buckets, share);
        if (nanos === null) return null;
        const at = props.x(nanos);
        const text = `${label} ${duration(nanos)}`;
        const wide = text.length * 6.2 + 6;
        const left = at + wide > props.width;
        const row = Math.max(0, ends.findIndex((end) => (left ? at - wide : at) > end));
        ends[row] = left ? at : at + wide;
        return (
          <g key={label} data-quantile={label}>
            <line class="quantile" x1={at} x2={at} y1={4 + row * 13} y2={HEIGHT - BOTTOM} />
            <text class="quantile-label" x={left ? at - 4 : at + 4} y={12 + row * 13} text-anchor={left ? "end" : "start"}>{text}</text>
          </g>
        );
      })}
    </g>
  );
}
