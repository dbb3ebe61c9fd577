// What keys, wheel and pointer do in the waterfall.
import { useEffect, useRef } from "preact/hooks";
import { isTyping } from "../../keys.ts";
import type { Trace } from "./model.ts";
import { moveView, zoomAt, type View } from "./view.ts";

interface KeyContext {
  trace: Trace;
  selected: number;
  onSelect: (index: number) => void;
  visible: readonly number[];
  collapsed: ReadonlySet<number>;
  fold: (index: number) => void;
  view: View;
  setView: (view: View | null) => void;
  found: ReadonlySet<number> | null;
}

export function handleKey(event: KeyboardEvent, context: KeyContext): void {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  const { visible, selected, trace, view, setView, onSelect, collapsed, fold } = context;
  const place = visible.indexOf(selected);
  const row = trace.rows[selected];
  const middle = (view.from + view.to) / 2;
  const keys: Record<string, () => void> = {
    ArrowDown: () => onSelect(visible[Math.min(visible.length - 1, place + 1)] ?? selected),
    ArrowUp: () => onSelect(visible[Math.max(0, place - 1)] ?? selected),
    ArrowLeft: () => (row && row.size > 0 && !collapsed.has(selected) ? fold(selected) : row && row.parent >= 0 && onSelect(row.parent)),
    ArrowRight: () => collapsed.has(selected) && fold(selected),
    w: () => setView(zoomAt(view, row ? Math.min(view.to, Math.max(view.from, (row.start + row.end) / 2)) : middle, 0.7)),
    s: () => setView(zoomAt(view, middle, 1.4)),
    a: () => setView(moveView(view, -0.2)),
    d: () => setView(moveView(view, 0.2)),
    f: () => row && setView({ from: row.start - (row.end - row.start) * 0.05, to: row.end + (row.end - row.start) * 0.05 }),
    "0": () => setView(null),
    n: () => context.found && onSelect(nextMatch([...context.found], selected, 1)),
    N: () => context.found && onSelect(nextMatch([...context.found], selected, -1)),
    E: () => onSelect(next(trace, selected, (index) => trace.rows[index]?.span?.status === "ERROR", -1)),
    e: () => onSelect(next(trace, selected, (index) => trace.rows[index]?.span?.status === "ERROR")),
  };
  const action = keys[event.key];
  if (!action) return;
  event.preventDefault();
  action();
}

function next(trace: Trace, from: number, isWanted: (index: number) => boolean, direction: 1 | -1 = 1): number {
  const total = trace.rows.length;
  const start = from < 0 && direction < 0 ? 0 : from;
  for (let step = 1; step <= total; step += 1) {
    const index = (((start + step * direction) % total) + total) % total;
    if (isWanted(index)) return index;
  }
  return from;
}

/** The match `step` places after `from` in the order of the rows, from the last to the first again; `from` itself need not be one. */
export function nextMatch(matches: readonly number[], from: number, step: number): number {
  const total = matches.length;
  if (total === 0) return from;
  const place = matches.indexOf(from);
  if (place >= 0) return matches[(((place + step) % total) + total) % total] ?? from;
  const after = matches.findIndex((index) => index > from);
  const at = step > 0 ? (after < 0 ? 0 : after) : (after <= 0 ? total : after) - 1;
  return matches[at] ?? from;
}

interface Dragging {
  view: View;
  width: number;
  setView: (view: View | null) => void;
  click: (y: number) => void;
}

/** A drag moves the picture in time, a click selects. */
export function startDrag(down: PointerEvent, dragging: Dragging): void {
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
export function useWheel(scroller: preact.RefObject<HTMLDivElement | null>, scene: { view: View; names: number; width: number; setView: (view: View) => void }): void {
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
