// The map: nodes in layers, edges as wide as their calls are many (on a log scale), coloured by a measure.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { layout, NODE_HEIGHT, NODE_WIDTH, type Edge, type Layout, type PlacedEdge } from "../graph.ts";
import { saveFile } from "../api.ts";
import { serviceColour } from "../hue.ts";
import { useApp } from "../state.tsx";
import { svgFile } from "../svg.ts";
import { bytes, count, duration, grouped, percent, ratio, significant } from "../units.ts";

export type Measure = "errors" | "caller" | "callee" | "gap" | "bytes" | "callsChange" | "errorsChange" | "p99Change";

export const MEASURES: readonly { key: Measure; label: string }[] = [
  { key: "errors", label: "error share" },
  { key: "caller", label: "p99 as the caller sees it" },
  { key: "callee", label: "p99 as the callee sees it" },
  { key: "gap", label: "p99 difference: network and queueing" },
  { key: "bytes", label: "bytes" },
];

/** Only where two windows are compared: from less (blue) over the same (grey) to more (red). */
export const CHANGES: readonly { key: Measure; label: string }[] = [
  { key: "callsChange", label: "calls against before" },
  { key: "errorsChange", label: "error share against before" },
  { key: "p99Change", label: "callee p99 against before" },
];

/** A doubling is 1; null where one side is missing. */
function change(edge: PlacedEdge, measure: Measure): number | null {
  const before = edge.edges.flatMap((one) => (one.before ? [one.before] : []));
  if (before.length === 0) return null;
  const calls = before.reduce((sum, one) => sum + one.calls, 0);
  if (measure === "callsChange") return edge.calls === 0 ? null : Math.log2(edge.calls / Math.max(1, calls));
  if (measure === "errorsChange") return edge.calls === 0 ? null : edge.errors / edge.calls - before.reduce((sum, one) => sum + one.errors, 0) / Math.max(1, calls);
  const most = (values: (number | null)[]): number | null => values.reduce<number | null>((found, value) => (value === null ? found : Math.max(found ?? value, value)), null);
  const now = most(edge.edges.map((one) => one.calleeP99));
  const then = most(before.map((one) => one.calleeP99));
  return now === null || !then ? null : Math.log2(now / then);
}

function isChange(measure: Measure): boolean {
  return measure.endsWith("Change");
}

function valueOf(edge: PlacedEdge, measure: Measure): number | null {
  const most = (value: (one: Edge) => number | null): number | null =>
    edge.edges.reduce<number | null>((found, one) => {
      const next = value(one);
      return next === null ? found : Math.max(found ?? next, next);
    }, null);
  switch (measure) {
    case "errors": return ratio(edge.errors, edge.calls);
    case "caller": return most((one) => one.callerP99);
    case "callee": return most((one) => one.calleeP99);
    case "gap": return most((one) => (one.callerP99 === null || one.calleeP99 === null ? null : Math.max(0, one.callerP99 - one.calleeP99)));
    case "callsChange":
    case "errorsChange":
    case "p99Change": return change(edge, measure);
    case "bytes": return edge.edges.reduce<number | null>((sum, one) => (one.requestBytes === null && one.responseBytes === null ? sum : (sum ?? 0) + (one.requestBytes ?? 0) + (one.responseBytes ?? 0)), null);
  }
}

function print(value: number | null, measure: Measure): string {
  if (measure === "errorsChange") return value === null ? "–" : `${value > 0 ? "+" : value < 0 ? "−" : ""}${percent(Math.abs(value))}`;
  if (isChange(measure)) return value === null ? "–" : `${significant(2 ** value)}×`;
  return measure === "errors" ? percent(value) : measure === "bytes" ? bytes(value) : duration(value);
}

/** Colour of a share of the scale, grey to strong; errors end in red, everything else in blue. */
function scaleColour(share: number, measure: Measure, dark: boolean): string {
  const hue = measure === "errors" || (isChange(measure) && share > 0) ? 27 : 258;
  const strength = Math.min(1, isChange(measure) ? Math.abs(share) : Math.max(0, share));
  const light = dark ? 0.45 + strength * 0.27 : 0.78 - strength * 0.25;
  return `oklch(${light.toFixed(3)} ${(0.02 + strength * 0.17).toFixed(3)} ${hue})`;
}

/** Shares are on the scale as they are up to 10 %; sizes by their logarithm between the least and the most. */
function scale(values: (number | null)[], measure: Measure): (value: number | null) => number {
  if (measure === "errors") return (value) => (value === null || value === 0 ? 0 : 0.35 + 0.65 * Math.min(1, value / 0.1));
  // A fourfold change, or ten points of errors, is the end of the scale.
  if (isChange(measure)) return (value) => (value === null ? 0 : Math.max(-1, Math.min(1, measure === "errorsChange" ? value / 0.1 : value / 2)));
  const logs = values.filter((value): value is number => value !== null && value > 0).map(Math.log);
  const low = Math.min(...logs);
  const high = Math.max(...logs);
  return (value) => (value === null || value <= 0 || logs.length === 0 ? 0 : high === low ? 1 : (Math.log(value) - low) / (high - low));
}

