// The panel of one span: figures, typed attributes, events, links, resource. All of it as text.
import { Fragment } from "preact";
import { exactText, numberOf, numberOrZero, objectOf, plainText, typeName } from "../../exact.ts";
import { Badge, Copy, Duration, Link, Service } from "../../parts/bits.tsx";
import { Panel } from "../../parts/panel.tsx";
import { ErrorBox, Waiting } from "../../parts/states.tsx";
import { useApp, useAsk } from "../../state.tsx";
import { selfTime } from "../../tree.ts";
import { duration, exactDuration } from "../../units.ts";
import { CorrectButton, CorrectedList, correctionsOf, withCorrections } from "./correct.tsx";
import { askSpan, eventTime, type Fields, type Span, type Trace } from "./model.ts";

interface DetailProps {
  trace: Trace;
  index: number;
  onClose: () => void;
}

export function Detail(props: DetailProps): preact.JSX.Element | null {
  const { trace, index, onClose } = props;
  const row = trace.rows[index];
  if (!row) return null;
  return (
    <Panel label="Span" title={row.span ? row.span.name : "Missing parent"} onClose={onClose}>
      {row.span ? <SpanDetail trace={trace} index={index} span={row.span} /> : <MissingDetail trace={trace} id={row.id} children_={row.children} />}
    </Panel>
  );
}

/** Why a parent is not there, as far as the ledger of refusals knows. */
export const ABSENT: Record<string, string> = {
  late: "It may still come, or it was refused because it started before the time that is accepted.",
  sampled_out: "It was sampled out: its service keeps fewer of its traces than the services below.",
  dropped: "It was refused by a limit, or because something in it was wrong.",
  never_sent: "No door of this server has seen it: it was lost on the way, or is sent elsewhere.",
  unknown: "Nobody knows why: what was refused about that time is not recorded.",
};

function MissingDetail(props: { trace: Trace; id: string; children_: number }): preact.JSX.Element {
  const reason = props.trace.reasons[props.id] ?? "unknown";
  return (
    <>
      <p>{props.children_ === 1 ? "One span names" : `${props.children_} spans name`} <code>{props.id}</code> as parent, but that span has not been received.</p>
      <p data-part="absent"><b>{reason.replaceAll("_", " ")}</b>: {ABSENT[reason] ?? ABSENT["unknown"]}</p>
      <p class="quiet">The hatched bar covers what is known of it: from the first start to the last end of its children.</p>
    </>
  );
}

function SpanDetail(props: { trace: Trace; index: number; span: Span }): preact.JSX.Element {
  const { trace, span, index } = props;
  const own = selfTime(trace.rows, index).reduce((sum, [from, to]) => sum + to - from, 0);
  const asked = useAsk(`span ${trace.id} ${index}`, (signal) => askSpan(trace, span, signal));
  return (
    <>
      <div class="figures">
        <div class="figure"><span class="label">Service</span><span><Service name={span.service} /></span></div>
        <div class="figure"><span class="label">Duration</span><span title={exactDuration(span.duration)}><Duration nanos={span.duration} /></span></div>
        <div class="figure"><span class="label" title="Time in which none of its children ran.">Self time</span><span><Duration nanos={own} /></span></div>
        <div class="figure">
          <span class="label">Status</span>
          <span class={span.status === "ERROR" ? "error-text" : ""}>{span.status === "ERROR" && <span class="mark-error" aria-hidden="true" />}{span.status || "UNSET"}</span>
        </div>
      </div>
      {asked.error && <ErrorBox error={asked.error} what="The span" />}
      {!asked.data && asked.loading && <Waiting rows={9} />}
      {!asked.data && !asked.loading && !asked.error && <p class="quiet">This span has been removed meanwhile.</p>}
      {asked.data && <RowDetail trace={trace} span={span} row={asked.data} />}
    </>
  );
}

/** What the stored row says; asked for when a span is looked at. */
function RowDetail(props: { trace: Trace; span: Span; row: Fields }): preact.JSX.Element {
  const { trace, span, row } = props;
  const corrected = correctionsOf(trace.patches, span.id);
  const attributes = objectOf(row["attributes"]) ?? {};
  // Recorded by some runtimes for their tasks; where they are not, nothing is known of it.
  const recorded = (key: string): string | null => { const nanos = numberOf(attributes[key]); return nanos === null ? null : duration(nanos); };
  const facts: [string, unknown][] = [
    ["Start", `+${duration(span.start)}`],
    ["Busy", recorded("busy_ns")],
    ["Idle", recorded("idle_ns")],
    ["Start, UTC", row["start_time"]],
    ["Kind", span.kind],
    ["Status message", corrected?.fields["status_message"] ?? row["status_message"]],
    ["Span id", span.id],
    ["Parent id", span.parent],
    ["Scope", scopeText(row["scope"])],
    ["Trace state", row["trace_state"]],
    ["Weight", numberOrZero(row["weight"]) === 1 ? null : row["weight"]],
  ];
  return (
    <>
      <p><CorrectButton trace={trace} span={span} row={row} /></p>
      <CorrectedList corrected={corrected} row={row} attributes={attributes} />
      <dl class="pairs" data-part="facts">
        {facts.filter(([, value]) => value !== null && value !== undefined && value !== "").map(([name, value]) => (
          <Pair key={name} name={name} value={value} plain />
        ))}
      </dl>
      <Pairs title="Attributes" part="attributes" value={withCorrections(attributes, corrected)} dropped={row["dropped_attributes_count"]} />
      <Events trace={trace} span={span} events={listOf(row["events"])} dropped={row["dropped_events_count"]} />
      <Links links={listOf(row["links"])} dropped={row["dropped_links_count"]} />
      <Pairs title="Resource" part="resource" value={row["resource"]} />
      <details class="same">
        <summary>The stored row as JSON</summary>
        <Copy text={exactText(row, " ").trimStart()} label="Copy JSON" />
        <pre class="code">{exactText(row, " ").trimStart()}</pre>
      </details>
    </>
  );
}

