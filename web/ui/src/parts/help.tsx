import { useEffect, useRef } from "preact/hooks";
import { PAGE_KEYS } from "../keys.ts";

const KEYS: readonly [string, string][] = [
  ["/", "Search; in a trace: find a span"],
  [".", "Live on and off; in the tail: pause"],
  ["[ ]", "Range back, forward"],
  ["- =", "Range wider, narrower"],
  ["r", "Ask again"],
  ["c", "Copy the link"],
  ["b", "To the table"],
  ["x", "To the exports"],
  ["Esc", "Close"],
  ["?", "This list"],
];

const TRACE_KEYS: readonly [string, string][] = [
  ["↑ ↓", "Select a span"],
  ["← →", "Fold, unfold"],
  ["w s", "Zoom in, out"],
  ["a d", "Move left, right"],
  ["f", "Frame the selection"],
  ["0", "Show the whole trace"],
  ["n N", "Next match, the one before"],
  ["e E", "Next error, the one before"],
];

const SQL_KEYS: readonly [string, string][] = [
  ["Ctrl Enter", "Run"],
  ["Ctrl Space", "Complete"],
];

export function Help(props: { onClose: () => void }): preact.JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  const lines = (keys: readonly [string, string][]): preact.JSX.Element[] =>
    keys.map(([key, words]) => (
      <div key={key}>
        <dt>{key.split(" ").map((one) => <kbd key={one}>{one}</kbd>)}</dt>
        <dd>{words}</dd>
      </div>
    ));
  return (
    <dialog ref={dialog} class="help" onClose={props.onClose} onClick={(event) => event.target === dialog.current && props.onClose()}>
      <h2>Keys</h2>
      <div class="help-columns">
        <div>
          <h3>Pages</h3>
          <dl>{lines(PAGE_KEYS.map(([key, , label]) => [`g ${key}`, label]))}</dl>
        </div>
        <div>
          <h3>Everywhere</h3>
          <dl>{lines(KEYS)}</dl>
          <h3>In SQL</h3>
          <dl>{lines(SQL_KEYS)}</dl>
        </div>
        <div>
          <h3>In a trace</h3>
          <dl>{lines(TRACE_KEYS)}</dl>
          <p class="quiet">The wheel scrolls; with Ctrl it zooms at the pointer, with Shift it moves in time.</p>
        </div>
      </div>
      <button type="button" class="button" onClick={props.onClose}>Close</button>
    </dialog>
  );
}
