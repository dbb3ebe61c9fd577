// The graph of a trace: a box a span, downwards by start; edges from caller to called, dashed where nobody waits.
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { literal, sql } from "../../api.ts";
import { numberOf } from "../../exact.ts";
import { prepare } from "../../canvas.ts";
import { serviceColour } from "../../hue.ts";
import { useSize } from "../../parts/chart.tsx";
import { useApp, useAsk } from "../../state.tsx";
import { duration, grouped, plural } from "../../units.ts";
import { readPalette, type Palette } from "./draw.ts";
import { layoutLanes, type Lanes, type Vertex } from "./lanes.ts";
import type { Span, Trace } from "./model.ts";

const LINE = 40;
const BOX = 28;
const PITCH = 236;
const GUTTER = 76;

interface GraphProps {
  trace: Trace;
  selected: number;
  found: ReadonlySet<number> | null;
  onSelect: (index: number) => void;
}

type Busy = ReadonlyMap<string, { busy: number | null; idle: number | null }>;

/** Tasks of some runtimes record how long they ran and how long they waited to be run. */
async function askBusy(trace: string, signal: AbortSignal): Promise<Busy> {
  const answer = await sql(
    `SELECT span_id, attribute_int(attributes, 'busy_ns') AS busy, attribute_int(attributes, 'idle_ns') AS idle FROM spans WHERE trace_id = ${literal(trace)} AND (attributes['busy_ns'] IS NOT NULL OR attributes['idle_ns'] IS NOT NULL)`,
    signal,
  );
  return new Map(answer.rows.map((row) => [String(row["span_id"]), { busy: numberOf(row["busy"]), idle: numberOf(row["idle"]) }]));
}

export function GraphView(props: GraphProps): preact.JSX.Element {
  const { trace, selected, found } = props;
  const { dark } = useApp();
  const lanes = useMemo(() => layoutLanes(trace.rows), [trace]);
  const busy = useAsk(`busy ${trace.id}`, (signal) => askBusy(trace.id, signal)).data;
  const [scroller, size] = useSize();
  const canvas = useRef<HTMLCanvasElement>(null);
  const [at, setAt] = useState({ x: 0, y: 0 });
  useLayoutEffect(() => {
    const context = prepare(canvas.current, size.width, size.height);
    if (context) draw(context, { trace, lanes, at, ...size, selected, found, dark, busy, palette: readPalette() });
  });
  // A selected vertex is brought into sight.
  useEffect(() => {
    const line = selected < 0 ? -1 : lanes.vertices.findIndex((vertex) => vertex.index === selected);
    const vertex = lanes.vertices[line];
    const element = scroller.current;
    if (!vertex || !element || element.clientHeight === 0) return;
    const y = line * LINE;
    if (y < element.scrollTop || y + LINE > element.scrollTop + element.clientHeight) element.scrollTop = y - element.clientHeight / 2;
    const x = GUTTER + vertex.lane * PITCH;
    if (x < element.scrollLeft || x + PITCH > element.scrollLeft + element.clientWidth) element.scrollLeft = x - GUTTER;
  }, [selected, size.height > 0]);
  const click = (event: MouseEvent): void => {
    const box = (event.currentTarget as Element).getBoundingClientRect();
    const vertex = lanes.vertices[Math.floor((event.clientY - box.top + at.y) / LINE)];
    const left = vertex ? GUTTER + vertex.lane * PITCH - at.x : 0;
    const x = event.clientX - box.left;
    if (vertex && x >= left - 4 && x <= left + PITCH) props.onSelect(vertex.index);
  };
  const step = (event: KeyboardEvent): void => {
    const by = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (by === 0) return;
    event.preventDefault();
    const line = lanes.vertices.findIndex((vertex) => vertex.index === selected);
    const next = lanes.vertices[Math.max(0, line + by)];
    if (next) props.onSelect(next.index);
  };
  const words = `${plural(trace.rows.length, "span")} from top to bottom by start, callers above what they call${busy?.size ? `; of ${grouped(busy.size)} it is recorded how long they ran (the strip at the foot) and waited` : ""}`;
  return (
    <div class="graph" ref={scroller} tabIndex={0} onKeyDown={step} onScroll={(event) => setAt({ x: event.currentTarget.scrollLeft, y: event.currentTarget.scrollTop })} data-lanes={lanes.lanes} data-vertices={lanes.vertices.length}>
      <div class="graph-layer"><canvas ref={canvas} role="img" aria-label={words} onClick={click} /></div>
      <div style={{ width: `${GUTTER + lanes.lanes * PITCH}px`, height: `${lanes.vertices.length * LINE + 16}px` }} />
    </div>
  );
}

interface Scene {
  trace: Trace;
  lanes: Lanes;
  at: { x: number; y: number };
  width: number;
  height: number;
  selected: number;
  found: ReadonlySet<number> | null;
  dark: boolean;
  busy: Busy | null;
  palette: Palette;
}

function draw(context: CanvasRenderingContext2D, scene: Scene): void {
  const { lanes, at, height } = scene;
  const first = Math.max(0, Math.floor(at.y / LINE));
  const last = Math.min(lanes.vertices.length, Math.ceil((at.y + height) / LINE));
  drawEdges(context, scene, first, last);
  const shown = lanes.vertices.slice(first, last);
  shown.forEach((vertex, offset) => drawBox(context, scene, vertex, (first + offset) * LINE - at.y));
  drawTimes(context, scene, shown, first);
}

