// The panel on the right of a page: details of what is selected in it. Resizable, closed by Esc.
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Icon } from "./icons.tsx";

interface PanelProps {
  /** For those who cannot see it. */
  label: string;
  title: ComponentChildren;
  /** True where it lies over the page instead of beside a picture that makes room for it. */
  over?: boolean;
  onClose: () => void;
  children: ComponentChildren;
}

const NARROWEST = 280;
const WIDEST = 900;

export function Panel(props: PanelProps): preact.JSX.Element {
  const { onClose } = props;
  const [width, setWidth] = useState(400);
  useEffect(() => {
    const pressed = (event: KeyboardEvent): void => {
      if (event.key === "Escape") onClose();
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, [onClose]);
  // The page keeps clear of a panel that lies over it.
  useEffect(() => {
    if (!props.over) return undefined;
    const { style } = document.documentElement;
    style.setProperty("--panel", `${width}px`);
    return () => void style.removeProperty("--panel");
  }, [props.over, width]);
  return (
    <aside class={props.over ? "detail over" : "detail"} style={{ "--detail": `${width}px` } as preact.CSSProperties} aria-label={props.label}>
      <Grip onMove={(x) => setWidth(Math.min(WIDEST, Math.max(NARROWEST, innerWidth - x)))} />
      <div class="detail-body">
        <div class="detail-head">
          <h2>{props.title}</h2>
          <button type="button" class="icon-button" onClick={onClose} title="Close (Esc)" aria-label="Close"><Icon name="close" /></button>
        </div>
        {props.children}
      </div>
    </aside>
  );
}

function Grip(props: { onMove: (x: number) => void }): preact.JSX.Element {
  const [held, setHeld] = useState(false);
  return (
    <div
      class="detail-grip"
      onPointerDown={(event) => {
        event.currentTarget.setPointerCapture(event.pointerId);
        setHeld(true);
      }}
      onPointerMove={(event) => held && props.onMove(event.clientX)}
      onPointerUp={() => setHeld(false)}
    />
  );
}
