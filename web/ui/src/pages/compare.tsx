// Compare: what do these traces have in common that the others have not?
import { useState } from "preact/hooks";
import { sql } from "../api.ts";
import { numberOf } from "../exact.ts";
import { askRoots, type Box, type Heat } from "../heat.ts";
import { localTime } from "../instant.ts";
import { readSelection, selectionParams as boxSelection } from "../parts/brush.tsx";
import { Figure, Link, Notes, SameQuestion, Service } from "../parts/bits.tsx";
import { Heatmap } from "../parts/heatmap.tsx";
import { Empty, ErrorBox, NoSpans, Waiting } from "../parts/states.tsx";
import type { Range } from "../range.ts";
import { rangeArguments, rangeKey } from "../rangequery.ts";
import { useApp, useAsk } from "../state.tsx";
import { count, duration, grouped, percent, ratio } from "../units.ts";
import { Differences, SamePanel } from "./compare/differences.tsx";
import { askComparison, comparePath, compareStatement, filterParams, rangeOf, selectionParams, tracesStatement, WAYS, type Difference, type Question, type Unit, type Way } from "./compare/model.ts";
import { rangeCondition } from "./overview.tsx";
import { conditionsOf } from "./traces.tsx";

/** Words of the two sides, as the sentence needs them. */
const SIDES: Record<Way, Record<Unit, [string, string]>> = {
  box: { traces: ["the selection", "the rest"], spans: ["the selection", "the rest"] },
  slow: { traces: ["the slow traces", "the others"], spans: ["the slow spans", "the others"] },
  errors: { traces: ["the traces with errors", "those without"], spans: ["the failed spans", "the others"] },
  before: { traces: ["the traces of this window", "those before"], spans: ["the spans of this window", "those before"] },
};

const UNITS: Record<string, number> = { ns: 1, us: 1e3, "µs": 1e3, ms: 1e6, s: 1e9, min: 60e9 };

/** `250ms` in nanoseconds; null where it is no duration. */
export function nanosOf(text: string | undefined): number | null {
  const found = /^\s*(\d+(?:\.\d+)?)\s*(ns|us|µs|ms|s|min)\s*$/.exec(text ?? "");
  return found ? Number(found[1]) * (UNITS[found[2] ?? ""] ?? 1) : null;
}

async function askSlow(of: Unit, range: Range, conditions: readonly string[], signal: AbortSignal): Promise<number | null> {
  const inRange = rangeCondition(range).replace(/ AND $/, "");
  const all = [...(of === "spans" && inRange !== "" ? [inRange] : []), ...conditions];
  const where = all.length === 0 ? "" : ` WHERE ${all.join(" AND ")}`;
  const answer = await sql(`SELECT quantile(duration_nano, 0.95) AS p95_nano FROM ${of === "spans" ? "spans" : `traces${rangeArguments(range)}`}${where}`, signal);
  return numberOf(answer.rows[0]?.["p95_nano"]);
}

export function ComparePage(): preact.JSX.Element {
  const { place, range, set } = useApp();
  const { params } = place;
  const way = WAYS.find(([name]) => name === params["by"])?.[0] ?? "box";
  const filters = Object.fromEntries(["root_service", "root_name"].flatMap((name) => (params[name] ? [[name, params[name]]] : [])));
  const conditions = conditionsOf(filters, range);
  const key = JSON.stringify([rangeKey(params), filters]);
  const heat = useAsk(`compare heat ${key}`, (signal) => askRoots(range, filters, conditions, signal));
  const asked = nanosOf(params["over"]);
  const of: Unit = params["of"] === "spans" && way !== "box" ? "spans" : "traces";
  const slow = useAsk(way === "slow" && asked === null ? `compare slow ${of} ${key}` : null, (signal) => askSlow(of, range, conditions, signal));
  const question: Question = { way, of, range, service: filters["root_service"] ?? "", name: filters["root_name"] ?? "", box: readSelection(params), over: asked ?? (way === "slow" ? slow.data : null) };
  if (heat.error) return <ErrorBox error={heat.error} what="The picture" />;
  if (!heat.data && !heat.loading) return <NoSpans what="traces" />;
  return (
    <>
      <Head question={question} />
      {heat.data ? <Picture heat={heat.data} question={question} onBox={(box) => set({ ...boxSelection(box), over: null })} /> : <Waiting height={216} />}
      {slow.error && <ErrorBox error={slow.error} what="The 95th percentile" />}
      <Answer question={question} waits={way === "slow" && question.over === null && slow.loading} />
    </>
  );
}