interface MapProps {
  edges: readonly Edge[];
  measure: Measure;
  focus: string;
  onFocus: (name: string) => void;
}

interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

export function MapView(props: MapProps): preact.JSX.Element {
  const { measure, focus } = props;
  const { dark } = useApp();
  const placed = useMemo(() => layout(props.edges, focus), [props.edges, focus]);
  const [hover, setHover] = useState<string | null>(null);
  const [tip, setTip] = useState<{ edge: PlacedEdge; x: number; y: number } | null>(null);
  const pan = usePan(placed);
  const values = placed.edges.map((edge) => valueOf(edge, measure));
  const share = scale(values, measure);
  const lit = hover === null ? null : new Set(placed.edges.flatMap((edge) => (edge.caller === hover || edge.callee === hover ? [edge.caller, edge.callee] : [])).concat(hover));
  const isLit = (edge: PlacedEdge): boolean => hover === null || edge.caller === hover || edge.callee === hover;
  return (
    <div class={placed.nodes.length > 24 ? "map-frame tall" : "map-frame"}>
      <div class="map-sight" ref={pan.frame}>
        <svg viewBox={`${pan.box.x} ${pan.box.y} ${pan.box.width} ${pan.box.height}`} role="img" aria-label={`Map of ${placed.nodes.length} services and ${placed.edges.length} connections`} onPointerDown={pan.start}>
          {placed.edges.map((edge, index) => {
            const key = `${edge.caller}\n${edge.callee}`;
            const colour = scaleColour(share(values[index] ?? null), measure, dark);
            const wide = Math.min(10, 1 + Math.log10(1 + edge.calls) * 1.15);
            return (
              <g key={key} class={isLit(edge) ? "" : "dim"} data-edge={`${edge.caller} → ${edge.callee}`}>
                <path class="map-edge" d={edge.path} stroke={colour} stroke-width={wide} stroke-dasharray={edge.edges.every((one) => one.kind === "messaging" || one.kind === "link") ? "7 4" : edge.calls === 0 ? "2 4" : undefined} />
                <Arrow edge={edge} placed={placed} colour={colour} wide={wide} />
                {edge.errors > 0 && measure === "errors" && <EdgeMark path={edge.path} />}
                <path
                  class="map-edge-hit"
                  data-hit=""
                  d={edge.path}
                  onPointerMove={(event) => {
                    const frame = pan.frame.current?.getBoundingClientRect();
                    if (frame) setTip({ edge, x: event.clientX - frame.left, y: event.clientY - frame.top });
                  }}
                  onPointerLeave={() => setTip(null)}
                />
              </g>
            );
          })}
          {placed.nodes.map((node) => (
            <g
              key={node.name}
              class={`map-node ${lit && !lit.has(node.name) ? "dim" : ""}`}
              transform={`translate(${node.x - NODE_WIDTH / 2} ${node.y - NODE_HEIGHT / 2})`}
              tabIndex={0}
              role="button"
              aria-label={`${node.name}: focus`}
              data-node={node.name}
              onPointerEnter={() => setHover(node.name)}
              onPointerLeave={() => setHover(null)}
              onClick={() => !pan.moved.current && props.onFocus(node.name)}
              onKeyDown={(event) => event.key === "Enter" && props.onFocus(node.name)}
            >
              <title>{node.name}</title>
              <rect
                width={NODE_WIDTH}
                height={NODE_HEIGHT}
                rx={node.external ? NODE_HEIGHT / 2 : 4}
                fill={serviceColour(node.name, "tint", dark)}
                stroke={node.name === focus ? "var(--accent)" : serviceColour(node.name, "edge", dark)}
                stroke-width={node.name === focus ? 2.5 : 1}
                stroke-dasharray={node.external ? "4 3" : undefined}
              />
              {pan.scale < 0.62 ? (
                <text class="far" x={node.external ? 12 : 7} y="25">{shorten(node.name, node.external ? 13 : 14)}</text>
              ) : (
                <>
                  <text x={node.external ? 16 : 10} y="15">{shorten(node.name, node.external ? 21 : 22)}</text>
                  <text class="sub" x={node.external ? 16 : 10} y="28.500">{nodeWords(node.name, placed.edges)}</text>
                </>
              )}
            </g>
          ))}
        </svg>
        {tip && <EdgeTip tip={tip} measure={measure} frame={pan.frame.current} />}
      </div>
      <div class="map-foot">
        <Legend measure={measure} values={values} dark={dark} />
        <div class="map-corner">
          <button type="button" class="button" onClick={() => pan.zoom(1 / 1.3)} aria-label="Zoom in">+</button>
          <button type="button" class="button" onClick={() => pan.zoom(1.3)} aria-label="Zoom out">−</button>
          <button type="button" class="button" onClick={pan.fit}>Fit</button>
          <button
            type="button"
            class="button"
            onClick={() => {
              const drawing = pan.frame.current?.querySelector<SVGSVGElement>(":scope > svg");
              if (drawing) saveFile(svgFile(drawing, placed), "dependencies.svg");
            }}
          >
            SVG
          </button>
        </div>
      </div>
    </div>
  );
}