function listOf(value: unknown): Fields[] {
  return Array.isArray(value) ? (value as Fields[]) : [];
}

function scopeText(value: unknown): string | null {
  const { name, version } = objectOf(value) ?? ({} as Fields);
  return [name, version].filter((part) => typeof part === "string" && part !== "").join(" ") || null;
}

/** A long key breaks after a dot or a dash below, not within a word. */
function breakable(name: string): preact.ComponentChildren {
  return name.split(/(?<=[._/])/).map((part, index) => (index === 0 ? part : <Fragment key={index}><wbr />{part}</Fragment>));
}

function Pair(props: { name: string; value: unknown; plain?: boolean }): preact.JSX.Element {
  const kind = typeName(props.value);
  return (
    <>
      <dt>{breakable(props.name)}</dt>
      <dd>
        {!props.plain && kind !== "string" && <span class="type">{kind}</span>}
        {plainText(props.value) || <span class="quiet">empty</span>}
      </dd>
    </>
  );
}

interface PairsProps {
  title: string;
  part: string;
  value: unknown;
  dropped?: unknown;
}

function Pairs(props: PairsProps): preact.JSX.Element | null {
  const pairs = Object.entries(objectOf(props.value) ?? {}).sort(([a], [b]) => a.localeCompare(b));
  const dropped = numberOrZero(props.dropped);
  if (pairs.length === 0 && dropped === 0) return null;
  return (
    <section>
      <h3>{props.title} <span class="quiet">{pairs.length}</span> <Dropped count={dropped} /></h3>
      <dl class="pairs" data-part={props.part}>
        {pairs.map(([key, value]) => <Pair key={key} name={key} value={value} />)}
      </dl>
    </section>
  );
}

function Dropped(props: { count: number }): preact.JSX.Element | null {
  return props.count > 0 ? <Badge tone="warn" title="The sender left these out before sending: its limits were reached.">{props.count} dropped by the sender</Badge> : null;
}

function Events(props: { trace: Trace; span: Span; events: Fields[]; dropped: unknown }): preact.JSX.Element | null {
  const { trace, span, events } = props;
  const dropped = numberOrZero(props.dropped);
  if (events.length === 0 && dropped === 0) return null;
  return (
    <section data-part="events">
      <h3>Events <span class="quiet">{events.length}</span> <Dropped count={dropped} /></h3>
      {events.map((event, index) => {
        const after = eventTime(event, trace.origin) - span.start;
        return (
          <div class="event" key={index}>
            <p><b>{String(event["name"] ?? "")}</b><span class="quiet" title={`${exactDuration(after)} after the span's start`}>+{duration(after)}</span></p>
            <Attributes value={event["attributes"]} />
          </div>
        );
      })}
    </section>
  );
}

function Links(props: { links: Fields[]; dropped: unknown }): preact.JSX.Element | null {
  const { href } = useApp();
  const { links } = props;
  const dropped = numberOrZero(props.dropped);
  if (links.length === 0 && dropped === 0) return null;
  return (
    <section data-part="links">
      <h3>Links <span class="quiet">{links.length}</span> <Dropped count={dropped} /></h3>
      {links.map((link, index) => (
        <div class="event" key={index}>
          <p>
            <Link to={href("trace", { span: String(link["span_id"] ?? "") }, String(link["trace_id"] ?? ""))} class="mono">{String(link["trace_id"] ?? "").slice(0, 16)}…</Link>
            <code class="quiet">{String(link["span_id"] ?? "")}</code>
          </p>
          <Attributes value={link["attributes"]} />
        </div>
      ))}
    </section>
  );
}

function Attributes(props: { value: unknown }): preact.JSX.Element | null {
  const pairs = Object.entries(objectOf(props.value) ?? {});
  return pairs.length === 0 ? null : <dl class="pairs">{pairs.map(([key, value]) => <Pair key={key} name={key} value={value} />)}</dl>;
}
