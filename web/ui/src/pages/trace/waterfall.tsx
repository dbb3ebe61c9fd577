// The waterfall: names as text on the left, bars on canvas on the right, both only as far as they are in sight.
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { serviceColour } from "../../hue.ts";
import { isTyping } from "../../keys.ts";
import { useApp } from "../../state.tsx";
import { visibleRows } from "../../tree.ts";
import { duration, exactDuration, plural } from "../../units.ts";
import { drawAxis, drawBars, drawMap, HEAD_HEIGHT, MAP_HEIGHT, prepare, readPalette, ROW_HEIGHT, type Scene, type View } from "./draw.ts";
import { criticalPath, matches, type Span, type Trace } from "./model.ts";
import type { Row } from "../../tree.ts";

interface WaterfallProps {
  trace: Trace;
  selected: number;
  onSelect: (index: number) => void;
  wanted: string;
}

interface Size {
  width: number;
  height: number;
}

export function Waterfall(props: WaterfallProps): preact.JSX.Element {
  const { trace, selected, wanted } = props;
  const { dark, place, set } = useApp();
  const [collapsed, setCollapsed] = useState<ReadonlySet<number>>(new Set());
  const [scroll, setScroll] = useState(0);
  const [size, setSize] = useState<Size>({ width: 0, height: 0 });
  const [split, setSplit] = useState<number | null>(null);
  const frame = useRef<HTMLDivElement>(null);
  const scroller = useRef<HTMLDivElement>(null);
  const head = useRef<HTMLCanvasElement>(null);
  const bars = useRef<HTMLCanvasElement>(null);
  const whole = { from: 0, to: trace.length };
  const view = readView(place.params["zoom"], trace.length) ?? whole;
  const setView = (next: View | null): void => set({ zoom: next ? printView(clampView(next, trace.length), trace.length) : null }, true);
  const visible = useMemo(() => visibleRows(trace.rows, collapsed), [trace, collapsed]);
  const critical = useMemo(() => criticalByRow(trace), [trace]);
  const found = useMemo(() => (wanted === "" ? null : new Set(trace.rows.flatMap((row, index) => (row.span && matches(row.span, wanted.toLowerCase()) ? [index] : [])))), [trace, wanted]);

  useLayoutEffect(() => {
    const element = scroller.current;
    if (!element) return undefined;
    const observer = new ResizeObserver(() => setSize({ width: element.clientWidth, height: element.clientHeight }));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  const names = Math.round(Math.min(size.width - 80, split ?? Math.min(440, size.width * 0.4)));
  const width = size.width - names;
  const palette = useMemo(readPalette, [dark, document.documentElement.dataset["theme"]]);
  const scene: Scene = { trace, visible, view, width, height: size.height, scroll, selected, dark, palette, critical, collapsed };
  useLayoutEffect(() => {
    const onBars = prepare(bars.current, width, size.height);
    if (onBars) drawBars(onBars, { ...scene, palette: readPalette() });
  });
  useLayoutEffect(() => {
    const onHead = prepare(head.current, width, HEAD_HEIGHT);
    if (!onHead) return;
    const current = { ...scene, palette: readPalette() };
    drawMap(onHead, current);
    drawAxis(onHead, current);
  }, [trace, width, view.from, view.to, dark]);

  const fold = (index: number): void => {
    const next = new Set(collapsed);
    if (!next.delete(index)) next.add(index);
    setCollapsed(next);
  };
  // A selected row is unfolded and brought into sight.
  useEffect(() => {
    if (selected < 0) return;
    const above: number[] = [];
    for (let up = trace.rows[selected]?.parent ?? -1; up >= 0; up = trace.rows[up]?.parent ?? -1) if (collapsed.has(up)) above.push(up);
    if (above.length > 0) {
      setCollapsed(new Set([...collapsed].filter((index) => !above.includes(index))));
      return;
    }
    const top = visible.indexOf(selected) * ROW_HEIGHT;
    const element = scroller.current;
    if (!element || element.clientHeight === 0) return;
    if (top < element.scrollTop) element.scrollTop = Math.max(0, top - ROW_HEIGHT * 2);
    else if (top + ROW_HEIGHT > element.scrollTop + element.clientHeight) element.scrollTop = top - element.clientHeight + ROW_HEIGHT * 3;
  }, [selected, size.height > 0]);

  const keys = useRef<(event: KeyboardEvent) => void>(() => undefined);
  keys.current = (event) => handleKey(event, { ...props, visible, collapsed, fold, view, setView, found });
  useEffect(() => {
    const pressed = (event: KeyboardEvent): void => keys.current(event);
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, []);
  useWheel(scroller, { view, names, width, setView });

  const columns = { gridTemplateColumns: `${Math.max(0, names)}px minmax(0, 1fr)` };
  const first = Math.max(0, Math.floor(scroll / ROW_HEIGHT) - 2);
  const last = Math.min(visible.length, Math.ceil((scroll + size.height) / ROW_HEIGHT) + 2);
  return (
    <div class="waterfall" ref={frame} data-rows={trace.rows.length}>
      <div class="wf-head" style={columns}>
        <div class="wf-corner">
          {found ? `${plural(found.size, "match")}`.replace("matchs", "matches") : `${plural(visible.length, "row")}`}
          {collapsed.size > 0 && <> · <button type="button" class="link" onClick={() => setCollapsed(new Set())}>Unfold all</button></>}
          {collapsed.size === 0 && trace.rows.length > 40 && <> · <button type="button" class="link" onClick={() => setCollapsed(foldedBelow(trace, 2))}>Fold</button></>}
          <br />
          {view.from > 0 || view.to < trace.length ? (
            <button type="button" class="link" onClick={() => setView(null)}>Whole trace</button>
          ) : (
            <span title="Ctrl and wheel zoom, drag in the picture above the bars selects">drag above the bars to zoom</span>
          )}
        </div>
        <TimeHead canvas={head} trace={trace} width={width} setView={setView} />
      </div>
      <div class="wf-scroll" ref={scroller} onScroll={(event) => setScroll(event.currentTarget.scrollTop)} role="tree" aria-label="Spans" tabIndex={0}>
        <div class="wf-layer" style={columns}>
          <div class="wf-names" style={{ height: `${size.height}px` }}>
            {visible.slice(first, last).map((index, offset) => (
              <NameRow
                key={index}
                row={trace.rows[index] as Row<Span>}
                top={(first + offset) * ROW_HEIGHT - scroll}
                state={`${index === selected ? "selected" : ""} ${found?.has(index) ? "match" : ""}`}
                folded={collapsed.has(index)}
                dark={dark}
                onSelect={() => props.onSelect(index)}
                onFold={() => fold(index)}
              />
            ))}
          </div>
          <canvas
            ref={bars}
            onPointerDown={(event) => startDrag(event, { view, width, setView, click: (y) => props.onSelect(visible[Math.floor((y + scroll) / ROW_HEIGHT)] ?? -1) })}
            title=""
          />
        </div>
        <div style={{ height: `${visible.length * ROW_HEIGHT + 24}px` }} />
      </div>
      <Split at={names} onMove={(x) => setSplit(Math.max(80, Math.min(size.width - 120, x - (frame.current?.getBoundingClientRect().left ?? 0))))} />
    </div>
  );
}

interface NameRowProps {
  row: Row<Span>;
  top: number;
  state: string;
  folded: boolean;
  dark: boolean;
  onSelect: () => void;
  onFold: () => void;
}

function NameRow(props: NameRowProps): preact.JSX.Element {
  const { row, folded } = props;
  const depth = Math.min(row.depth, 24);
  const { span } = row;
  return (
    <div class={`wf-row ${props.state}`} style={{ transform: `translateY(${props.top}px)` }} role="treeitem" aria-level={row.depth + 1} aria-expanded={row.size > 0 ? !folded : undefined} onClick={props.onSelect}>
      <span class="wf-guides" style={{ width: `${depth * 12}px` }} />
      {row.size > 0 ? (
        <button type="button" class="wf-fold" tabIndex={-1} aria-label={folded ? "Unfold" : "Fold"} onClick={(event) => { event.stopPropagation(); props.onFold(); }}>{folded ? "▸" : "▾"}</button>
      ) : (
        <span class="wf-fold" />
      )}
      {span ? (
        <>
          <span class="wf-chip" style={{ background: serviceColour(span.service, "self", props.dark) }} />
          {span.status === "ERROR" && <span class="mark-error" role="img" aria-label="error" />}
          <span class="wf-service" title={span.service}>{span.service}</span>
          <span class="wf-name" title={`${span.name} · ${exactDuration(span.duration)}`}>{span.name}</span>
        </>
      ) : (
        <span class="wf-name wf-missing" title={`Span ${row.id} is named as a parent but has not been received.`}>missing parent {row.id.slice(0, 8)}</span>
      )}
      {folded && <span class="wf-count" title={`${row.size} spans below, ${duration(row.end - row.start)} in all`}>{row.size}</span>}
      {row.cut && <span class="wf-count" title="The parents of this span form a circle; it was cut here.">circle</span>}
    </div>
  );
}

function TimeHead(props: { canvas: preact.RefObject<HTMLCanvasElement | null>; trace: Trace; width: number; setView: (view: View | null) => void }): preact.JSX.Element {
  const { trace, width, setView } = props;
  const at = (event: PointerEvent): number => {
    const box = (event.currentTarget as Element).getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientX - box.left) / Math.max(1, width))) * trace.length;
  };
  const from = useRef<number | null>(null);
  return (
    <div
      class="wf-time"
      style={{ height: `${MAP_HEIGHT}px` }}
      title="Drag to zoom, double click for the whole trace"
      onPointerDown={(event) => {
        event.currentTarget.setPointerCapture(event.pointerId);
        from.current = at(event);
      }}
      onPointerMove={(event) => {
        if (from.current === null) return;
        const here = at(event);
        if (Math.abs(here - from.current) > trace.length / 200) setView({ from: Math.min(here, from.current), to: Math.max(here, from.current) });
      }}
      onPointerUp={() => (from.current = null)}
      onDblClick={() => setView(null)}
    >
      <canvas ref={props.canvas} role="img" aria-label="Overview of the whole trace" />
    </div>
  );
}

