// Tail: spans as they arrive. Nothing is left out silently: what does not come is a line that says how many.
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { apiPath, type Query } from "../api.ts";
import { localClock } from "../instant.ts";
import { Copy, Duration, Figure, Service } from "../parts/bits.tsx";
import { Empty, ErrorBox } from "../parts/states.tsx";
import { useApp } from "../state.tsx";
import { Lines, SHOWN_MAX, type Line, type SpanLine } from "../taillines.ts";
import { follow, type Connection } from "../tailstream.ts";
import { count, grouped, rate } from "../units.ts";

/** Filters as they stand in the URL; the names are those of the API. */
const FILTERS = ["service", "name", "kind", "status", "min_duration", "max_duration", "attribute", "root", "limit"] as const;
const LIMIT_DEFAULT = "500";
const ROW = 28;
/** Pictures a second: enough for eyes. */
const DRAW_MILLIS = 100;
const RATE_MILLIS = 5000;

function query(params: Record<string, string>): Query {
  const filters: Query = {};
  for (const name of FILTERS) filters[name] = params[name] ?? null;
  return { ...filters, limit: params["limit"] ?? LIMIT_DEFAULT };
}

export function TailPage(): preact.JSX.Element {
  const { place, set } = useApp();
  const path = apiPath("tail", query(place.params));
  const paused = place.params["paused"] === "1";
  const tail = useTail(path, paused);
  const { lines, connection } = tail;
  const pause = (): void => set({ paused: paused ? null : "1" }, true);
  return (
    <>
      <FilterForm key={FILTERS.map((name) => place.params[name]).join("|")} />
      <div class="figures">
        <Figure label="Connection" name="connection"><State connection={connection} paused={paused} /></Figure>
        <Figure label="Arriving" name="rate" help="Spans a second that match, over the last seconds.">{rate(tail.rate)}</Figure>
        <Figure label="Came" name="spans" title={grouped(lines.spans)}>{count(lines.spans)}</Figure>
        {paused && <Figure label="Waiting" name="waiting" help="Spans that came during the pause; they are shown when it ends.">{count(lines.waitingSpans)}</Figure>}
        {lines.missing > 0 && <Figure label="Not shown" name="missing" help="Spans over the limit or lost; a line in the list says where and why." title={grouped(lines.missing)}>{count(lines.missing)}</Figure>}
        <button type="button" class="button primary" data-action="pause" aria-pressed={paused} onClick={pause} title="Pause and resume (.)">{paused ? "Resume" : "Pause"}</button>
        <button type="button" class="button" onClick={tail.clear} disabled={lines.shown.length === 0}>Clear</button>
      </div>
      {connection.kind === "refused" && <ErrorBox error={connection.error} what="The live tail" />}
      {lines.shown.length === 0 && connection.kind !== "refused" && <Nothing path={path} />}
      {lines.shown.length > 0 && <List lines={lines} />}
    </>
  );
}

interface Followed {
  lines: Lines;
  connection: Connection;
  rate: number;
  clear: () => void;
}

/** Follows `path`. The stream goes on during a pause: its end then misses nothing. */
function useTail(path: string, paused: boolean): Followed {
  const lines = useRef(new Lines());
  const [connection, setConnection] = useState<Connection>({ kind: "connecting" });
  const [, draw] = useState(0);
  const counts = useRef<[number, number][]>([]);
  useEffect(() => {
    lines.current = new Lines();
    counts.current = [];
    if (paused) lines.current.pause();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const drawSoon = (): void => {
      timer ??= setTimeout(() => {
        timer = undefined;
        draw((value) => value + 1);
      }, DRAW_MILLIS);
    };
    const stop = follow(path, {
      events: (events) => {
        lines.current.add(events);
        drawSoon();
      },
      connection: setConnection,
    });
    // The rate falls also while nothing comes, and so does the time until the next attempt.
    const second = setInterval(drawSoon, 1000);
    return () => {
      stop();
      clearTimeout(timer);
      clearInterval(second);
    };
  }, [path]);
  useEffect(() => {
    if (paused) lines.current.pause();
    else if (lines.current.isPaused) lines.current.resume();
    draw((value) => value + 1);
  }, [paused]);
  const clear = (): void => {
    lines.current.clear();
    draw((value) => value + 1);
  };
  return { lines: lines.current, connection, rate: rateOf(counts.current, lines.current.spans), clear };
}

