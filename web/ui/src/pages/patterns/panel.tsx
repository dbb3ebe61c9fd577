// One kind of request: its tree with what each place costs, and traces to look at.
import { localTime, parseInstant, toMillis, utcText } from "../../instant.ts";
import { Duration, Link, SameQuestion, Service } from "../../parts/bits.tsx";
import { Panel } from "../../parts/panel.tsx";
import { ErrorBox, Waiting } from "../../parts/states.tsx";
import { rangeKey } from "../../rangequery.ts";
import { useApp, useAsk } from "../../state.tsx";
import { count, duration, grouped, percent, plural, ratio } from "../../units.ts";
import { askTree, treePath, treeStatement, type Compared, type Place } from "./model.ts";

/** Places drawn; larger trees are read in the console. */
const MOST_PLACES = 300;
const DEEPEST = 16;

export function PatternPanel(props: { pattern: Compared; total: number; onClose: () => void }): preact.JSX.Element {
  const { pattern, total } = props;
  const { place, range, href } = useApp();
  const { data, error } = useAsk(pattern.traces === 0 ? null : `pattern ${pattern.id} ${rangeKey(place.params)}`, (signal) => askTree(pattern.id, range, signal));
  return (
    <Panel label="Pattern" title={<><Service name={pattern.service} /> {pattern.name}</>} over onClose={props.onClose}>
      <div class="figures small">
        <div class="figure"><span class="label">Traces</span><span class="value">{count(pattern.traces)} <small>{percent(ratio(pattern.traces, total))}</small></span></div>
        <div class="figure"><span class="label">p50</span><span class="value"><Duration nanos={pattern.p50} /></span></div>
        <div class="figure"><span class="label">p99</span><span class="value"><Duration nanos={pattern.p99} /></span></div>
        <div class="figure"><span class="label">Depth</span><span class="value">{count(pattern.depth)}</span></div>
      </div>
      {pattern.incomplete > 0 && <p class="quiet">{plural(pattern.incomplete, "trace")} of this shape miss a parent or the root: the shape may be a part of another.</p>}
      {pattern.traces > 0 && <Examples pattern={pattern} />}
      <p>
        <Link to={href("traces", { root_service: pattern.service, root_name: pattern.name, order: "slowest" })}>All traces of this operation</Link>
        {pattern.slow !== pattern.typical && <> · <Link to={href("trace", { view: "compare", with: pattern.typical }, pattern.slow)}>Slowest beside typical</Link></>}
      </p>
      {error && <ErrorBox error={error} what="The tree" />}
      {pattern.traces > 0 && !data && !error && <Waiting rows={Math.min(14, Math.max(3, pattern.spans))} />}
      {data && <Tree places={data} traces={pattern.traces} />}
      <p class="quiet">First seen <Seen at={pattern.first} />, last <Seen at={pattern.last} />. Pattern <code>{pattern.id}</code></p>
      <SameQuestion path={treePath(pattern.id, range)} statement={treeStatement(pattern.id, range)} />
    </Panel>
  );
}

function Seen(props: { at: string }): preact.JSX.Element {
  const at = parseInstant(props.at);
  return at ? <span title={utcText(at)}>{localTime(toMillis(at), 0)}</span> : <>–</>;
}

function Examples(props: { pattern: Compared }): preact.JSX.Element {
  const { pattern } = props;
  const { href } = useApp();
  const offers: [string, string, number | null][] = [["Fastest", pattern.fast, null], ["Typical", pattern.typical, pattern.p50], ["Slowest", pattern.slow, pattern.max]];
  return (
    <p class="exemplars" data-part="exemplars">
      {offers.filter(([, id]) => id !== "").map(([label, id, nanos]) => (
        <Link key={label} to={href("trace", {}, id)} class="button" title={id}>{label}{nanos !== null && <span class="quiet">{duration(nanos)}</span>}</Link>
      ))}
    </p>
  );
}

/** `×7` of a place, or `×5 to 8`; nothing for one call. */
export function callsWords(place: Pick<Place, "low" | "high">): string {
  if (place.high <= 1) return "";
  return place.low === place.high ? `×${place.low}` : `×${place.low} to ${place.high}`;
}

function Tree(props: { places: Place[]; traces: number }): preact.JSX.Element {
  const { places } = props;
  const most = Math.max(1e-9, ...places.map((place) => place.selfShare ?? 0));
  return (
    <section data-part="tree">
      <h3>Shape <span class="quiet">{plural(places.length, "place")}; bars are self time</span></h3>
      <ul class="shape">
        {places.slice(0, MOST_PLACES).map((place) => (
          <li key={place.position} title={`${place.service}: ${place.name}\n${grouped(place.spans)} spans, p50 ${duration(place.p50)}, p95 ${duration(place.p95)}, max ${duration(place.max)}\nself time ${duration(place.self)}, ${percent(place.selfShare)} of all`}>
            <span class="shape-name" style={{ paddingLeft: `${Math.min(DEEPEST, Math.max(0, place.depth - 1)) * 12}px` }}>
              <Service name={place.service} /> {place.name} <span class="quiet">{callsWords(place)}</span>
              {place.errors > 0 && <span class="error-text"> <span class="mark-error" aria-hidden="true" />{percent(ratio(place.errors, place.spans))}</span>}
            </span>
            <i class="shape-bar" aria-hidden="true"><b style={{ width: `${((place.selfShare ?? 0) / most) * 100}%` }} /></i>
            <span class="number">{percent(place.selfShare)}</span>
            <span class="number"><Duration nanos={place.p50} /></span>
          </li>
        ))}
      </ul>
      {places.length > MOST_PLACES && <p class="quiet">{grouped(places.length - MOST_PLACES)} places more: see the statement below.</p>}
    </section>
  );
}