function Split(props: { at: number; onMove: (x: number) => void }): preact.JSX.Element {
  const [held, setHeld] = useState(false);
  return (
    <div
      class="wf-split"
      style={{ left: `${props.at}px` }}
      onPointerDown={(event) => {
        event.currentTarget.setPointerCapture(event.pointerId);
        setHeld(true);
      }}
      onPointerMove={(event) => held && props.onMove(event.clientX)}
      onPointerUp={() => setHeld(false)}
    />
  );
}

function readView(text: string | undefined, length: number): View | null {
  const found = /^(\d+)-(\d+)$/.exec(text ?? "");
  if (!found) return null;
  const view = { from: Number(found[1]), to: Number(found[2]) };
  return view.to > view.from && view.from < length ? clampView(view, length) : null;
}

function printView(view: View, length: number): string {
  return view.from <= 0 && view.to >= length ? "" : `${Math.round(view.from)}-${Math.round(view.to)}`;
}

/** Within the trace, and never so short that a nanosecond is wider than the screen. */
function clampView(view: View, length: number): View {
  const size = Math.min(length, Math.max(100, view.to - view.from));
  const from = Math.max(0, Math.min(length - size, view.from));
  return { from, to: from + size };
}

function zoomAt(view: View, at: number, factor: number): View {
  return { from: at - (at - view.from) * factor, to: at + (view.to - at) * factor };
}

