// The waterfall: names as text on the left, bars on canvas on the right, both only as far as they are in sight.
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { prepare } from "../../canvas.ts";
import { useSize } from "../../parts/chart.tsx";
import { useApp, useAsk } from "../../state.tsx";
import { visibleRows, type Row } from "../../tree.ts";
import { grouped, plural } from "../../units.ts";
import { drawAxis, drawBars, drawMap, drawShape, HEAD_HEIGHT, MAP_HEIGHT, readPalette, ROW_HEIGHT, type Scene } from "./draw.ts";
import { handleKey, nextMatch, startDrag, useWheel } from "./gestures.ts";
import { HoverTip } from "./hover.tsx";
import { askCritical, NO_PATH, pathNanos } from "./critical.ts";
import type { Span, Trace } from "./model.ts";
import { NameRow } from "./row.tsx";
import { clampView, printView, readView, type View } from "./view.ts";

interface WaterfallProps {
  trace: Trace;
  selected: number;
  onSelect: (index: number) => void;
  /** Rows that the search found; null without a search. */
  found: ReadonlySet<number> | null;
}

/** Names are rendered so many rows further than they are in sight: only every so many rows does scrolling render any. */
const CHUNK = 16;
/** Rendered above the first row in sight, and below the last. */
const SPARE = 4;

