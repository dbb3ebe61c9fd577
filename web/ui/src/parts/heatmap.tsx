// A heatmap of durations over time: an even scale of one hue, counts in the legend, an example a cell, a box by drag.
import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { FAILED_ROOT, type Box, type Cell, type Heat, type TimeLine } from "../heat.ts";
import { localTime } from "../instant.ts";
import { useApp } from "../state.tsx";
import { duration, grouped, percent, tickDuration } from "../units.ts";
import { prepare } from "../canvas.ts";
import { beside, timeTicks, useWidth } from "./chart.tsx";

const LEFT = 60;
const TOP = 6;
const BOTTOM = 20;

interface HeatmapProps {
  heat: Heat;
  height?: number;
  /** What the keys do with the box, for the label. */
  label: string;
  onSelect: (box: Box) => void;
  /** Drawn as an outline. */
  box?: Box | null;
  /** Another picture on the same axis and with the same colours. */
  beside?: Heat | null;
  onExample: (trace: string) => void;
}

/** Even steps of lightness: a cell with ten times the traces is as much darker everywhere on the scale. */
export function heatColour(share: number, dark: boolean): string {
  const at = Math.min(1, Math.max(0, share));
  const light = dark ? 0.3 + at * 0.58 : 0.93 - at * 0.55;
  return `oklch(${light.toFixed(3)} ${(0.045 + 0.1 * Math.sin(at * Math.PI * 0.75)).toFixed(3)} ${(245 + at * 25).toFixed(0)})`;
}

function shareOf(count: number, most: number): number {
  return most <= 1 ? 1 : Math.log(count) / Math.log(most);
}

interface Scales {
  x: (at: number) => number;
  y: (nanos: number) => number;
  timeAt: (x: number) => number;
  nanosAt: (y: number) => number;
  low: number;
  high: number;
  /** Room for labels on the right. */
  right: number;
}

function scales(heat: Heat, beside: Heat | null, width: number, height: number): Scales {
  const bins = [...heat.cells, ...(beside?.cells ?? [])].map((cell) => cell.bin);
  const perDoubling = 4;
  const low = bins.reduce((least, bin) => Math.min(least, bin), Infinity) - 1;
  const high = bins.reduce((all, bin) => Math.max(all, bin + 2), low + 8);
  const right = heat.lines.length > 0 ? 40 : 8;
  const inner = Math.max(1, width - LEFT - right);
  const plot = height - TOP - BOTTOM;
  return {
    x: (at) => LEFT + ((at - heat.from) / (heat.to - heat.from)) * inner,
    y: (nanos) => TOP + plot * (1 - (Math.log2(Math.max(1, nanos)) * perDoubling - low) / (high - low)),
    timeAt: (x) => heat.from + Math.min(1, Math.max(0, (x - LEFT) / inner)) * (heat.to - heat.from),
    nanosAt: (y) => 2 ** ((low + Math.min(1, Math.max(0, 1 - (y - TOP) / plot)) * (high - low)) / perDoubling),
    low: 2 ** (low / perDoubling),
    high: 2 ** (high / perDoubling),
    right,
  };
}