/** Spans a second over the last seconds; notes the count of now. */
function rateOf(counts: [number, number][], spans: number): number {
  const now = performance.now();
  counts.push([now, spans]);
  while (counts.length > 2 && now - (counts[0]?.[0] ?? now) > RATE_MILLIS) counts.shift();
  const [then, before] = counts[0] ?? [now, spans];
  return now - then < 200 ? 0 : ((spans - before) * 1000) / (now - then);
}

function State(props: { connection: Connection; paused: boolean }): preact.JSX.Element {
  const { connection } = props;
  if (connection.kind === "open") return <span>{props.paused ? "Paused" : "Live"}</span>;
  if (connection.kind === "connecting") return <span class="quiet">Connecting</span>;
  if (connection.kind === "refused") return <span class="error-text"><span class="mark-error" aria-hidden="true" />Refused</span>;
  const seconds = Math.max(0, Math.ceil((connection.until - Date.now()) / 1000));
  return <span class="error-text" title={connection.reason}><span class="mark-error" aria-hidden="true" />Again in {seconds} s</span>;
}

/** The lines in sight, newest at the bottom; stays there unless somebody scrolls up. */
function List(props: { lines: Lines }): preact.JSX.Element {
  const { shown, gone } = props.lines;
  const frame = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: 600 });
  const [following, setFollowing] = useState(true);
  const goneBefore = useRef(gone);
  useLayoutEffect(() => {
    const element = frame.current;
    if (!element) return;
    if (following) element.scrollTop = element.scrollHeight;
    // Lines went at the front: what is looked at stays where it is.
    else if (gone > goneBefore.current) element.scrollTop -= (gone - goneBefore.current) * ROW;
    goneBefore.current = gone;
    setView((before) => (before.top === element.scrollTop && before.height === element.clientHeight ? before : { top: element.scrollTop, height: element.clientHeight }));
  });
  const scrolled = (event: Event): void => {
    const element = event.currentTarget as HTMLDivElement;
    setView({ top: element.scrollTop, height: element.clientHeight });
    setFollowing(element.scrollTop + element.clientHeight >= element.scrollHeight - ROW);
  };
  const first = Math.max(0, Math.floor(view.top / ROW) - 8);
  const last = Math.min(shown.length, Math.ceil((view.top + view.height) / ROW) + 8);
  return (
    <div class="tail">
      <div class="tail-row tail-head" aria-hidden="true"><span>Start</span><span>Service</span><span>Operation</span><span class="tail-kind">Kind</span><span class="number">Duration</span><span class="tail-trace">Trace</span></div>
      <div class="tail-lines" ref={frame} onScroll={scrolled} role="log" aria-label="Spans as they arrive" aria-live="off" tabIndex={0} data-lines={shown.length}>
        <div style={{ height: `${shown.length * ROW}px`, position: "relative" }}>
          <div style={{ position: "absolute", left: "0", right: "0", top: `${first * ROW}px` }}>
            {shown.slice(first, last).map((line) => <LineRow key={line.key} line={line} />)}
          </div>
        </div>
      </div>
      <p class="quiet tail-foot">
        {grouped(shown.length)} {shown.length === 1 ? "line" : "lines"}{shown.length >= SHOWN_MAX && ", the newest; older ones are in Traces and SQL"}
        {!following && <> · <button type="button" class="link" onClick={() => setFollowing(true)}>Go to the newest</button></>}
      </p>
    </div>
  );
}

function LineRow(props: { line: Line }): preact.JSX.Element {
  const { line } = props;
  if (line.kind === "notice") return <div class="tail-notice" data-line="notice">{line.text}</div>;
  return <SpanRow line={line} />;
}