function Head(props: { question: Question }): preact.JSX.Element {
  const { question } = props;
  const { set } = useApp();
  const { way } = question;
  return (
    <div class="section-head">
      <span class="tabs" role="group" aria-label="Compare by">
        {WAYS.map(([name, label]) => (
          <button key={name} type="button" class={way === name ? "on" : ""} aria-pressed={way === name} onClick={() => set({ by: name, same: null })}>{label}</button>
        ))}
      </span>
      {way !== "box" && (
        <span class="tabs" role="group" aria-label="Count">
          {(["traces", "spans"] as const).map((of) => (
            <button key={of} type="button" class={question.of === of ? "on" : ""} aria-pressed={question.of === of} onClick={() => set({ of: of === "spans" ? "spans" : null, over: null, same: null })}>{of === "spans" ? "Spans" : "Traces"}</button>
          ))}
        </span>
      )}
      {way === "slow" && <Over key={question.over} over={question.over} />}
      {(question.service !== "" || question.name !== "") && (
        <span>
          only traces of {question.service !== "" && <Service name={question.service} />} {question.name}{" "}
          <button type="button" class="link" onClick={() => set({ root_service: null, root_name: null })}>all root operations</button>
        </span>
      )}
    </div>
  );
}

function Over(props: { over: number | null }): preact.JSX.Element {
  const { set } = useApp();
  const [text, setText] = useState(props.over === null ? "" : duration(props.over).replace(" ", ""));
  const submit = (event: Event): void => {
    event.preventDefault();
    if (nanosOf(text) !== null) set({ over: text.trim() });
  };
  return (
    <form onSubmit={submit}>
      <label>from <input class="over" name="over" value={text} placeholder="250ms" aria-invalid={text !== "" && nanosOf(text) === null} title="From this duration on a trace counts as slow; at first the 95th percentile" spellcheck={false} onInput={(event) => setText(event.currentTarget.value)} /> on</label>
    </form>
  );
}

/** The selection where it has a place in the picture. */
function shownBox(question: Question, heat: Heat): Box | null {
  if (question.way === "box") return question.box;
  if (question.way !== "slow" || question.of === "spans" || question.over === null) return null;
  return { from: heat.from, to: heat.to, low: question.over, high: Math.max(question.over * 2, ...heat.cells.map((cell) => cell.high)) };
}

function Picture(props: { heat: Heat; question: Question; onBox: (box: Box) => void }): preact.JSX.Element {
  const { open } = useApp();
  return <Heatmap heat={props.heat} box={shownBox(props.question, props.heat)} label="Drag a box to compare it with the rest" onSelect={props.onBox} onExample={(id) => open("trace", {}, id)} />;
}

function Answer(props: { question: Question; waits: boolean }): preact.JSX.Element {
  const { question } = props;
  const { open, href, place, set } = useApp();
  const path = comparePath(question);
  const { data, error, loading } = useAsk(path, (signal) => askComparison(question, path ?? "", signal));
  if (!path) {
    if (props.waits) return <Waiting rows={10} />;
    if (question.way === "before") return <Empty title="The range has no start"><p>Choose a range with two ends: the window before has the same length.</p></Empty>;
    return <Empty title="Nothing is selected yet"><p>Drag a box in the picture above: its traces are compared with all others of the range. Or choose slow traces, those with errors, or the window before.</p></Empty>;
  }
  if (error) return <ErrorBox error={error} what="The comparison" />;
  if (!data) return loading ? <><Waiting height={44} /><Waiting rows={10} /></> : <Waiting rows={10} />;
  const [selected, rest] = SIDES[question.way][question.of];
  const head = data.differences.find((one) => String(one.position) === place.params["same"]);
  const onFilter = (difference: Difference): void => {
    const params = filterParams(question, difference);
    if (params) open("traces", params);
    else open("sql", { q: tracesStatement(question, difference), run: "1" });
  };
  const whole = data.selection + data.baseline;
  return (
    <>
      <div class="figures">
        <Figure label="Selected" name="selection" title={grouped(data.selection)}>{count(data.selection)} <small>{question.of}, {percent(ratio(data.selection, whole))}</small></Figure>
        <Figure label={question.way === "before" ? "Before" : "Rest"} name="baseline" title={grouped(data.baseline)}>{count(data.baseline)} <small>{question.of}</small></Figure>
        {question.way === "slow" && <Figure label="Slow from" name="over">{duration(question.over)}</Figure>}
        {question.way === "box" && question.box && <Figure label="Box" name="box">{duration(question.box.low)} – {duration(question.box.high)} <small>{localTime(question.box.from, 0)} – {localTime(question.box.to, 0)}</small></Figure>}
        {question.way === "before" && <Figure label="Windows" name="windows">2 × {duration(((question.range.to ?? 0) - (question.range.from ?? 0)) * 1e6)} <small>since {localTime(rangeOf(question).from ?? 0, 0)}</small></Figure>}
        <Link class="button" to={href("traces", selectionParams(question))}>Its traces</Link>
        <Notes notes={data.notes} />
      </div>
      <Differences comparison={data} isSpans={question.of === "spans"} selected={selected} rest={rest} onFilter={onFilter} onSame={(one) => set({ same: String(one.position) })} />
      {head && <SamePanel head={head} onFilter={onFilter} onClose={() => set({ same: null })} />}
      <SameQuestion path={path} statement={compareStatement(question) ?? ""} />
    </>
  );
}

/** For links from other pages: slow traces of a root operation against the others. */
export function slowParams(service: string, name: string): Record<string, string> {
  return { by: "slow", root_service: service, root_name: name };
}
