// The editor: a text area over a coloured copy of itself, with completion at the caret.
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { sql, type Row } from "../../api.ts";
import { complete, type Choice, type Completion, type Words } from "../../complete.ts";
import { objectOf } from "../../exact.ts";
import { tokens } from "../../sqltext.ts";

const NOTHING: Words = { columns: [], attributes: [], resources: [] };
/** Attribute names are those of so many spans. */
const SAMPLE = 1000;

/** Columns of the table, and the attribute names of a sample: asked for once, when somebody begins to write. */
let asked: Promise<Words> | null = null;

function askWords(): Promise<Words> {
  asked ??= Promise.all([sql("SHOW COLUMNS FROM spans"), sql(`SELECT attributes, resource FROM spans LIMIT ${SAMPLE}`)]).then(
    ([columns, sample]) => ({
      columns: columns.rows.map((row) => ({ name: String(row["column_name"]), type: String(row["data_type"]) })),
      attributes: namesOf(sample.rows, "attributes"),
      resources: namesOf(sample.rows, "resource"),
    }),
    () => {
      asked = null;
      return NOTHING;
    },
  );
  return asked;
}

function namesOf(rows: readonly Row[], column: string): string[] {
  const found = new Set(rows.flatMap((row) => Object.keys(objectOf(row[column]) ?? {})));
  return [...found].sort();
}

interface EditorProps {
  text: string;
  onText: (text: string) => void;
  onRun: () => void;
}

export function Editor(props: EditorProps): preact.JSX.Element {
  const behind = useRef<HTMLPreElement>(null);
  const area = useRef<HTMLTextAreaElement>(null);
  const [words, setWords] = useState(NOTHING);
  const [found, setFound] = useState<Completion | null>(null);
  const [chosen, setChosen] = useState(0);
  const caret = useRef<number | null>(null);
  const hasTyped = useRef(false);
  useLayoutEffect(() => {
    if (caret.current === null) return;
    area.current?.setSelectionRange(caret.current, caret.current);
    caret.current = null;
  });
  const look = (text: string, at: number, byKey: boolean): void => {
    setFound(complete(text, at, words, byKey));
    setChosen(0);
  };
  /** Names may come while somebody is writing already. */
  const learn = (known: Words): void => {
    setWords(known);
    const element = area.current;
    if (element && hasTyped.current && document.activeElement === element) setFound(complete(element.value, element.selectionStart, known, false));
  };
  const accept = (choice: Choice | undefined): void => {
    if (!found || !choice) return;
    caret.current = found.from + choice.insert.length;
    props.onText(props.text.slice(0, found.from) + choice.insert + props.text.slice(found.to));
    setFound(null);
    area.current?.focus();
  };
  const pressed = (event: KeyboardEvent): void => {
    const target = event.currentTarget as HTMLTextAreaElement;
    const act = (action: () => void): void => {
      event.preventDefault();
      event.stopPropagation();
      action();
    };
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) return act(() => { setFound(null); props.onRun(); });
    if (event.key === " " && event.ctrlKey) return act(() => look(props.text, target.selectionStart, true));
    if (!found) return;
    const moves: Record<string, () => void> = {
      ArrowDown: () => setChosen((chosen + 1) % found.choices.length),
      ArrowUp: () => setChosen((chosen + found.choices.length - 1) % found.choices.length),
      Enter: () => accept(found.choices[chosen]),
      Tab: () => accept(found.choices[chosen]),
      Escape: () => setFound(null),
    };
    const move = moves[event.key];
    if (move) act(move);
  };
  return (
    <div class="editor-frame">
      <div class="editor">
        <pre ref={behind} aria-hidden="true">
          {tokens(props.text).map((token, index) => (token.kind === "text" ? token.text : <span key={index} class={`tok-${token.kind}`}>{token.text}</span>))}
          {"\n"}
        </pre>
        <textarea
          ref={area}
          value={props.text}
          aria-label="SQL statement"
          aria-autocomplete="list"
          aria-expanded={found !== null}
          aria-controls="completions"
          spellcheck={false}
          autocapitalize="off"
          onFocus={() => void askWords().then(learn)}
          onBlur={() => setFound(null)}
          onInput={(event) => {
            hasTyped.current = true;
            props.onText(event.currentTarget.value);
            look(event.currentTarget.value, event.currentTarget.selectionStart, false);
          }}
          onPointerDown={() => setFound(null)}
          onScroll={(event) => {
            if (behind.current) behind.current.scrollTop = event.currentTarget.scrollTop;
          }}
          onKeyDown={pressed}
        />
      </div>
      {found && <Choices found={found} chosen={chosen} place={placeOf(area.current, behind.current, found.from)} onChoose={accept} />}
    </div>
  );
}

/** Where the `offset`th character stands within the frame. */
function placeOf(area: HTMLTextAreaElement | null, behind: HTMLPreElement | null, offset: number): { left: number; top: number } {
  const range = document.createRange();
  let left = offset;
  const walker = behind ? document.createTreeWalker(behind, NodeFilter.SHOW_TEXT) : null;
  for (let node = walker?.nextNode(); node && area && behind; node = walker?.nextNode()) {
    const size = node.textContent?.length ?? 0;
    if (left <= size) {
      range.setStart(node, left);
      range.setEnd(node, Math.min(size, left + 1));
      const at = range.getClientRects()[0];
      const frame = behind.parentElement?.parentElement?.getBoundingClientRect();
      if (at && frame) return { left: Math.max(0, Math.min(at.left - frame.left, frame.width - 428)), top: at.bottom - frame.top };
      break;
    }
    left -= size;
  }
  return { left: 12, top: 28 };
}

function Choices(props: { found: Completion; chosen: number; place: { left: number; top: number }; onChoose: (choice: Choice) => void }): preact.JSX.Element {
  return (
    <ul class="choices" id="completions" role="listbox" style={{ left: `${props.place.left}px`, top: `${props.place.top}px` }}>
      {props.found.choices.map((choice, index) => (
        <li
          key={choice.insert}
          role="option"
          aria-selected={index === props.chosen}
          onPointerDown={(event) => {
            event.preventDefault();
            props.onChoose(choice);
          }}
        >
          <code>{choice.label}</code> <span class="quiet">{choice.kind}{choice.detail && `: ${choice.detail}`}</span>
        </li>
      ))}
    </ul>
  );
}
