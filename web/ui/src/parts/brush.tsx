// What to do with a box that was drawn in a picture: ask what its traces have in common, or show only those.
import { boxParams, type Box } from "../heat.ts";
import { localClock } from "../instant.ts";
import { useApp } from "../state.tsx";
import { tickDuration } from "../units.ts";
import { Icon } from "./icons.tsx";

interface BrushMenuProps {
  box: Box;
  /** Filters that hold for the box and for the rest alike. */
  filters: Record<string, string>;
  onOnly: () => void;
  onClose: () => void;
}

export function BrushMenu(props: BrushMenuProps): preact.JSX.Element {
  const { box } = props;
  const { open } = useApp();
  return (
    <div class="brush-menu" role="group" aria-label="The selected box" data-part="brush">
      <span class="quiet">{localClock(box.from, 0)} – {localClock(box.to, 0)}, {tickDuration(roundedDown(box.low))} – {tickDuration(roundedDown(box.high))}</span>
      <button type="button" class="button primary" data-action="compare" onClick={() => open("compare", { ...props.filters, ...selectionParams(box) })}>What do these have in common?</button>
      <button type="button" class="button" data-action="only" onClick={props.onOnly}>Only these traces</button>
      <button type="button" class="icon-button" onClick={props.onClose} title="Forget the box (Esc)" aria-label="Forget the box"><Icon name="close" /></button>
    </div>
  );
}

function roundedDown(nanos: number): number {
  return Number(nanos.toPrecision(2));
}

/** A box as the selection of the page Compare: the range stays what it was, so that the rest is known. */
export function selectionParams(box: Box): Record<string, string> {
  const { from = "", to = "", min_duration = "", max_duration = "" } = boxParams(box);
  return { by: "box", box_from: from, box_to: to, box_min: min_duration, box_max: max_duration };
}

/** The box of such parameters; null where they are none. */
export function readSelection(params: Record<string, string>): Box | null {
  const from = Date.parse(params["box_from"] ?? "");
  const to = Date.parse(params["box_to"] ?? "");
  const nanos = (text: string | undefined): number => Number(/^(\d+)ns$/.exec(text ?? "")?.[1] ?? NaN);
  const box = { from, to, low: nanos(params["box_min"]), high: nanos(params["box_max"]) + 1 };
  return Object.values(box).some(Number.isNaN) || box.from >= box.to || box.low >= box.high ? null : box;
}