function SpanRow(props: { line: SpanLine }): preact.JSX.Element {
  const { open, href } = useApp();
  const { line } = props;
  const show = (): void => open("trace", { span: line.span }, line.trace);
  const failed = line.status === "ERROR";
  return (
    <div
      class="tail-row tail-span"
      data-line="span"
      tabIndex={0}
      role="link"
      aria-label={`${line.service}: ${line.name}${failed ? ", failed" : ""}`}
      onClick={(event) => {
        if (!(event.target as Element).closest("a")) show();
      }}
      onKeyDown={(event) => event.key === "Enter" && event.target === event.currentTarget && show()}
    >
      <span class="mono quiet" title={line.startText}>{localClock(line.start)}</span>
      <span title={line.service}><Service name={line.service} /></span>
      <span title={line.name} class={failed ? "error-text tail-name" : "tail-name"}>{failed && <span class="mark-error" aria-hidden="true" />}{line.name}</span>
      <span class="tail-kind quiet">{line.spanKind.toLowerCase()}</span>
      <span class="number"><Duration nanos={line.duration} /></span>
      <a class="tail-trace mono" href={href("trace", { span: line.span }, line.trace)} tabIndex={-1} title={line.trace} onClick={(event) => {
        if (event.metaKey || event.ctrlKey || event.shiftKey) return;
        event.preventDefault();
        show();
      }}>{line.trace.slice(0, 8)}</a>
    </div>
  );
}

function Nothing(props: { path: string }): preact.JSX.Element {
  const { place } = useApp();
  const filtered = FILTERS.some((name) => name !== "limit" && place.params[name]);
  const curl = `curl -sN '${location.origin}${props.path.replaceAll("'", "%27")}'`;
  return (
    <Empty title={filtered ? "No matching span yet" : "No span yet"}>
      <p>Spans appear here within a tenth of a second of their arrival{filtered && ", where they match the filter"}. Send some, or run <code>spanlake demo</code>.</p>
      <p>The same for a terminal: <code>{curl}</code> <Copy text={curl} /></p>
    </Empty>
  );
}

function FilterForm(): preact.JSX.Element {
  const { place, set } = useApp();
  const [values, setValues] = useState<Record<string, string>>({});
  useEffect(() => setValues({}), [place.params]);
  const value = (name: string): string => values[name] ?? place.params[name] ?? "";
  const change = (name: string, text: string): void => setValues({ ...values, [name]: text });
  const submit = (event: Event): void => {
    event.preventDefault();
    set(Object.fromEntries(FILTERS.map((name) => [name, value(name).trim()])));
  };
  const field = (name: string, label: string, hint: string, kind = ""): preact.JSX.Element => (
    <label class={`field ${kind}`}>
      {label}
      <input name={name} value={value(name)} placeholder={hint} spellcheck={false} autocomplete="off" onInput={(event) => change(name, event.currentTarget.value)} />
    </label>
  );
  const choice = (name: string, label: string, options: readonly [string, string][]): preact.JSX.Element => (
    <label class="field narrow">
      {label}
      <select name={name} value={value(name)} onChange={(event) => change(name, event.currentTarget.value)}>
        {options.map(([option, words]) => <option key={option} value={option}>{words}</option>)}
      </select>
    </label>
  );
  const filtered = FILTERS.some((name) => place.params[name]);
  return (
    <form class="filters" onSubmit={submit}>
      {field("service", "Service", "of the span")}
      {field("name", "Operation", "exactly", "wide")}
      {choice("kind", "Kind", [["", "any"], ["server", "server"], ["client", "client"], ["producer", "producer"], ["consumer", "consumer"], ["internal", "internal"]])}
      {choice("status", "Status", [["", "any"], ["error", "error"], ["ok", "ok"], ["unset", "unset"]])}
      {field("min_duration", "At least", "5ms", "narrow")}
      {field("max_duration", "At most", "2s", "narrow")}
      {field("attribute", "Attribute", "http.route=/cart", "wide")}
      {choice("limit", "Spans a second", [["", LIMIT_DEFAULT], ["50", "50"], ["2000", "2,000"]])}
      <label class="field check">
        <input type="checkbox" name="root" checked={value("root") === "true"} onChange={(event) => change("root", event.currentTarget.checked ? "true" : "")} />
        Roots only
      </label>
      <button type="submit" class="button primary">Filter</button>
      {filtered && <button type="button" class="button" onClick={() => set(Object.fromEntries(FILTERS.map((name) => [name, null])))}>Clear filter</button>}
    </form>
  );
}