function foldedBelow(trace: Trace, depth: number): ReadonlySet<number> {
  return new Set(trace.rows.flatMap((row, index) => (row.size > 0 && row.depth >= depth ? [index] : [])));
}

function criticalByRow(trace: Trace): Map<number, [number, number][]> {
  const found = new Map<number, [number, number][]>();
  const top = trace.rows.findIndex((row) => row.span !== null && row.span === trace.root);
  for (const [index, from, to] of top < 0 ? [] : criticalPath(trace.rows, top)) {
    const list = found.get(index);
    if (list) list.push([from, to]);
    else found.set(index, [[from, to]]);
  }
  return found;
}

interface KeyContext extends WaterfallProps {
  visible: readonly number[];
  collapsed: ReadonlySet<number>;
  fold: (index: number) => void;
  view: View;
  setView: (view: View | null) => void;
  found: ReadonlySet<number> | null;
}

function handleKey(event: KeyboardEvent, context: KeyContext): void {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  const { visible, selected, trace, view, setView, onSelect, collapsed, fold } = context;
  const place = visible.indexOf(selected);
  const size = view.to - view.from;
  const row = trace.rows[selected];
  const middle = (view.from + view.to) / 2;
  const keys: Record<string, () => void> = {
    ArrowDown: () => onSelect(visible[Math.min(visible.length - 1, place + 1)] ?? selected),
    ArrowUp: () => onSelect(visible[Math.max(0, place - 1)] ?? selected),
    ArrowLeft: () => (row && row.size > 0 && !collapsed.has(selected) ? fold(selected) : row && row.parent >= 0 && onSelect(row.parent)),
    ArrowRight: () => collapsed.has(selected) && fold(selected),
    w: () => setView(zoomAt(view, row ? Math.min(view.to, Math.max(view.from, (row.start + row.end) / 2)) : middle, 0.7)),
    s: () => setView(zoomAt(view, middle, 1.4)),
    a: () => setView({ from: view.from - size * 0.2, to: view.to - size * 0.2 }),
    d: () => setView({ from: view.from + size * 0.2, to: view.to + size * 0.2 }),
    f: () => row && setView({ from: row.start - (row.end - row.start) * 0.05, to: row.end + (row.end - row.start) * 0.05 }),
    "0": () => setView(null),
    n: () => onSelect(next(trace, selected, (index) => context.found?.has(index) ?? false)),
    e: () => onSelect(next(trace, selected, (index) => trace.rows[index]?.span?.status === "ERROR")),
  };
  const action = keys[event.key];
  if (!action) return;
  event.preventDefault();
  action();
}

