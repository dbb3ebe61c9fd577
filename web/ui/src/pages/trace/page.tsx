// One trace: who, when, how long; the waterfall; the panel of the selected span.
import { useEffect, useMemo, useState } from "preact/hooks";
import { apiPath } from "../../api.ts";
import { localTime, toMillis, utcText } from "../../instant.ts";
import { Badge, Copy, Duration, Figure, Link, Service } from "../../parts/bits.tsx";
import { Empty, ErrorBox, Waiting } from "../../parts/states.tsx";
import { useApp, useAsk } from "../../state.tsx";
import { count, grouped, plural } from "../../units.ts";
import { CompareView } from "./compare.tsx";
import { Detail } from "./detail.tsx";
import { GraphView } from "./graph.tsx";
import { HtmlExport } from "./save.tsx";
import { AliasButton, NoteButton, Notes } from "./notes.tsx";
import { KindLink } from "./kind.tsx";
import { PinButton } from "./pin.tsx";
import { askMatches, askTrace, matches, type Trace } from "./model.ts";
import { Waterfall } from "./waterfall.tsx";

export function TracePage(): preact.JSX.Element {
  const { place } = useApp();
  // An id, or a name that somebody gave to a trace.
  const id = /^[0-9a-f]{32}$/i.test(place.id) ? place.id.toLowerCase() : place.id;
  const { data, error, loading } = useAsk(`trace ${id}`, (signal) => askTrace(id, signal));
  if (error?.status === 404 || (error?.status === 400 && id.length !== 32)) return <Unknown id={id} />;
  if (error) return <div class="content"><ErrorBox error={error} what={`Trace ${id}`} /></div>;
  if (!data) return loading ? <div class="content"><Waiting height={64} /><Waiting rows={16} /></div> : <Unknown id={id} />;
  if (data.spans === 0) return <Unknown id={id} />;
  return <Loaded trace={data} />;
}

function Unknown(props: { id: string }): preact.JSX.Element {
  const { href } = useApp();
  return (
    <div class="content">
      <Empty title="This trace is not here">
        {/^[0-9a-f]{32}$/.test(props.id) ? (
          <p>No span with the trace id <code>{props.id}</code> is stored. It may not have been received, or its partition has expired.</p>
        ) : (
          <p><code>{props.id}</code> is no trace id (32 hexadecimal digits), and nobody has called a trace so.</p>
        )}
        <p><Link to={href("traces")}>Search traces</Link> · <Link to={href("storage")}>See what is stored</Link></p>
      </Empty>
    </div>
  );
}

const VIEWS = [
  ["waterfall", "Waterfall"],
  ["graph", "Graph"],
  ["compare", "Compare"],
] as const;

function ViewTabs(): preact.JSX.Element {
  const { place, set } = useApp();
  const chosen = place.params["view"] ?? "waterfall";
  return (
    <span class="tabs" role="group" aria-label="View">
      {VIEWS.map(([name, label]) => (
        <button key={name} type="button" class={chosen === name ? "on" : ""} aria-pressed={chosen === name} onClick={() => set({ view: name === "waterfall" ? null : name })}>{label}</button>
      ))}
    </span>
  );
}

function Loaded(props: { trace: Trace }): preact.JSX.Element {
  const { trace } = props;
  const { place, set } = useApp();
  const [wanted, setWanted] = useState(place.params["find"] ?? "");
  const span = place.params["span"] ?? "";
  const selected = useMemo(() => (place.params["row"] ? Number(place.params["row"]) : span === "" ? -1 : trace.rows.findIndex((row) => row.id === span)), [trace, span, place.params["row"]]);
  const select = (index: number): void => {
    const row = trace.rows[index];
    // Two spans may share an id: then the row is named, else the span.
    if (row) set(trace.rows.findIndex((one) => one.id === row.id) === index ? { span: row.id, row: null } : { span: row.id, row: String(index) }, true);
  };
  const found = useFound(trace, wanted);
  const view = VIEWS.find(([name]) => name === place.params["view"])?.[0] ?? "waterfall";
  return (
    <>
      <Head trace={trace} wanted={wanted} onFind={setWanted} />
      <div class="trace-body">
        {view === "waterfall" && <Waterfall trace={trace} selected={selected} onSelect={select} found={found} />}
        {view === "graph" && <GraphView trace={trace} selected={selected} onSelect={select} found={found} />}
        {view === "compare" && <CompareView trace={trace} />}
        {view !== "compare" && trace.rows[selected] && <Detail key={selected} trace={trace} index={selected} onClose={() => set({ span: null, row: null }, true)} />}
      </div>
    </>
  );
}

