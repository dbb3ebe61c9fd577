// What is under the pointer in the waterfall, in words beside it.
import { useEffect, useState } from "preact/hooks";
import { Service } from "../../parts/bits.tsx";
import { duration, exactDuration, percent, plural } from "../../units.ts";
import { ownTime, ROW_HEIGHT, type Scene } from "./draw.ts";

interface HoverProps {
  canvas: preact.RefObject<HTMLCanvasElement | null>;
  /** What the tip is placed in. */
  frame: preact.RefObject<HTMLDivElement | null>;
  scene: Scene;
  /** How far the rows are scrolled now, in pixels. */
  scrolled: () => number;
}

/** Pixels around an event's tick that count as on it. */
const NEAR = 4;
const TIP_WIDTH = 300;
const TIP_HEIGHT = 96;

/** Has a state of its own: a moving pointer draws no bars again. */
export function HoverTip(props: HoverProps): preact.JSX.Element | null {
  const { canvas, frame, scene } = props;
  const [pointer, setPointer] = useState<{ x: number; y: number } | null>(null);
  useEffect(() => {
    const element = canvas.current;
    if (!element) return undefined;
    const moved = (event: PointerEvent): void => setPointer(event.buttons === 0 && event.pointerType === "mouse" ? { x: event.clientX, y: event.clientY } : null);
    const left = (): void => setPointer(null);
    element.addEventListener("pointermove", moved);
    element.addEventListener("pointerdown", left);
    element.addEventListener("pointerleave", left);
    // What scrolls away from under the pointer is not described any more; the next move says what came.
    element.closest(".wf-scroll")?.addEventListener("scroll", left, { passive: true });
    return () => {
      element.removeEventListener("pointermove", moved);
      element.removeEventListener("pointerdown", left);
      element.removeEventListener("pointerleave", left);
      element.closest(".wf-scroll")?.removeEventListener("scroll", left);
    };
  }, []);
  const box = pointer && canvas.current?.getBoundingClientRect();
  const outer = pointer && frame.current?.getBoundingClientRect();
  if (!pointer || !box || !outer) return null;
  const index = scene.visible[Math.floor((pointer.y - box.top + props.scrolled()) / ROW_HEIGHT)];
  if (index === undefined) return null;
  const x = pointer.x - outer.left;
  const y = pointer.y - outer.top;
  const across = x + TIP_WIDTH > outer.width ? { right: `${outer.width - x + 12}px` } : { left: `${x + 14}px` };
  const down = y + TIP_HEIGHT > outer.height ? { bottom: `${outer.height - y + 10}px` } : { top: `${y + 16}px` };
  return <div class="tip wf-tip" style={{ ...across, ...down }} data-part="hover"><Words scene={scene} index={index} x={pointer.x - box.left} /></div>;
}

function Words(props: { scene: Scene; index: number; x: number }): preact.JSX.Element | null {
  const { scene, index, x } = props;
  const { trace } = scene;
  const row = trace.rows[index];
  if (!row) return null;
  const sum = (stretches: readonly (readonly [number, number])[]): number => stretches.reduce((total, [from, to]) => total + to - from, 0);
  const critical = sum(scene.critical.get(index) ?? []);
  const { span } = row;
  if (!span) return <><b>Missing parent</b><br />named by {plural(row.children, "span")}, not received; hatched from their first start to their last end</>;
  const scale = scene.width / (scene.view.to - scene.view.from);
  const events = span.events.filter((at) => Math.abs((at - scene.view.from) * scale - x) <= NEAR);
  const whole = trace.duration ?? trace.length;
  return (
    <>
      <Service name={span.service} /> <b class={span.status === "ERROR" ? "error-text" : ""}>{span.status === "ERROR" && <span class="mark-error" aria-hidden="true" />}{span.name}</b>
      <br />
      {duration(span.duration)} from +{duration(span.start)}{whole > 0 && <>, {percent(span.duration / whole)} of the trace</>}
      <br />
      self time {duration(sum(ownTime(trace, index)))}{critical > 0 && <>, on the critical path {duration(critical)}</>}{row.size > 0 && <>, {plural(row.size, "span")} below</>}
      {events.length > 0 && <><br />{plural(events.length, "event")} here, at +{duration(events[0])}{events.length === 1 && <span class="quiet"> ({exactDuration((events[0] ?? 0) - span.start)} into the span)</span>}</>}
      {span.links > 0 && <><br />{plural(span.links, "link")} to other traces</>}
    </>
  );
}
