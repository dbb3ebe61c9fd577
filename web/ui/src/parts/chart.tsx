// Axes and bars. A picture is as wide as its place; its numbers are text, not pixels.
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { localClock, localTime } from "../instant.ts";
import { count, grouped } from "../units.ts";

export interface Size {
  width: number;
  height: number;
}

/** The size in pixels, without borders and scroll bars, of the element that `ref` is put on; 0 by 0 before it is there. */
export function useSize(): [preact.RefObject<HTMLDivElement | null>, Size] {
  const ref = useRef<HTMLDivElement>(null);
  const [size, setSize] = useState<Size>({ width: 0, height: 0 });
  useLayoutEffect(() => {
    const element = ref.current;
    if (!element) return undefined;
    const measure = (): void =>
      setSize((before) => (before.width === element.clientWidth && before.height === element.clientHeight ? before : { width: element.clientWidth, height: element.clientHeight }));
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    measure();
    return () => observer.disconnect();
  }, []);
  return [ref, size];
}

/** The width of it alone. */
export function useWidth(): [preact.RefObject<HTMLDivElement | null>, number] {
  const [ref, size] = useSize();
  return [ref, size.width];
}

const TIME_STEPS = [
  1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 10e3, 15e3, 30e3, 60e3, 120e3, 300e3, 600e3, 900e3, 1800e3, 3600e3, 7200e3, 10800e3,
  21600e3, 43200e3, 86400e3, 172800e3, 604800e3, 2592000e3, 31536000e3,
];

const YEAR = 31536000e3;

/** First days of years, of decades where there are many. */
function yearTicks(from: number, to: number, most: number): { at: number; label: string }[] {
  const step = Math.max(1, niceStep((to - from) / YEAR, most));
  const ticks = [];
  for (let year = Math.ceil(new Date(from).getFullYear() / step) * step; ticks.length < 100; year += step) {
    const at = new Date(year, 0, 1).getTime();
    if (at > to) break;
    if (at >= from) ticks.push({ at, label: String(year) });
  }
  return ticks;
}

/** Round local instants between two others, at most `most` of them. */
export function timeTicks(from: number, to: number, most: number): { at: number; label: string }[] {
  const step = TIME_STEPS.find((size) => (to - from) / size <= most);
  if (step === undefined || step >= YEAR) return yearTicks(from, to, most);
  const shift = step >= 3600e3 ? new Date(from).getTimezoneOffset() * 60e3 : 0;
  const ticks = [];
  for (let at = Math.ceil((from - shift) / step) * step + shift; at <= to && ticks.length < 100; at += step) {
    const midnight = localClock(at, 0) === "00:00:00";
    const label = step >= 86400e3 || midnight ? localTime(at, 0).slice(5, 10) : step >= 60e3 ? localClock(at, 0).slice(0, 5) : step >= 1e3 ? localClock(at, 0) : localClock(at, 3);
    ticks.push({ at, label });
  }
  return ticks;
}

/** 1, 2 or 5 times a power of ten, so that `most` steps cover `size`. */
export function niceStep(size: number, most: number): number {
  const rough = size / Math.max(1, most);
  const power = 10 ** Math.floor(Math.log10(rough || 1));
  return ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10) * power;
}

export interface TimeBar {
  at: number;
  value: number;
  errors: number;
}

interface TimeBarsProps {
  bars: readonly TimeBar[];
  from: number;
  to: number;
  step: number;
  noun: string;
  onSelect: (from: number, to: number) => void;
  height?: number;
}

const LEFT = 44;
const BOTTOM = 20;