function next(trace: Trace, from: number, isWanted: (index: number) => boolean): number {
  const total = trace.rows.length;
  for (let step = 1; step <= total; step += 1) {
    const index = (Math.max(-1, from) + step + total) % total;
    if (isWanted(index)) return index;
  }
  return from;
}

interface Dragging {
  view: View;
  width: number;
  setView: (view: View | null) => void;
  click: (y: number) => void;
}

/** A drag moves the picture in time, a click selects. */
function startDrag(down: PointerEvent, dragging: Dragging): void {
  const canvas = down.currentTarget as HTMLCanvasElement;
  const { view, width, setView } = dragging;
  let moved = false;
  const move = (event: PointerEvent): void => {
    const by = event.clientX - down.clientX;
    if (!moved && Math.abs(by) < 4) return;
    moved = true;
    const nanos = (by / Math.max(1, width)) * (view.to - view.from);
    setView({ from: view.from - nanos, to: view.to - nanos });
  };
  const up = (event: PointerEvent): void => {
    canvas.removeEventListener("pointermove", move);
    canvas.removeEventListener("pointerup", up);
    canvas.removeEventListener("pointercancel", up);
    if (!moved && event.type === "pointerup") dragging.click(down.clientY - canvas.getBoundingClientRect().top);
  };
  if (down.pointerType === "mouse") canvas.setPointerCapture(down.pointerId);
  canvas.addEventListener("pointermove", move);
  canvas.addEventListener("pointerup", up);
  canvas.addEventListener("pointercancel", up);
}

/** Ctrl and wheel zoom at the pointer; a sideways wheel moves in time. Not passive, so not an attribute. */
function useWheel(scroller: preact.RefObject<HTMLDivElement | null>, scene: { view: View; names: number; width: number; setView: (view: View) => void }): void {
  const current = useRef(scene);
  current.current = scene;
  useEffect(() => {
    const element = scroller.current;
    if (!element) return undefined;
    const turned = (event: WheelEvent): void => {
      const { view, names, width, setView } = current.current;
      const share = (event.clientX - element.getBoundingClientRect().left - names) / Math.max(1, width);
      const size = view.to - view.from;
      if (event.ctrlKey || event.metaKey) {
        event.preventDefault();
        setView(zoomAt(view, view.from + Math.min(1, Math.max(0, share)) * size, Math.exp(event.deltaY * 0.004)));
      } else if (Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey) {
        event.preventDefault();
        const by = ((event.deltaX || event.deltaY) / Math.max(1, width)) * size;
        setView({ from: view.from + by, to: view.to + by });
      }
    };
    element.addEventListener("wheel", turned, { passive: false });
    return () => element.removeEventListener("wheel", turned);
  }, []);
}