/** Down from the caller, then right into the called: whatever crosses the stretch in sight. */
function drawEdges(context: CanvasRenderingContext2D, scene: Scene, first: number, last: number): void {
  const { lanes, at, palette } = scene;
  context.strokeStyle = palette.quiet;
  context.lineWidth = 1;
  lanes.vertices.forEach((vertex, line) => {
    const above = lanes.vertices[vertex.parent];
    if (!above || line < first || vertex.parent > last) return;
    const fromX = GUTTER + above.lane * PITCH + 10.5 - at.x;
    const toX = GUTTER + vertex.lane * PITCH - at.x;
    const fromY = vertex.parent * LINE + (LINE + BOX) / 2 - at.y;
    const toY = line * LINE + LINE / 2 - at.y;
    if (line >= last + lanes.lanes && fromY > scene.height) return;
    context.setLineDash(vertex.isAsync ? [4, 3] : []);
    context.beginPath();
    context.moveTo(fromX, Math.max(-LINE, fromY));
    if (vertex.lane === above.lane) context.lineTo(fromX, toY - BOX / 2);
    else {
      context.lineTo(fromX, toY - 6);
      context.quadraticCurveTo(fromX, toY + 0.5, fromX + 6, toY + 0.5);
      context.lineTo(toX, toY + 0.5);
    }
    context.stroke();
  });
  context.setLineDash([]);
}

/** As wide as its duration is long (on a log scale), and wide enough for its name. */
function boxWidth(nanos: number, length: number): number {
  return 120 + 96 * Math.min(1, Math.log1p(Math.max(0, nanos)) / Math.log1p(Math.max(1, length)));
}

function drawBox(context: CanvasRenderingContext2D, scene: Scene, vertex: Vertex, y: number): void {
  const { trace, palette, dark } = scene;
  const row = trace.rows[vertex.index];
  const left = GUTTER + vertex.lane * PITCH - scene.at.x;
  if (!row || left > scene.width || left + PITCH < 0) return;
  const top = y + (LINE - BOX) / 2;
  const wide = boxWidth(row.end - row.start, trace.length);
  const { span } = row;
  const isError = span?.status === "ERROR";
  context.fillStyle = span ? serviceColour(span.service, "tint", dark) : palette.background;
  context.strokeStyle = vertex.index === scene.selected ? palette.accent : isError ? palette.error : span ? serviceColour(span.service, "edge", dark) : palette.quiet;
  context.lineWidth = vertex.index === scene.selected || isError ? 2 : 1;
  context.setLineDash(span ? [] : [3, 3]);
  context.beginPath();
  context.roundRect(left + 0.5, top + 0.5, wide, BOX, 4);
  context.fill();
  context.stroke();
  context.setLineDash([]);
  if (scene.found?.has(vertex.index)) {
    context.fillStyle = palette.accent;
    context.fillRect(left + 4, top + BOX - 2, wide - 8, 2);
  }
  drawBusy(context, scene, span, { left, top, wide });
  context.save();
  context.beginPath();
  context.rect(left, top, wide - 3, BOX);
  context.clip();
  context.textAlign = "left";
  context.fillStyle = palette.text;
  context.fillText(`${isError ? "◆ " : ""}${span ? span.name : `missing parent ${row.id.slice(0, 8)}`}`, left + 7, top + 9);
  context.fillStyle = palette.quiet;
  context.fillText(boxWords(scene, vertex), left + 7, top + 21);
  context.restore();
}

/** Along the box's foot: how much of a task's time it ran, of that and the time it waited to be run. */
function drawBusy(context: CanvasRenderingContext2D, scene: Scene, span: Span | null, box: { left: number; top: number; wide: number }): void {
  const known = span && scene.busy?.get(span.id);
  if (!known || known.busy === null || known.idle === null || known.busy + known.idle <= 0) return;
  context.fillStyle = serviceColour(span.service, "self", scene.dark);
  context.fillRect(box.left + 1, box.top + BOX - 3, (box.wide - 1) * (known.busy / (known.busy + known.idle)), 3);
}

function boxWords(scene: Scene, vertex: Vertex): string {
  const row = scene.trace.rows[vertex.index];
  if (!row?.span) return "not received";
  const known = scene.busy?.get(row.span.id);
  const parts = [duration(row.span.duration)];
  if (known && known.busy !== null) parts.push(`busy ${duration(known.busy)}`);
  if (known && known.idle !== null) parts.push(`idle ${duration(known.idle)}`);
  return `${parts.join(", ")} · ${row.span.service}`;
}

function drawTimes(context: CanvasRenderingContext2D, scene: Scene, shown: readonly Vertex[], first: number): void {
  const { palette, at, trace } = scene;
  context.fillStyle = palette.background;
  context.fillRect(0, 0, GUTTER - 10, scene.height);
  context.fillStyle = palette.quiet;
  context.textAlign = "right";
  shown.forEach((vertex, offset) => context.fillText(`+${duration(trace.rows[vertex.index]?.start)}`, GUTTER - 16, (first + offset) * LINE + LINE / 2 - at.y));
}
