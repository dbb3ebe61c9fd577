// What people have written about a trace afterwards: notes, aliases, corrections. Spans stay as they were sent.
import { useState } from "preact/hooks";
import { apiPath, getJson } from "../../api.ts";
import { exactText, numberOrZero } from "../../exact.ts";
import { localTime, parseInstant, toMillis, utcText } from "../../instant.ts";
import { AdminDialog } from "../../parts/admin.tsx";
import { useApp, useAsk } from "../../state.tsx";
import type { Fields } from "./model.ts";

export interface Patch {
  number: number;
  at: string;
  kind: string;
  /** Empty where it is about the whole trace. */
  span: string;
  words: string;
}

/** One patch of `GET /api/v1/patches`, in words. */
export function readPatch(value: Fields): Patch {
  const text = (name: string): string => (typeof value[name] === "string" ? (value[name] as string) : "");
  const changes = [...Object.entries((value["fields"] ?? {}) as Fields), ...Object.entries((value["attributes"] ?? {}) as Fields)];
  const corrected = changes.map(([name, now]) => `${name} = ${typeof now === "string" ? now : exactText(now)}`).join(", ");
  const kind = text("kind");
  return { number: numberOrZero(value["number"]), at: text("at"), kind, span: text("span_id"), words: kind === "note" ? text("text") : kind === "alias" ? text("alias") : corrected };
}

async function askPatches(trace: string, signal: AbortSignal): Promise<Patch[]> {
  return ((await getJson(apiPath("patches", { trace_id: trace }), signal)) as Fields[]).map(readPatch);
}

/** The button of a new note; it is about the selected span where there is one. */
export function NoteButton(props: { trace: string; span: string }): preact.JSX.Element {
  const [open, setOpen] = useState(false);
  const [text, setText] = useState("");
  const { trace, span } = props;
  return (
    <>
      <button type="button" class="link" data-action="note" onClick={() => setOpen(true)}>Note…</button>
      {open && (
        <AdminDialog title={span === "" ? "Add a note to this trace" : "Add a note to the selected span"} action="Add 1 note" method="POST" path="patches" body={{ kind: "note", trace_id: trace, ...(span === "" ? {} : { span_id: span }), text: text.trim() }} onClose={() => setOpen(false)} onDone={() => setText("")}>
          <p>It is kept beside the spans, which stay as they were sent, and shown to whoever opens the trace.</p>
          <label class="field wide">Note<input name="note" value={text} required placeholder="the disk was full" autocomplete="off" onInput={(event) => setText(event.currentTarget.value)} /></label>
        </AdminDialog>
      )}
    </>
  );
}

/** The button of another name, under which links and the search find the trace. */
export function AliasButton(props: { trace: string }): preact.JSX.Element {
  const [open, setOpen] = useState(false);
  const [text, setText] = useState("");
  const alias = text.trim();
  return (
    <>
      <button type="button" class="link" data-action="alias" onClick={() => setOpen(true)}>Name…</button>
      {open && (
        <AdminDialog title="Give this trace a name" action="Add 1 name" method="POST" path="patches" body={{ kind: "alias", trace_id: props.trace, alias }} onClose={() => setOpen(false)} onDone={() => setText("")}>
          <p>The search and <code>{`${location.origin}/trace/${alias === "" ? "NAME" : encodeURIComponent(alias)}`}</code> then find it. If another trace has the name, it is this one's from now on.</p>
          <label class="field wide">Name<input name="alias" value={text} required maxLength={200} placeholder="order 17" autocomplete="off" onInput={(event) => setText(event.currentTarget.value)} /></label>
        </AdminDialog>
      )}
    </>
  );
}

/** The trace of which somebody said that it is called so; null where nobody did. */
export async function findAlias(name: string): Promise<string | null> {
  const patches = (await getJson(apiPath("patches"))) as Fields[];
  const taken = new Set(patches.filter((patch) => patch["kind"] === "retract").map((patch) => numberOrZero(patch["patch"])));
  const named = patches.filter((patch) => patch["kind"] === "alias" && patch["alias"] === name && !taken.has(numberOrZero(patch["number"])));
  const last = named[named.length - 1];
  return last ? String(last["trace_id"]) : null;
}

const KINDS: Record<string, string> = { note: "Note", alias: "Also called", correction: "Corrected" };

/** One line each, below the name of the trace. */
export function Notes(props: { trace: string }): preact.JSX.Element | null {
  const { set } = useApp();
  const { data } = useAsk(`patches ${props.trace}`, (signal) => askPatches(props.trace, signal));
  const [taken, setTaken] = useState<Patch | null>(null);
  if (!data || data.length === 0) return null;
  return (
    <ul class="patches" data-part="notes">
      {data.map((patch) => {
        const at = parseInstant(patch.at);
        return (
          <li key={patch.number}>
            <span class="quiet" title={at ? utcText(at) : ""}>{KINDS[patch.kind] ?? patch.kind}{at && `, ${localTime(toMillis(at), 0)}`}</span> {patch.words}{" "}
            {patch.span !== "" && <button type="button" class="link" onClick={() => set({ span: patch.span, row: null }, true)}>its span</button>}{" "}
            <button type="button" class="link" onClick={() => setTaken(patch)}>Take back…</button>
          </li>
        );
      })}
      {taken && (
        <AdminDialog title="Take back" action={`Take back patch ${taken.number}`} method="POST" path="patches" body={{ kind: "retract", patch: taken.number }} onClose={() => setTaken(null)}>
          <p>{taken.words}</p>
        </AdminDialog>
      )}
    </ul>
  );
}
