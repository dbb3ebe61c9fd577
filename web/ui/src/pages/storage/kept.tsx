// What is kept from leaving (pins), what is removed at once (deletion), and the receipts of all that went.
import { useState } from "preact/hooks";
import { numberOf, numberOrZero } from "../../exact.ts";
import { localTime, parseInstant, toMillis, utcText } from "../../instant.ts";
import { AdminDialog } from "../../parts/admin.tsx";
import { Link } from "../../parts/bits.tsx";
import { Table, type Column } from "../../parts/table.tsx";
import { useApp } from "../../state.tsx";
import { bytes, count, grouped, plural } from "../../units.ts";
import type { Pin, Receipt } from "./model.ts";

export function Moment(props: { text: string }): preact.JSX.Element {
  const at = parseInstant(props.text);
  return at ? <span title={utcText(at)}>{localTime(toMillis(at), 0)}</span> : <>–</>;
}

export function Pins(props: { pins: Pin[] }): preact.JSX.Element {
  const [unpin, setUnpin] = useState<Pin | null>(null);
  const columns: Column<Pin>[] = [
    { key: "trace", label: "Trace", cell: (row) => <TraceLink id={row.trace_id} />, title: (row) => row.trace_id },
    { key: "at", label: "Pinned", value: (row) => row.at, cell: (row) => <Moment text={row.at} /> },
    { key: "note", label: "Note", cell: (row) => row.note || <span class="quiet">–</span>, title: (row) => row.note },
    { key: "unpin", label: "", cell: (row) => <button type="button" class="link" onClick={() => setUnpin(row)}>Unpin…</button> },
  ];
  return (
    <section class="section" data-part="pins">
      <div class="section-head"><h2>Pinned traces</h2><span class="quiet">{props.pins.length === 0 ? "None; pin one on its page, and no drop removes it" : "no drop removes them"}</span></div>
      {props.pins.length > 0 && <Table name="pins" param="psort" rows={props.pins} columns={columns} sort="-at" rowKey={(row) => row.trace_id} most={50} />}
      {unpin && (
        <AdminDialog title="Unpin" action="Unpin 1 trace" method="DELETE" path={`pins/${unpin.trace_id}`} body={null} onClose={() => setUnpin(null)}>
          <p>The trace <code>{unpin.trace_id}</code> then goes with its partition. What has been kept of partitions that are gone already goes at the next sweep.</p>
        </AdminDialog>
      )}
    </section>
  );
}

function TraceLink(props: { id: string }): preact.JSX.Element {
  const { href } = useApp();
  return <Link to={href("trace", {}, props.id)} class="mono">{props.id.slice(0, 16)}…</Link>;
}

interface Counted {
  body: Record<string, unknown>;
  rows: number;
  traces: number;
}

/** By trace id or attribute: first counted, then, with the count in the button, gone for good. */
export function Deletion(): preact.JSX.Element {
  const [text, setText] = useState("");
  const [asked, setAsked] = useState<"count" | "delete" | null>(null);
  const [counted, setCounted] = useState<Counted | null>(null);
  const [done, setDone] = useState("");
  const body = deletionBody(text);
  const change = (next: string): void => {
    setText(next);
    setCounted(null);
    setDone("");
  };
  return (
    <section class="section" data-part="deletion">
      <div class="section-head"><h2>Delete</h2><span class="quiet">whole traces, for good: from files, memory and the log</span></div>
      <form class="filters" onSubmit={(event) => { event.preventDefault(); if (body) setAsked("count"); }}>
        <label class="field wide">Trace ids, or an attribute<input name="delete" value={text} placeholder="user.id=4711" spellcheck={false} autocomplete="off" onInput={(event) => change(event.currentTarget.value)} /></label>
        <button type="submit" class="button" disabled={!body}>Count…</button>
        {counted && counted.traces > 0 && <button type="button" class="button danger" onClick={() => setAsked("delete")}>Delete {plural(counted.traces, "trace")}…</button>}
      </form>
      {counted && <p data-figure="deletion">{counted.traces === 0 ? "No trace matches." : `${plural(counted.traces, "trace")} with ${plural(counted.rows, "span")} ${counted.traces === 1 ? "matches" : "match"}.`}</p>}
      {done !== "" && <p role="status">{done}</p>}
      {asked === "count" && body && (
        <AdminDialog title="Count what would be deleted" action="Count" method="POST" path="delete" body={{ ...body, dry_run: true }} onClose={() => setAsked(null)} onDone={(answer) => setCounted({ body, rows: numberOrZero(answer["rows"]), traces: numberOrZero(answer["traces"]) })}>
          <p>Nothing is deleted yet: {deletionWords(body)} are counted.</p>
        </AdminDialog>
      )}
      {asked === "delete" && counted && (
        <AdminDialog title="Delete for good" action={`Delete ${plural(counted.traces, "trace")}, ${count(counted.rows)} spans`} danger method="POST" path="delete" body={counted.body} onClose={() => setAsked(null)} onDone={(answer) => { change(""); setDone(`Deleted: ${plural(numberOrZero(answer["traces"]), "trace")}, ${plural(numberOrZero(answer["rows"]), "span")}. ${answer["vacuumed"] === true ? "Their files are gone." : "Their files go after the grace for running queries."}`); }}>
          <p>{plural(counted.rows, "span")} of {plural(counted.traces, "trace")} {counted.rows === 1 ? "is" : "are"} deleted from all files, pinned or not. This cannot be undone; a receipt is kept.</p>
        </AdminDialog>
      )}
    </section>
  );
}