const REST_MILLIS = 250;

/** `text` once it has stopped changing. */
function useRested(text: string): string {
  const [rested, setRested] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => setRested(text), REST_MILLIS);
    return () => clearTimeout(timer);
  }, [text]);
  return rested;
}

/** Rows with the text in name, service or id at once, those with it in an attribute as soon as the server has looked. */
function useFound(trace: Trace, wanted: string): ReadonlySet<number> | null {
  const { set } = useApp();
  const text = wanted.trim().toLowerCase();
  const rested = useRested(text);
  useEffect(() => set({ find: rested }, true), [rested]);
  const asked = useAsk(rested === "" ? null : `find ${trace.id} ${rested}`, (signal) => askMatches(trace.id, rested, signal));
  const more = rested === text ? asked.data : null;
  return useMemo(() => {
    if (text === "") return null;
    const found = new Set<number>();
    trace.rows.forEach(({ span }, index) => {
      if (span && (matches(span, text) || more?.has(span.id))) found.add(index);
    });
    return found;
  }, [trace, text, more]);
}

function Head(props: { trace: Trace; wanted: string; onFind: (text: string) => void }): preact.JSX.Element {
  const { trace } = props;
  const { place } = useApp();
  const path = `traces/${trace.id}`;
  return (
    <div class="trace-head">
      <div class="trace-title">
        {trace.root ? <><Service name={trace.root.service} /><b>{trace.root.name}</b></> : <b>No root span received</b>}
        <span class="quiet" title={utcText(trace.origin)}>{localTime(toMillis(trace.origin))}</span>
        <span><code title={trace.id}>{trace.id}</code> <Copy text={trace.id} /></span>
        {trace.total > trace.spans && <Badge tone="warn" title="The downloads have all of them.">the first {count(trace.spans)} of {count(trace.total)} spans</Badge>}
        {trace.missing > 0 && <Badge tone="warn" title="Spans that are named as parents but have not been received; drawn hatched.">{plural(trace.missing, "missing parent")}</Badge>}
        <PinButton trace={trace.id} />
        <NoteButton trace={trace.id} span={place.params["span"] ?? ""} />
        <AliasButton trace={trace.id} />
        <KindLink trace={trace} />
        <span class="exports push">
          <span class="quiet">Download</span>
          <a href={apiPath(path, { format: "otlp" })} download={`${trace.id}.otlp.json`}>OTLP JSON</a>
          <a href={apiPath(path, { format: "jaeger" })} download={`${trace.id}.jaeger.json`}>Jaeger JSON</a>
          <HtmlExport trace={trace} />
        </span>
      </div>
      <Notes trace={trace.id} />
      <div class="figures">
        <Figure label="Duration" name="duration" help="End minus start of the root span: what the caller waited."><Duration nanos={trace.duration} /></Figure>
        {trace.length !== trace.duration && <Figure label="Extent" name="extent" help="From the first start to the last end of any span."><Duration nanos={trace.length} /></Figure>}
        <Figure label="Spans" name="spans" title={grouped(trace.spans)}>{count(trace.spans)}</Figure>
        <Figure label="Failed spans" name="errors" help="Spans with status ERROR.">{trace.errors > 0 ? <span class="error-text"><span class="mark-error" aria-hidden="true" />{count(trace.errors)}</span> : "0"}</Figure>
        <Figure label="Services" name="services">{trace.services.length}</Figure>
        <Figure label="Depth" name="depth">{trace.depth}</Figure>
      </div>
      <div class="trace-tools">
        <ViewTabs />
        <input class="row-search" type="search" placeholder="Find in this trace" aria-label="Find in this trace" value={props.wanted} onInput={(event) => props.onFind(event.currentTarget.value)} />
        <span class="legend" title={trace.services.map(([name, spans]) => `${name}: ${plural(spans, "span")}`).join("\n")}>{trace.services.slice(0, 12).map(([name, spans]) => <span key={name} title={`${spans} spans`}><Service name={name} /></span>)}{trace.services.length > 12 && <span class="quiet">and {trace.services.length - 12} more</span>}</span>
      </div>
    </div>
  );
}
