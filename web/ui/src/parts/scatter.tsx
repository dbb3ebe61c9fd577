// Traces as points: start to the right, duration upwards on a log scale; those whose root failed are diamonds.
import { useState } from "preact/hooks";
import type { Box } from "../heat.ts";
import { localTime } from "../instant.ts";
import type { TraceRow } from "../pages/traces.tsx";
import { duration, grouped, plural, tickDuration } from "../units.ts";
import { beside, timeTicks, useWidth } from "./chart.tsx";

interface ScatterProps {
  rows: readonly TraceRow[];
  onOpen: (id: string) => void;
  onSelect: (box: Box) => void;
  /** Drawn as an outline. */
  box?: Box | null;
}

const LEFT = 60;
const HEIGHT = 160;
const BOTTOM = 20;

export function Scatter(props: ScatterProps): preact.JSX.Element {
  const [frame, width] = useWidth();
  const [hover, setHover] = useState<TraceRow | null>(null);
  const [drag, setDrag] = useState<[number, number, number, number] | null>(null);
  const starts = props.rows.map((row) => row.start);
  const span = Math.max(...starts) - Math.min(...starts);
  const from = Math.min(...starts) - Math.max(1, span * 0.01);
  const to = Math.max(...starts) + Math.max(1, span * 0.01);
  const durations = props.rows.map((row) => Math.max(1, row.duration));
  const low = Math.floor(Math.log10(Math.min(...durations)));
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...durations)) + 0.01));
  const inner = Math.max(1, width - LEFT - 8);
  const x = (at: number): number => LEFT + ((at - from) / (to - from)) * inner;
  const y = (nanos: number): number => 8 + (HEIGHT - BOTTOM - 12) * (1 - (Math.log10(Math.max(1, nanos)) - low) / (high - low));
  const position = (event: PointerEvent): [number, number] => {
    const box = (event.currentTarget as Element).getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const timeAt = (left: number): number => from + Math.min(1, Math.max(0, (left - LEFT) / inner)) * (to - from);
  const nanosAt = (top: number): number => 10 ** (low + Math.min(1, Math.max(0, 1 - (top - 8) / (HEIGHT - BOTTOM - 12))) * (high - low));
  return (
    <div class="chart-frame" ref={frame} style={{ height: `${HEIGHT}px` }}>
      {width > 0 && (
        <svg
          class="chart"
          width={width}
          height={HEIGHT}
          role="img"
          aria-label="Duration of each trace by its start"
          onPointerDown={(event) => {
            if ((event.target as Element).closest(".point")) return;
            event.currentTarget.setPointerCapture(event.pointerId);
            setDrag([...position(event), ...position(event)]);
          }}
          onPointerMove={(event) => drag && setDrag([drag[0], drag[1], ...position(event)])}
          onPointerUp={() => {
            if (drag && Math.hypot(drag[2] - drag[0], drag[3] - drag[1]) > 6) {
              const [x1, y1, x2, y2] = drag;
              props.onSelect({ from: timeAt(Math.min(x1, x2)), to: timeAt(Math.max(x1, x2)), low: nanosAt(Math.max(y1, y2)), high: nanosAt(Math.min(y1, y2)) });
            }
            setDrag(null);
          }}
        >
          <rect width={width} height={HEIGHT} fill="transparent" />
          {Array.from({ length: high - low + 1 }, (_, index) => low + index).map((power) => (
            <g key={power}>
              <line class="axis" x1={LEFT} x2={width - 8} y1={y(10 ** power)} y2={y(10 ** power)} />
              <text x={LEFT - 6} y={y(10 ** power) + 4} text-anchor="end">{tickDuration(10 ** power)}</text>
            </g>
          ))}
          {timeTicks(from, to, inner / 90).map((tick) => (
            <text key={tick.at} x={x(tick.at)} y={HEIGHT - 4} text-anchor="middle">{tick.label}</text>
          ))}
          {props.rows.map((row) => (
            <g key={row.id} class="point" onPointerEnter={() => setHover(row)} onPointerLeave={() => setHover(null)} onClick={() => props.onOpen(row.id)}>
              {row.rootFailed ? (
                <rect class="dot-error" x={x(row.start) - 3.5} y={y(row.duration) - 3.5} width="7" height="7" transform={`rotate(45 ${x(row.start)} ${y(row.duration)})`} />
              ) : (
                <circle class="dot" cx={x(row.start)} cy={y(row.duration)} r={Math.min(7, 2.5 + Math.log10(1 + row.spans))} />
              )}
            </g>
          ))}
          {props.box && !drag && <rect class="brush-kept" x={x(props.box.from)} width={Math.max(2, x(props.box.to) - x(props.box.from))} y={y(props.box.high)} height={Math.max(2, y(props.box.low) - y(props.box.high))} />}
          {drag && <rect class="brush" x={Math.min(drag[0], drag[2])} width={Math.abs(drag[2] - drag[0])} y={Math.min(drag[1], drag[3])} height={Math.abs(drag[3] - drag[1])} />}
        </svg>
      )}
      {hover && (
        <div class="tip" style={{ top: "0", ...beside(x(hover.start), 8, width) }}>
          {hover.service}: {hover.name}<br />{localTime(hover.start)}, {duration(hover.duration)}, {plural(hover.spans, "span")}{hover.errors > 0 ? `, ${grouped(hover.errors)} failed` : ""}{hover.rootFailed && <span class="error-text">, the root, too</span>}
        </div>
      )}
    </div>
  );
}