/** The request that a text means: trace ids, or `key=value`; null where it is neither. */
export function deletionBody(text: string): Record<string, unknown> | null {
  const words = text.split(/[\s,]+/).filter((word) => word !== "");
  const ids = words.map((word) => word.replaceAll("-", "").toLowerCase());
  if (ids.length > 0 && ids.every((id) => /^[0-9a-f]{32}$/.test(id))) return { traces: ids };
  const at = text.indexOf("=");
  return at > 0 ? { attribute: { key: text.slice(0, at).trim(), value: text.slice(at + 1).trim() } } : null;
}

function deletionWords(body: Record<string, unknown>): string {
  const { traces, attribute } = body as { traces?: string[]; attribute?: { key: string; value: string } };
  return traces ? plural(traces.length, "trace id") : `traces with a span that has ${attribute?.key} = ${attribute?.value}`;
}

const REASONS: Record<string, string> = { ttl: "expired", command: "dropped by command" };

const RECEIPTS: Column<Receipt>[] = [
  { key: "at", label: "When", value: (row) => row.at, cell: (row) => <Moment text={row.at} /> },
  { key: "reason", label: "Why", value: (row) => row.reason, cell: (row) => REASONS[row.reason] ?? row.reason, title: (row) => row.reason },
  { key: "dates", label: "Partitions", cell: (row) => row.dates.join(", "), title: (row) => row.dates.join(", ") },
  { key: "rows", label: "Spans", number: true, value: (row) => numberOrZero(row.rows), cell: (row) => count(numberOf(row.rows)), title: (row) => grouped(numberOrZero(row.rows)) },
  { key: "traces", label: "Traces", number: true, value: (row) => numberOrZero(row.traces), cell: (row) => count(numberOf(row.traces)), title: (row) => grouped(numberOrZero(row.traces)) },
  { key: "kept", label: "Kept", help: "Traces that were copied before the rest went: pinned, or the latest of their operation.", number: true, value: (row) => numberOrZero(row.kept_traces), cell: (row) => (row.kept_traces ? count(row.kept_traces) : <span class="quiet">0</span>) },
  { key: "bytes", label: "Bytes", number: true, value: (row) => numberOrZero(row.bytes), cell: (row) => bytes(numberOf(row.bytes)) },
  { key: "version", label: "Table version", number: true, cell: (row) => numberOf(row.version) ?? "–" },
];

export function Receipts(props: { receipts: Receipt[] }): preact.JSX.Element {
  return (
    <section class="section">
      <div class="section-head"><h2>Receipts</h2><span class="quiet">{props.receipts.length === 0 ? "Nothing has been removed" : "what was removed, newest first"}</span></div>
      {props.receipts.length > 0 && <Table name="receipts" param="receipts" rows={props.receipts} columns={RECEIPTS} sort="-at" rowKey={(row, index) => `${row.at} ${index}`} />}
    </section>
  );
}
