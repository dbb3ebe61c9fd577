// Small parts that several pages share.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { plainText } from "../exact.ts";
import { serviceColour } from "../hue.ts";
import { useApp } from "../state.tsx";
import { parsePlace } from "../url.ts";
import { duration, exactDuration, grouped, percent, ratio } from "../units.ts";

/** A service's name with its colour. */
export function Service(props: { name: string; link?: boolean }): preact.JSX.Element {
  const { dark, href, go } = useApp();
  const chip = <i class="chip" style={{ background: serviceColour(props.name, "self", dark) }} aria-hidden="true" />;
  if (!props.link) return <span class="service">{chip}<span>{props.name}</span></span>;
  const to = href("traces", { service: props.name });
  return (
    <a class="service" href={to} onClick={(event) => follow(event, () => go(parsePlace(to)))}>
      {chip}
      <span>{props.name}</span>
    </a>
  );
}

/** A plain click stays in the page; the browser keeps every other kind. */
export function follow(event: MouseEvent, act: () => void): void {
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return;
  event.preventDefault();
  act();
}

/** A link within the page. */
export function Link(props: { to: string; children: ComponentChildren; class?: string; title?: string; current?: boolean }): preact.JSX.Element {
  const { go } = useApp();
  return (
    <a class={props.class} href={props.to} title={props.title} aria-current={props.current ? "page" : undefined} onClick={(event) => follow(event, () => go(parsePlace(props.to)))}>
      {props.children}
    </a>
  );
}

/** Errors as a count with its share: red and marked by shape. */
export function Errors(props: { errors: number; of: number }): preact.JSX.Element {
  if (props.errors === 0) return <span class="quiet">0</span>;
  return (
    <span class="error-text" title={`${grouped(props.errors)} of ${grouped(props.of)}`}>
      <span class="mark-error" aria-hidden="true" />
      {percent(ratio(props.errors, props.of))}
    </span>
  );
}

/** A duration with all its nanoseconds on hover and on copy. */
export function Duration(props: { nanos: number | null }): preact.JSX.Element {
  return <span title={exactDuration(props.nanos)} data-nanos={props.nanos === null ? undefined : `${props.nanos} ns`}>{duration(props.nanos)}</span>;
}

/** One figure of the headline row. */
export function Figure(props: { label: string; help?: string; name?: string; title?: string | undefined; children: ComponentChildren }): preact.JSX.Element {
  return (
    <div class="figure" title={props.title} data-figure={props.name ?? props.label}>
      <span class={props.help ? "label helped" : "label"} title={props.help}>{props.label}</span>
      <span class="value">{props.children}</span>
    </div>
  );
}

/** A quiet badge that explains itself. */
export function Badge(props: { children: ComponentChildren; title: string; tone?: "warn" | "quiet" }): preact.JSX.Element {
  return <span class={`badge ${props.tone ?? "quiet"}`} title={props.title}>{props.children}</span>;
}

/** Copies a text and says so. */
export function Copy(props: { text: string; label?: string }): preact.JSX.Element {
  const [done, setDone] = useState(false);
  const copy = (): void => {
    void navigator.clipboard?.writeText(props.text).then(() => {
      setDone(true);
      setTimeout(() => setDone(false), 1200);
    });
  };
  return (
    <button type="button" class="link" onClick={copy} aria-live="polite">
      {done ? "Copied" : (props.label ?? "Copy")}
    </button>
  );
}

/** What a view could not know, one badge a note. */
export function Notes(props: { notes: Record<string, unknown> }): preact.JSX.Element | null {
  const words: Record<string, string> = {
    spans_without_parent: "Spans whose parent has not arrived: their place in the trace is not known.",
    coverage: "Share of eligible spans that carried a size.",
    incomplete_traces: "Traces whose root, or a span's parent, has not arrived.",
    rare_values_left_out_of: "Attributes with so many values that only the frequent ones are compared.",
    share_of_traces_read: "So many traces lie in the range that a share of them was looked into, chosen by their ids.",
    durations: "Whether spans were compared by how long they took, too.",
    source: "What answered: sums kept beside the files, or the spans themselves.",
    late: "Spans that arrived after their trace was first written.",
  };
  const shown = Object.entries(props.notes).filter(([, value]) => value !== null && String(value) !== "0" && String(value) !== "");
  if (shown.length === 0) return null;
  return (
    <span class="notes">
      {shown.map(([name, value]) => (
        <Badge key={name} title={words[name] ?? name.replaceAll("_", " ")}>
          {name === "source" ? "from" : name.replaceAll("_", " ")} {noteText(name, value)}
        </Badge>
      ))}
    </span>
  );
}

function noteText(name: string, value: unknown): string {
  if (name === "source") return plainText(value).replace(/\b1 (file|trace)s\b/g, "1 $1").replace(/\d{4,}/g, (digits) => grouped(Number(digits)));
  if (typeof value !== "number") return plainText(value);
  return name === "coverage" ? percent(value) : grouped(value);
}

/** The same question for a terminal and for the console. */
export function SameQuestion(props: { path?: string | undefined; statement: string }): preact.JSX.Element {
  const { href } = useApp();
  const curl = props.path
    ? `curl '${location.origin}${props.path.replaceAll("'", "%27")}'`
    : `curl ${location.origin}/api/v1/sql --data-binary @- <<'SQL'\n${props.statement}\nSQL`;
  return (
    <details class="same">
      <summary>The same question as SQL and curl</summary>
      <pre class="code">{props.statement}</pre>
      <p><Link to={href("sql", { q: props.statement, run: "1" })}>Open in the SQL console</Link> · <Copy text={props.statement} label="Copy SQL" /></p>
      <pre class="code">{curl}</pre>
      <p><Copy text={curl} label="Copy curl" /></p>
    </details>
  );
}