/** Names tell most at their start, and something at their end. */
function shorten(name: string, most: number): string {
  const end = Math.floor(most / 4);
  return name.length > most ? `${name.slice(0, most - 1 - end)}…${name.slice(-end)}` : name;
}

function nodeWords(name: string, edges: readonly PlacedEdge[]): string {
  let calls = 0;
  let errors = 0;
  for (const edge of edges) {
    if (edge.callee !== name) continue;
    calls += edge.calls;
    errors += edge.errors;
  }
  if (calls === 0) return "starts requests";
  return errors > 0 ? `${count(calls)} in, ${percent(errors / calls)} failed` : `${count(calls)} in`;
}

function Arrow(props: { edge: PlacedEdge; placed: Layout; colour: string; wide: number }): preact.JSX.Element | null {
  const to = props.placed.nodes.find((node) => node.name === props.edge.callee);
  if (!to || props.edge.caller === props.edge.callee) return null;
  const x = to.x - NODE_WIDTH / 2;
  const size = 4 + props.wide * 0.6;
  return <path d={`M${x} ${to.y} l${-size * 1.5} ${-size} v${size * 2} z`} fill={props.colour} />;
}

/** A diamond in the middle of an edge on which calls failed: not by colour alone. */
function EdgeMark(props: { path: string }): preact.JSX.Element | null {
  const [at, setAt] = useState<{ x: number; y: number } | null>(null);
  const ref = useRef<SVGPathElement>(null);
  useEffect(() => {
    const path = ref.current;
    if (!path) return;
    const { x, y } = path.getPointAtLength(path.getTotalLength() / 2);
    setAt({ x, y });
  }, [props.path]);
  return (
    <>
      <path ref={ref} d={props.path} fill="none" stroke="none" />
      {at && <rect x={at.x - 4.5} y={at.y - 4.5} width="9" height="9" fill="var(--error)" stroke="var(--raised)" transform={`rotate(45 ${at.x} ${at.y})`} />}
    </>
  );
}

function EdgeTip(props: { tip: { edge: PlacedEdge; x: number; y: number }; measure: Measure; frame: HTMLElement | null }): preact.JSX.Element {
  const { edge, x, y } = props.tip;
  const width = props.frame?.clientWidth ?? 0;
  const side: Record<string, string> = x > width / 2 ? { right: `${width - x + 12}px` } : { left: `${x + 12}px` };
  return (
    <div class="tip" style={{ top: `${Math.max(4, y - 30)}px`, ...side }}>
      <b>{edge.caller} → {edge.callee}</b> <span class="quiet">{[...new Set(edge.edges.map((one) => one.kind))].join(", ")}{edge.back ? ", against the layers" : ""}</span><br />
      {grouped(edge.calls)} calls, {edge.errors > 0 ? `${grouped(edge.errors)} failed (${percent(edge.errors / edge.calls)})` : "none failed"}<br />
      p99 {duration(valueOf(edge, "caller"))} at the caller, {duration(valueOf(edge, "callee"))} at the callee<br />
      {valueOf(edge, "bytes") === null ? "no sizes recorded" : bytes(valueOf(edge, "bytes"))}
      <BeforeWords edge={edge} />
    </div>
  );
}

function BeforeWords(props: { edge: PlacedEdge }): preact.JSX.Element | null {
  const { edge } = props;
  if (edge.edges.every((one) => one.before === undefined)) return null;
  const before = edge.edges.flatMap((one) => (one.before ? [one.before] : []));
  if (before.length === 0) return <><br />new: not called in the window before</>;
  const calls = before.reduce((sum, one) => sum + one.calls, 0);
  return <><br />before: {grouped(calls)} calls, {percent(before.reduce((sum, one) => sum + one.errors, 0) / Math.max(1, calls))} failed{edge.calls === 0 && "; none now"}</>;
}