export function Waterfall(props: WaterfallProps): preact.JSX.Element {
  const { trace, selected, found } = props;
  const { dark } = useApp();
  const [collapsed, setCollapsed] = useState<ReadonlySet<number>>(new Set());
  const [split, setSplit] = useState<number | null>(null);
  const frame = useRef<HTMLDivElement>(null);
  const [scroller, size] = useSize();
  const head = useRef<HTMLCanvasElement>(null);
  const bars = useRef<HTMLCanvasElement>(null);
  const [view, setView] = useView(trace.length);
  const visible = useMemo(() => visibleRows(trace.rows, collapsed), [trace, collapsed]);
  const critical = useAsk(`critical ${trace.id}`, (signal) => askCritical(trace, signal));

  const names = Math.round(Math.min(size.width - 80, split ?? Math.min(440, size.width * 0.4)));
  const width = size.width - names;
  const palette = useMemo(readPalette, [dark]);
  const scene: Scene = { trace, visible, view, width, height: size.height, scroll: 0, selected, dark, palette, critical: critical.data ?? NO_PATH, collapsed };
  const scrolled = useScroll(scroller, bars, scene);
  useHead(head, scene);

  const fold = (index: number): void => {
    const next = new Set(collapsed);
    if (!next.delete(index)) next.add(index);
    setCollapsed(next);
  };
  useShown({ trace, selected, visible, collapsed, setCollapsed, scroller, ready: size.height > 0 });
  const keys = useRef<(event: KeyboardEvent) => void>(() => undefined);
  keys.current = (event) => handleKey(event, { ...props, visible, collapsed, fold, view, setView, found });
  useEffect(() => {
    const pressed = (event: KeyboardEvent): void => keys.current(event);
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, []);
  useWheel(scroller, { view, names, width, setView });

  const clicked = (event: MouseEvent): void => {
    const line = (event.target as Element).closest<HTMLElement>(".wf-row");
    if (!line) return;
    const index = Number(line.dataset["row"]);
    if ((event.target as Element).closest("button")) fold(index);
    else props.onSelect(index);
  };
  // As many keys as rows at most: a row that scrolls in takes the elements of one that went.
  const pool = CHUNK + Math.ceil(size.height / ROW_HEIGHT) + 2 * SPARE;
  const columns = { gridTemplateColumns: `${Math.max(0, names)}px minmax(0, 1fr)` };
  const first = Math.max(0, scrolled.chunk * CHUNK - SPARE);
  const last = Math.min(visible.length, (scrolled.chunk + 1) * CHUNK + Math.ceil(size.height / ROW_HEIGHT) + SPARE);
  return (
    <div class="waterfall" ref={frame} data-rows={trace.rows.length} data-critical={critical.data ? pathNanos(critical.data) : undefined}>
      <div class="wf-head" style={columns}>
        <div class="wf-corner">
          {found ? <Matches found={found} selected={selected} onSelect={props.onSelect} /> : plural(visible.length, "row")}
          {collapsed.size > 0 && <> · <button type="button" class="link" onClick={() => setCollapsed(new Set())}>Unfold all</button></>}
          {collapsed.size === 0 && trace.rows.length > 40 && <> · <button type="button" class="link" onClick={() => setCollapsed(foldedBelow(trace, 1))}>Fold</button></>}
          <br />
          {view.from > 0 || view.to < trace.length ? (
            <button type="button" class="link" onClick={() => setView(null)}>Whole trace</button>
          ) : (
            <span title="Ctrl and wheel zoom, drag in the picture above the bars selects">drag above the bars to zoom</span>
          )}
          {critical.error && <span class="error-text" title={`${critical.error.message} ${critical.error.requestId}`}> · no critical path</span>}
        </div>
        <TimeHead canvas={head} trace={trace} width={width} setView={setView} />
      </div>
      <div class="wf-scroll" ref={scroller} role="tree" aria-label="Spans" tabIndex={0}>
        <div class="wf-layer" style={columns}>
          <div class="wf-names" style={{ height: `${size.height}px` }} onClick={clicked}>
            <div ref={scrolled.names}>
              {visible.slice(first, last).map((index, offset) => (
                <NameRow
                  key={(first + offset) % pool}
                  row={trace.rows[index] as Row<Span>}
                  index={index}
                  top={(first + offset) * ROW_HEIGHT}
                  state={`${index === selected ? "selected" : ""} ${found?.has(index) ? "match" : ""}`}
                  folded={collapsed.has(index)}
                  dark={dark}
                />
              ))}
            </div>
          </div>
          <canvas
            ref={bars}
            onPointerDown={(event) => startDrag(event, { view, width, setView, click: (y) => props.onSelect(visible[Math.floor((y + scrolled.top()) / ROW_HEIGHT)] ?? -1) })}
          />
        </div>
        <div style={{ height: `${visible.length * ROW_HEIGHT + 24}px` }} />
      </div>
      <HoverTip canvas={bars} frame={frame} scene={scene} scrolled={scrolled.top} />
      <Split at={names} onMove={(x) => setSplit(Math.max(80, Math.min(size.width - 120, x - (frame.current?.getBoundingClientRect().left ?? 0))))} />
    </div>
  );
}

interface Scrolled {
  /** Holds the names: moved at once, rendered anew only from one chunk to the next. */
  names: preact.RefObject<HTMLDivElement | null>;
  chunk: number;
  /** Pixels. */
  top: () => number;
}

/** Draws the bars after each render and, without one, whenever somebody scrolls. */
function useScroll(scroller: preact.RefObject<HTMLDivElement | null>, bars: preact.RefObject<HTMLCanvasElement | null>, scene: Scene): Scrolled {
  const names = useRef<HTMLDivElement>(null);
  const [chunk, setChunk] = useState(0);
  const top = useRef(0);
  const draw = (): void => {
    if (names.current) names.current.style.transform = `translateY(${-top.current}px)`;
    const context = prepare(bars.current, scene.width, scene.height);
    if (!context) return;
    drawBars(context, { ...scene, scroll: top.current });
    markDrawn();
  };
  const latest = useRef(draw);
  latest.current = draw;
  useLayoutEffect(draw);
  useEffect(() => {
    const element = scroller.current;
    if (!element) return undefined;
    const moved = (): void => {
      top.current = element.scrollTop;
      setChunk(Math.floor(top.current / ROW_HEIGHT / CHUNK));
      latest.current();
    };
    element.addEventListener("scroll", moved, { passive: true });
    return () => element.removeEventListener("scroll", moved);
  }, []);
  return { names, chunk, top: () => top.current };
}

/** Axis and minimap. The shape of a large trace takes a while: the rows in sight do not wait for it. */
function useHead(head: preact.RefObject<HTMLCanvasElement | null>, scene: Scene): void {
  const { trace, width, view, dark } = scene;
  const [shape, setShape] = useState<HTMLCanvasElement | null>(null);
  useEffect(() => {
    if (width <= 0) return undefined;
    const timer = setTimeout(() => setShape(drawShape(scene)));
    return () => clearTimeout(timer);
  }, [trace, width, dark]);
  useLayoutEffect(() => {
    const context = prepare(head.current, width, HEAD_HEIGHT);
    if (!context) return;
    if (shape) drawMap(context, scene, shape);
    drawAxis(context, scene);
  }, [shape, width, view.from, view.to]);
}

interface Shown {
  trace: Trace;
  selected: number;
  visible: readonly number[];
  collapsed: ReadonlySet<number>;
  setCollapsed: (collapsed: ReadonlySet<number>) => void;
  scroller: preact.RefObject<HTMLDivElement | null>;
  /** The element has its size. */
  ready: boolean;
}

/** A selected row is unfolded and brought into sight. */
function useShown(shown: Shown): void {
  const { trace, selected, visible, collapsed, setCollapsed, scroller } = shown;
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
  }, [selected, shown.ready]);
}

