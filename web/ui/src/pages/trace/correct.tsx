// Corrections of a span: what it should have said. The span stays as it was sent; whoever opens the trace sees both.
import { useState } from "preact/hooks";
import { exactText, parseExact, plainText } from "../../exact.ts";
import { AdminDialog } from "../../parts/admin.tsx";
import type { Fields, Span, Trace } from "./model.ts";

/** What is corrected of one span: later corrections win. */
export interface Corrected {
  fields: Record<string, string>;
  attributes: Fields;
}

export function correctionsOf(patches: readonly Fields[], span: string): Corrected | null {
  const own = patches.filter((patch) => patch["kind"] === "correction" && patch["span_id"] === span);
  if (own.length === 0) return null;
  const merged = (name: string): Fields => Object.assign({}, ...own.map((patch) => patch[name] ?? {})) as Fields;
  return { fields: Object.fromEntries(Object.entries(merged("fields")).map(([name, value]) => [name, String(value)])), attributes: merged("attributes") };
}

const FIELDS = ["name", "status", "status_message"] as const;
const STATUSES = ["UNSET", "OK", "ERROR"];

/** The body of a correction: only what is said differently now; null where nothing is. */
export function correction(trace: string, span: string, was: Record<string, string>, form: Record<string, string>): Fields | null {
  const fields = Object.fromEntries(FIELDS.flatMap((name) => (form[name] !== undefined && form[name] !== was[name] ? [[name, form[name]]] : [])));
  const key = (form["key"] ?? "").trim();
  const attributes = key === "" ? {} : { [key]: attributeValue(form["value"] ?? "") };
  if (Object.keys(fields).length === 0 && key === "") return null;
  return { kind: "correction", trace_id: trace, span_id: span, ...(Object.keys(fields).length === 0 ? {} : { fields }), ...(key === "" ? {} : { attributes }) };
}

/** JSON where it is a number, true, false, a list or an object; else the text itself. */
export function attributeValue(text: string): unknown {
  const trimmed = text.trim();
  if (!/^(?:-?\d|true$|false$|[[{"])/.test(trimmed)) return text;
  try {
    return JSON.parse(trimmed) as unknown;
  } catch {
    return text;
  }
}

export function CorrectButton(props: { trace: Trace; span: Span; row: Fields }): preact.JSX.Element {
  const { trace, span, row } = props;
  const [open, setOpen] = useState(false);
  const [form, setForm] = useState<Record<string, string>>({});
  const was = { name: span.name, status: span.status || "UNSET", status_message: plainText(row["status_message"]) };
  const value = (name: keyof typeof was | "key" | "value"): string => form[name] ?? (was as Record<string, string>)[name] ?? "";
  const input = (name: "name" | "status_message" | "key" | "value", label: string, hint = ""): preact.JSX.Element => (
    <label class="field wide">{label}<input name={name} value={value(name)} placeholder={hint} spellcheck={false} autocomplete="off" onInput={(event) => setForm({ ...form, [name]: event.currentTarget.value })} /></label>
  );
  const body = correction(trace.id, span.id, was, form);
  return (
    <>
      <button type="button" class="link" data-action="correct" onClick={() => setOpen(true)}>Correct…</button>
      {open && (
        <AdminDialog title="Correct this span" action="Add 1 correction" method="POST" path="patches" body={body} disabled={body === null} onClose={() => setOpen(false)} onDone={() => setForm({})}>
          <p>It is shown wherever this trace is shown and in its downloads. The table and the views keep what was sent.</p>
          {input("name", "Name")}
          <label class="field wide">
            Status
            <select name="status" value={value("status")} onChange={(event) => setForm({ ...form, status: event.currentTarget.value })}>
              {STATUSES.map((status) => <option key={status} value={status}>{status}</option>)}
            </select>
          </label>
          {input("status_message", "Status message")}
          {input("key", "Attribute", "user.tier")}
          {input("value", "Its value", "gold, 17, true or JSON")}
        </AdminDialog>
      )}
    </>
  );
}

/** What was corrected, beside what was sent. */
export function CorrectedList(props: { corrected: Corrected | null; row: Fields; attributes: Fields }): preact.JSX.Element | null {
  const { corrected, row, attributes } = props;
  if (!corrected) return null;
  const lines: [string, unknown, unknown][] = [
    ...Object.entries(corrected.fields).map(([name, now]): [string, unknown, unknown] => [name, now, row[name]]),
    ...Object.entries(corrected.attributes).map(([name, now]): [string, unknown, unknown] => [name, now, attributes[name]]),
  ];
  return (
    <section data-part="corrected">
      <h3>Corrected <span class="quiet">{lines.length}</span></h3>
      <dl class="pairs">
        {lines.map(([name, now, sent]) => (
          <>
            <dt key={name}>{name}</dt>
            <dd>{plainText(now) || exactText(now)} <span class="quiet">{sent === undefined || sent === null ? "not sent" : <>sent as <s>{plainText(sent)}</s></>}</span></dd>
          </>
        ))}
      </dl>
    </section>
  );
}

/** Attributes as they are meant: those that were sent, corrected. */
export function withCorrections(attributes: Fields, corrected: Corrected | null): Fields {
  return corrected ? { ...attributes, ...(parseExact(JSON.stringify(corrected.attributes)) as Fields) } : attributes;
}