export function Heatmap(props: HeatmapProps): preact.JSX.Element {
  const { heat } = props;
  const { dark } = useApp();
  const height = props.height ?? 190;
  const [frame, width] = useWidth();
  const canvas = useRef<HTMLCanvasElement>(null);
  const [hover, setHover] = useState<Cell | null>(null);
  const [drag, setDrag] = useState<[number, number, number, number] | null>(null);
  const beside = props.beside ?? null;
  const scale = useMemo(() => scales(heat, beside, width, height), [heat, beside, width, height]);
  const most = [...heat.cells, ...(beside?.cells ?? [])].reduce((all, cell) => Math.max(all, cell.count), 1);
  const total = heat.cells.reduce((sum, cell) => sum + cell.count, 0);
  useLayoutEffect(() => {
    const context = prepare(canvas.current, width, height);
    if (!context) return;
    for (const cell of heat.cells) drawCell(context, cell, heat, scale, { colour: heatColour(shareOf(cell.count, most), dark) });
  }, [heat, scale, most, dark]);
  const position = (event: PointerEvent): [number, number] => {
    const box = (event.currentTarget as Element).getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const cellAt = ([x, y]: [number, number]): Cell | null => {
    const time = scale.timeAt(x);
    const nanos = scale.nanosAt(y);
    return heat.cells.find((cell) => time >= cell.at && time < cell.at + heat.step && nanos >= cell.low && nanos < cell.high) ?? null;
  };
  const released = (): void => {
    if (!drag) return;
    const [x1, y1, x2, y2] = drag;
    setDrag(null);
    if (Math.abs(x2 - x1) < 5 && Math.abs(y2 - y1) < 5) {
      const cell = cellAt([x1, y1]);
      if (cell) props.onExample(cell.example);
      return;
    }
    props.onSelect({ from: scale.timeAt(Math.min(x1, x2)), to: scale.timeAt(Math.max(x1, x2)), low: scale.nanosAt(Math.max(y1, y2)), high: scale.nanosAt(Math.min(y1, y2)) });
  };
  const words = `Heatmap of ${grouped(total)} traces by start and duration`;
  return (
    <div>
      <div class="chart-frame heat" ref={frame} style={{ height: `${height}px` }}>
        <canvas ref={canvas} aria-hidden="true" />
        {width > 0 && (
          <svg
            class="chart"
            width={width}
            height={height}
            role="img"
            aria-label={words}
            data-total={total}
            data-failed={heat.cells.reduce((sum, cell) => sum + cell.failed, 0)}
            onPointerDown={(event) => {
              event.currentTarget.setPointerCapture(event.pointerId);
              const [x, y] = position(event);
              setDrag([x, y, x, y]);
            }}
            onPointerMove={(event) => {
              const at = position(event);
              setHover(cellAt(at));
              if (drag) setDrag([drag[0], drag[1], at[0], at[1]]);
            }}
            onPointerUp={released}
            onPointerLeave={() => setHover(null)}
          >
            <rect width={width} height={height} fill="transparent" />
            <Axes heat={heat} scale={scale} width={width} height={height} />
            <Lines lines={heat.lines} step={heat.step} scale={scale} width={width} />
            {hover && !drag && <rect class="heat-hover" x={scale.x(hover.at)} y={scale.y(hover.high)} width={Math.max(2, scale.x(hover.at + heat.step) - scale.x(hover.at))} height={scale.y(hover.low) - scale.y(hover.high)} />}
            {props.box && !drag && <Kept box={props.box} scale={scale} height={height} />}
            {drag && <rect class="brush" x={Math.min(drag[0], drag[2])} y={Math.min(drag[1], drag[3])} width={Math.abs(drag[2] - drag[0])} height={Math.abs(drag[3] - drag[1])} />}
          </svg>
        )}
        {hover && !drag && <Tip cell={hover} heat={heat} scale={scale} width={width} />}
      </div>
      <HeatLegend most={most} dark={dark} label={props.label} hasFailed={heat.cells.some((cell) => cell.failed > 0)} />
    </div>
  );
}

/** The box that was drawn last, as far as it is in the picture. */
function Kept(props: { box: Box; scale: Scales; height: number }): preact.JSX.Element {
  const { box, scale } = props;
  const bottom = props.height - BOTTOM;
  const top = Math.min(bottom - 2, Math.max(TOP, scale.y(box.high)));
  const left = Math.max(LEFT, scale.x(box.from));
  return <rect class="brush-kept" data-part="box" x={left} width={Math.max(2, scale.x(box.to) - left)} y={top} height={Math.max(2, Math.min(bottom, scale.y(box.low)) - top)} />;
}

/** A cell with a gap of a pixel; a red mark at its foot as wide as its share of failed traces. */
function drawCell(context: CanvasRenderingContext2D, cell: Cell, heat: Heat, scale: Scales, use: { colour: string }): void {
  const x = Math.round(scale.x(cell.at));
  const wide = Math.max(1, Math.round(scale.x(cell.at + heat.step)) - x - 1);
  const y = Math.round(scale.y(cell.high));
  const high = Math.max(1, Math.round(scale.y(cell.low)) - y - 1);
  context.fillStyle = use.colour;
  context.fillRect(x, y, wide, high);
  if (cell.failed === 0) return;
  context.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--error");
  const mark = Math.max(2, Math.min(wide, Math.round((cell.failed / cell.count) * wide)));
  context.fillRect(x, y + high - Math.min(3, high), mark, Math.min(3, high));
}

function Axes(props: { heat: Heat; scale: Scales; width: number; height: number }): preact.JSX.Element {
  const { heat, scale, width, height } = props;
  const powers: number[] = [];
  for (let power = Math.ceil(Math.log10(scale.low)); power <= Math.log10(scale.high); power += 1) powers.push(10 ** power);
  const inner = width - LEFT - scale.right;
  return (
    <g>
      {powers.map((nanos) => (
        <g key={nanos}>
          <line class="axis" x1={LEFT} x2={width - scale.right} y1={scale.y(nanos)} y2={scale.y(nanos)} />
          <text x={LEFT - 6} y={scale.y(nanos) + 4} text-anchor="end">{tickDuration(nanos)}</text>
        </g>
      ))}
      {timeTicks(heat.from, heat.to, inner / 90).map((tick) => (
        <text key={tick.at} x={scale.x(tick.at)} y={height - 4} text-anchor="middle">{tick.label}</text>
      ))}
    </g>
  );
}

const QUANTILES = [
  ["p99", "2 3"],
  ["p95", "6 3"],
  ["p50", ""],
] as const;

/** Quantiles over time, labelled at their end. */
function Lines(props: { lines: readonly TimeLine[]; step: number; scale: Scales; width: number }): preact.JSX.Element | null {
  const { lines, scale, step } = props;
  const last = lines[lines.length - 1];
  if (!last) return null;
  let taken = -Infinity;
  return (
    <g>
      {QUANTILES.map(([key, dashes]) => {
        const points = lines.flatMap((line) => (line[key] === null ? [] : [`${scale.x(line.at + step / 2).toFixed(1)},${scale.y(line[key] ?? 1).toFixed(1)}`]));
        const at = Math.max(scale.y(last[key] ?? 1) + 4, taken + 12);
        taken = at;
        return (
          <g key={key} data-line={key}>
            <polyline class="heat-line-under" points={points.join(" ")} />
            <polyline class="heat-line" points={points.join(" ")} stroke-dasharray={dashes} />
            <text class="quantile-label" x={props.width - scale.right + 6} y={at}>{key}</text>
          </g>
        );
      })}
    </g>
  );
}

function Tip(props: { cell: Cell; heat: Heat; scale: Scales; width: number }): preact.JSX.Element {
  const { cell, heat, scale, width } = props;
  const line = heat.lines.find((one) => one.at === cell.at);
  return (
    <div class="tip" style={{ top: "0", ...beside(scale.x(cell.at), scale.x(cell.at + heat.step) - scale.x(cell.at), width) }}>
      {localTime(cell.at, 0)}, {duration(cell.low)} – {duration(cell.high)}<br />
      {grouped(cell.count)} {cell.count === 1 ? "trace" : "traces"}{cell.failed > 0 && <span class="error-text">, {grouped(cell.failed)} {FAILED_ROOT} ({percent(cell.failed / cell.count)})</span>}<br />
      {line && <>p50 {duration(line.p50)}, p95 {duration(line.p95)}, p99 {duration(line.p99)}<br /></>}
      <span class="quiet">click: trace {cell.example.slice(0, 8)}</span>
    </div>
  );
}

function HeatLegend(props: { most: number; dark: boolean; label: string; hasFailed: boolean }): preact.JSX.Element {
  const counts = [...new Set([0, 0.25, 0.5, 0.75, 1].map((share) => Math.max(1, Math.round(props.most ** share))))];
  return (
    <p class="heat-legend quiet">
      <span>Traces a cell</span>
      {counts.map((value) => (
        <span key={value}><svg width="14" height="10" aria-hidden="true"><rect width="14" height="10" fill={heatColour(shareOf(value, props.most), props.dark)} /></svg> {grouped(value)}</span>
      ))}
      {props.hasFailed && <span><svg width="14" height="10" aria-hidden="true"><rect y="6" width="10" height="3" fill="var(--error)" /></svg> {FAILED_ROOT}</span>}
      <span class="push">{props.label}</span>
    </p>
  );
}