/** Which of the matches is selected, and the ones beside it. */
function Matches(props: { found: ReadonlySet<number>; selected: number; onSelect: (index: number) => void }): preact.JSX.Element {
  const { found, selected } = props;
  // Rows come into the set from top to bottom.
  const all = useMemo(() => [...found], [found]);
  const place = all.indexOf(selected);
  if (all.length === 0) return <>0 matches</>;
  const go = (step: number): void => props.onSelect(nextMatch(all, selected, step));
  return (
    <>
      {place >= 0 ? `match ${grouped(place + 1)} of ${grouped(all.length)}` : plural(all.length, "match", "matches")}{" "}
      <button type="button" class="link" onClick={() => go(-1)} title="The match before (Shift N)" aria-label="The match before">‹</button>{" "}
      <button type="button" class="link" onClick={() => go(1)} title="Next match (N)" aria-label="Next match">›</button>
    </>
  );
}

/** The first drawing after the data came, for whoever measures. */
function markDrawn(): void {
  if (performance.getEntriesByName("trace-data").length === 0) return;
  performance.measure("trace-first-paint", "trace-data");
  performance.clearMarks("trace-data");
}

const URL_MILLIS = 250;

/** The stretch in sight. It moves at once and goes into the URL when it rests: browsers refuse a URL a frame. */
function useView(length: number): [View, (view: View | null) => void] {
  const { place, set } = useApp();
  const asked = place.params["zoom"] ?? "";
  const [view, move] = useState<View>(() => readView(asked, length) ?? { from: 0, to: length });
  const written = useRef(asked);
  const timer = useRef(0);
  useEffect(() => {
    if (asked === written.current) return;
    written.current = asked;
    move(readView(asked, length) ?? { from: 0, to: length });
  }, [asked, length]);
  useEffect(() => () => clearTimeout(timer.current), []);
  const setView = (next: View | null): void => {
    const clamped = clampView(next ?? { from: 0, to: length }, length);
    move(clamped);
    clearTimeout(timer.current);
    timer.current = window.setTimeout(() => {
      written.current = printView(clamped, length);
      set({ zoom: written.current }, true);
    }, URL_MILLIS);
  };
  return [view, setView];
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

function foldedBelow(trace: Trace, depth: number): ReadonlySet<number> {
  return new Set(trace.rows.flatMap((row, index) => (row.size > 0 && row.depth >= depth ? [index] : [])));
}