function Legend(props: { measure: Measure; values: (number | null)[]; dark: boolean }): preact.JSX.Element {
  const known = props.values.filter((value): value is number => value !== null && (value > 0 || isChange(props.measure)));
  const shares = isChange(props.measure) ? [-1, -0.5, 0, 0.5, 1] : [0, 0.25, 0.5, 0.75, 1];
  const words = known.length === 0 ? (props.measure === "errors" ? "no errors" : isChange(props.measure) ? "nothing to compare" : "not recorded") : [...new Set([Math.min(...known), Math.max(...known)].map((value) => print(value, props.measure)))].join(" – ");
  return (
    <div class="map-legend">
      <svg width="60" height="8" aria-hidden="true">{shares.map((share, index) => <rect key={share} x={index * 12} width="12" height="8" fill={scaleColour(share, props.measure, props.dark)} />)}</svg>{" "}
      {[...MEASURES, ...CHANGES].find((one) => one.key === props.measure)?.label}: {words} · width: calls · dashed: messages · round: external
    </div>
  );
}

interface Pan {
  frame: preact.RefObject<HTMLDivElement | null>;
  box: Box;
  /** Pixels of the screen a unit of the map. */
  scale: number;
  moved: { current: boolean };
  start: (event: PointerEvent) => void;
  zoom: (factor: number) => void;
  fit: () => void;
}

/** Below this scale names cannot be read. */
const LEAST_SCALE = 0.5;

/** On a narrow screen, where the whole map could not be read: the part where requests start. */
function closeUp(placed: Layout, size: { width: number; height: number }): Box | null {
  const fits = Math.min(size.width / placed.width, size.height / placed.height) >= LEAST_SCALE;
  const first = placed.nodes.reduce<Layout["nodes"][number] | undefined>((left, node) => (left && left.x <= node.x ? left : node), undefined);
  if (size.width === 0 || size.width >= 640 || fits || !first) return null;
  const [width, height] = [size.width / LEAST_SCALE, size.height / LEAST_SCALE];
  const y = Math.min(placed.height - height, Math.max(0, first.y - height / 2));
  return { x: Math.max(0, first.x - NODE_WIDTH / 2 - 12), y: placed.height < height ? (placed.height - height) / 2 : y, width, height };
}

/** The part of the map in sight: fitted first, then moved by drag and Ctrl-wheel. */
function usePan(placed: Layout): Pan {
  const frame = useRef<HTMLDivElement>(null);
  const moved = useRef(false);
  const whole: Box = { x: 0, y: 0, width: placed.width, height: placed.height };
  const [box, setBox] = useState<Box | null>(null);
  useEffect(() => setBox(null), [placed]);
  // A small map is not blown up: the picture is never larger than life.
  const [size, setSize] = useState({ width: 0, height: 0 });
  useEffect(() => {
    const element = frame.current;
    if (!element) return undefined;
    const observer = new ResizeObserver(() => setSize({ width: element.clientWidth, height: element.clientHeight }));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  const width = Math.max(whole.width, size.width);
  const height = Math.max(whole.height, size.height);
  const fitted = { x: (whole.width - width) / 2, y: (whole.height - height) / 2, width, height };
  const close = closeUp(placed, size);
  const current = box ?? close ?? fitted;
  const state = useRef(current);
  state.current = current;
  const zoomAround = (factor: number, sx: number, sy: number): void => {
    const now = state.current;
    const next = { width: now.width * factor, height: now.height * factor };
    setBox({ x: now.x + (now.width - next.width) * sx, y: now.y + (now.height - next.height) * sy, ...next });
  };
  useEffect(() => {
    const element = frame.current;
    if (!element) return undefined;
    const turned = (event: WheelEvent): void => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      const rect = element.getBoundingClientRect();
      zoomAround(Math.exp(event.deltaY * 0.004), (event.clientX - rect.left) / rect.width, (event.clientY - rect.top) / rect.height);
    };
    element.addEventListener("wheel", turned, { passive: false });
    return () => element.removeEventListener("wheel", turned);
  }, []);
  const start = (down: PointerEvent): void => {
    const before = state.current;
    const rect = frame.current?.getBoundingClientRect();
    if (!rect) return;
    moved.current = false;
    const scaleBy = Math.max(before.width / rect.width, before.height / rect.height);
    const move = (event: PointerEvent): void => {
      const dx = event.clientX - down.clientX;
      const dy = event.clientY - down.clientY;
      if (!moved.current && Math.hypot(dx, dy) < 4) return;
      moved.current = true;
      setBox({ ...before, x: before.x - dx * scaleBy, y: before.y - dy * scaleBy });
    };
    const up = (): void => {
      removeEventListener("pointermove", move);
      removeEventListener("pointerup", up);
    };
    addEventListener("pointermove", move);
    addEventListener("pointerup", up);
  };
  const pixels = size.width === 0 ? 1 : Math.min(size.width / current.width, size.height / current.height);
  return { frame, box: current, scale: pixels, moved, start, zoom: (factor) => zoomAround(factor, 0.5, 0.5), fit: () => setBox(close ? fitted : null) };
}