/** Counts over time with their errors at the foot; drag selects a range. */
export function TimeBars(props: TimeBarsProps): preact.JSX.Element {
  const [frame, width] = useWidth();
  const [hover, setHover] = useState<number | null>(null);
  const [drag, setDrag] = useState<[number, number] | null>(null);
  const height = props.height ?? 120;
  const inner = Math.max(1, width - LEFT - 4);
  const plot = height - BOTTOM - 6;
  const top = Math.max(1, ...props.bars.map((bar) => bar.value));
  const step = niceStep(top, 3);
  const most = Math.ceil(top / step) * step;
  const x = (at: number): number => LEFT + ((at - props.from) / (props.to - props.from)) * inner;
  const y = (value: number): number => 6 + plot * (1 - value / most);
  const timeAt = (event: PointerEvent): number => {
    const box = (event.currentTarget as Element).getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (event.clientX - box.left - LEFT) / inner));
    return props.from + share * (props.to - props.from);
  };
  const wide = Math.max(1, (props.step / (props.to - props.from)) * inner - 1);
  const found = hover === null ? undefined : props.bars.find((bar) => hover >= bar.at && hover < bar.at + props.step);
  return (
    <div class="chart-frame" ref={frame} style={{ height: `${height}px` }}>
      {width > 0 && (
        <svg
          class="chart"
          height={height}
          width={width}
          role="img"
          aria-label={`${props.noun} over time`}
          onPointerDown={(event) => {
            event.currentTarget.setPointerCapture(event.pointerId);
            setDrag([timeAt(event), timeAt(event)]);
          }}
          onPointerMove={(event) => {
            setHover(timeAt(event));
            if (drag) setDrag([drag[0], timeAt(event)]);
          }}
          onPointerUp={() => {
            if (drag && Math.abs(x(drag[1]) - x(drag[0])) > 6) props.onSelect(Math.min(...drag), Math.max(...drag));
            setDrag(null);
          }}
          onPointerLeave={() => setHover(null)}
        >
          <rect x="0" y="0" width={width} height={height} fill="transparent" />
          {Array.from({ length: Math.round(most / step) + 1 }, (_, index) => index * step).map((value) => (
            <g key={value}>
              <line class="axis" x1={LEFT} x2={width - 4} y1={y(value)} y2={y(value)} />
              <text x={LEFT - 6} y={y(value) + 4} text-anchor="end">{count(value)}</text>
            </g>
          ))}
          {props.bars.map((bar) => (
            <g key={bar.at}>
              <rect class="bar-fill" x={x(bar.at)} width={wide} y={y(bar.value)} height={Math.max(0, y(0) - y(bar.value))} />
              {bar.errors > 0 && <rect class="bar-error" x={x(bar.at)} width={wide} y={Math.min(y(bar.errors), y(0) - 2)} height={Math.max(2, y(0) - y(bar.errors))} />}
            </g>
          ))}
          {timeTicks(props.from, props.to, inner / 90).map((tick) => (
            <text key={tick.at} x={x(tick.at)} y={height - 4} text-anchor="middle">{tick.label}</text>
          ))}
          {found && !drag && <rect class="hover" x={x(found.at)} width={wide + 1} y="0" height={height - BOTTOM} />}
          {drag && <rect class="brush" x={x(Math.min(...drag))} width={Math.abs(x(drag[1]) - x(drag[0]))} y="0" height={height - BOTTOM} />}
        </svg>
      )}
      {found && !drag && (
        <div class="tip" style={{ top: "0", ...beside(x(found.at), wide, width) }}>
          {localTime(found.at, 0)}<br />{grouped(found.value)} {props.noun}
          {found.errors > 0 && <span class="error-text">, {grouped(found.errors)} with errors</span>}
        </div>
      )}
    </div>
  );
}

/** Puts a tip on the side of `x` that has room. */
export function beside(x: number, wide: number, width: number): Record<string, string> {
  return x > width / 2 ? { right: `${width - x + 6}px` } : { left: `${x + wide + 6}px` };
}

/** A line of a few pixels: shape, not numbers; red marks where errors were. */
export function Sparkline(props: { values: readonly number[]; errors: readonly number[]; title: string }): preact.JSX.Element {
  const { values } = props;
  const top = Math.max(1, ...values);
  const x = (index: number): number => (index / Math.max(1, values.length - 1)) * 120;
  const y = (value: number): number => 18.5 - (value / top) * 16;
  const points = values.map((value, index) => `${x(index).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
  return (
    <svg class="spark" viewBox="0 0 120 20" preserveAspectRatio="none" role="img" aria-label={props.title}>
      <title>{props.title}</title>
      {values.length > 0 && <polygon class="area" points={`0,19 ${points} 120,19`} />}
      <polyline class="line" points={points} />
      {props.errors.map((value, index) => (value > 0 ? <rect key={index} class="err" x={Math.max(0, x(index) - 1)} y="17.5" width="2" height="2.5" /> : null))}
    </svg>
  );
}
