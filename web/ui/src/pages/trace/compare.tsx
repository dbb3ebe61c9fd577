// Another trace beside this one: what was called on either side, how often, for how long.
import { useMemo, useState } from "preact/hooks";
import { apiPath, getRows, literal, sql } from "../../api.ts";
import { numberOf, numberOrZero } from "../../exact.ts";
import { localTime, parseInstant, toMillis } from "../../instant.ts";
import { Duration, Figure, Link, Service } from "../../parts/bits.tsx";
import { countColumn, durationColumn } from "../../parts/columns.tsx";
import { Empty, ErrorBox, Waiting } from "../../parts/states.tsx";
import { Table, type Column } from "../../parts/table.tsx";
import { rangeArguments, rangeQuery } from "../../rangequery.ts";
import { useApp, useAsk } from "../../state.tsx";
import { count, duration, grouped } from "../../units.ts";
import { BesidePattern } from "./kind.tsx";
import { readPattern, type Pattern } from "../patterns/model.ts";
import { diffTraces, verdict, type DiffRow, type Side } from "./diff.ts";
import { askTrace, type Trace } from "./model.ts";

interface Candidate {
  id: string;
  start: number;
  duration: number;
  spans: number;
  errors: number;
}

const HOUR = 3_600_000;
const CANDIDATES = 200;

/** Traces of the same operation around the time of this one. */
function candidatesStatement(trace: Trace): string {
  const at = toMillis(trace.origin);
  const { service = "", name = "" } = trace.root ?? {};
  return `SELECT trace_id, start_time, duration_nano, spans, errors FROM traces${rangeArguments({ from: at - HOUR, to: at + HOUR })}
WHERE root_service = ${literal(service)} AND root_name = ${literal(name)} AND trace_id <> ${literal(trace.id)}
ORDER BY start_time DESC LIMIT ${CANDIDATES}`;
}

async function askCandidates(trace: Trace, signal: AbortSignal): Promise<Candidate[]> {
  const answer = await sql(candidatesStatement(trace), signal);
  return answer.rows.map((row) => {
    const start = parseInstant(row["start_time"]);
    return { id: String(row["trace_id"]), start: start ? toMillis(start) : 0, duration: numberOrZero(row["duration_nano"]), spans: numberOf(row["spans"]) ?? 0, errors: numberOf(row["errors"]) ?? 0 };
  });
}

/** `with=pattern`: beside all traces of its pattern. */
const PATTERN = "pattern";

export function CompareView(props: { trace: Trace }): preact.JSX.Element {
  const { place } = useApp();
  const other = (place.params["with"] ?? "").toLowerCase();
  return <div class="compare">{other === "" ? <Choose trace={props.trace} /> : other === PATTERN ? <BesidePattern trace={props.trace} /> : <Compared trace={props.trace} other={other} />}</div>;
}

function Choose(props: { trace: Trace }): preact.JSX.Element {
  const { trace } = props;
  const { set } = useApp();
  const [text, setText] = useState("");
  const { data, error, loading } = useAsk(trace.root ? `candidates ${trace.id}` : null, (signal) => askCandidates(trace, signal));
  const id = text.trim().replaceAll("-", "").toLowerCase();
  const isId = /^[0-9a-f]{32}$/.test(id);
  return (
    <>
      <form class="filters" onSubmit={(event) => { event.preventDefault(); if (isId) set({ with: id }); }}>
        <label class="field wide">Compare with<input value={text} placeholder="trace id" spellcheck={false} autocomplete="off" onInput={(event) => setText(event.currentTarget.value)} /></label>
        <button type="submit" class="button primary" disabled={!isId}>Compare</button>
        <button type="button" class="button" data-action="beside" onClick={() => set({ with: PATTERN })} title="Each call beside the same calls in all traces of this shape">Its pattern</button>
      </form>
      {!trace.root && <Empty title="This trace has no root"><p>Traces of the same operation cannot be found without one; name the other trace above.</p></Empty>}
      {error && <ErrorBox error={error} what="The search for similar traces" />}
      {trace.root && !data && loading && <Waiting rows={8} />}
      {data && data.length === 0 && <Empty title="No other trace of this operation"><p>None started within an hour of this one; name the other trace above.</p></Empty>}
      {data && data.length > 0 && <Candidates candidates={data} />}
      {trace.root && <Kinds trace={trace} />}
    </>
  );
}

async function askKinds(trace: Trace, signal: AbortSignal): Promise<Pattern[]> {
  const at = toMillis(trace.origin);
  const { service = "", name = "" } = trace.root ?? {};
  const answer = await getRows(apiPath("patterns", { ...rangeQuery({ from: at - HOUR, to: at + HOUR }), root_service: service, root_name: name }), signal);
  return answer.rows.map(readPattern);
}

/** The kinds of this request around its time: its own pattern is one of them. */
function Kinds(props: { trace: Trace }): preact.JSX.Element | null {
  const { trace } = props;
  const { set } = useApp();
  const { data, error } = useAsk(`kinds ${trace.id}`, (signal) => askKinds(trace, signal));
  if (error) return <ErrorBox error={error} what="The search for patterns" />;
  if (!data || data.length === 0) return null;
  const columns: Column<Pattern>[] = [
    { key: "shape", label: "Shape", cell: (row) => row.shape, title: (row) => row.shape },
    countColumn("traces", "Traces", (row) => row.traces),
    countColumn("spans", "Spans", (row) => row.spans, "Of a trace of this shape: the median."),
    durationColumn("p50", "p50", (row) => row.p50),
    durationColumn("p99", "p99", (row) => row.p99),
  ];
  return (
    <section class="section" data-part="kinds">
      <div class="section-head"><h2>Kinds of this request</h2><span class="quiet">a click compares with a typical trace of that shape</span></div>
      <Table name="kinds" param="ksort" rows={data} columns={columns} sort="-traces" rowKey={(row) => row.id} onOpen={(row) => set({ with: row.typical })} most={10} />
    </section>
  );
}

function Candidates(props: { candidates: Candidate[] }): preact.JSX.Element {
  const { candidates } = props;
  const { set } = useApp();
  const byDuration = [...candidates].sort((a, b) => a.duration - b.duration);
  const without = byDuration.filter((one) => one.errors === 0);
  const offers: [string, Candidate | undefined][] = [
    ["The median", byDuration[Math.floor((byDuration.length - 1) / 2)]],
    ["The fastest without errors", without[0]],
    ["The slowest", byDuration[byDuration.length - 1]],
  ];
  const columns: Column<Candidate>[] = [
    { key: "start", label: "Start", value: (row) => row.start, cell: (row) => localTime(row.start), className: "mono" },
    durationColumn("duration", "Duration", (row) => row.duration),
    countColumn("spans", "Spans", (row) => row.spans),
    countColumn("errors", "Errors", (row) => row.errors),
    { key: "id", label: "Trace", cell: (row) => <code>{row.id.slice(0, 8)}</code>, title: (row) => row.id },
  ];
  return (
    <section class="section">
      <div class="section-head">
        <h2>Traces of the same operation</h2>
        <span class="quiet">{candidates.length === CANDIDATES ? `the last ${CANDIDATES}` : candidates.length} within an hour</span>
        {offers.map(([label, one]) => one && <button key={label} type="button" class="button" onClick={() => set({ with: one.id })}>{label} <span class="quiet">{duration(one.duration)}</span></button>)}
      </div>
      <Table name="candidates" param="csort" rows={candidates} columns={columns} sort="-duration" rowKey={(row) => row.id} onOpen={(row) => set({ with: row.id })} most={50} />
    </section>
  );
}

function Compared(props: { trace: Trace; other: string }): preact.JSX.Element {
  const { trace, other } = props;
  const { set, href } = useApp();
  const { data, error, loading } = useAsk(`trace ${other}`, (signal) => askTrace(other, signal));
  const [all, setAll] = useState(true);
  const lines = useMemo(() => (data ? diffTraces(trace, data) : []), [trace, data]);
  if (error) return <><ErrorBox error={error} what={`Trace ${other}`} /><p><button type="button" class="button" onClick={() => set({ with: null })}>Another trace</button></p></>;
  if (!data) return loading ? <Waiting rows={10} /> : <Waiting rows={10} />;
  const differing = lines.filter((line) => verdict(line) !== "same");
  return (
    <>
      <div class="figures">
        <Figure label="This trace" name="left"><Duration nanos={trace.duration} /> <small>{count(trace.spans)} spans</small></Figure>
        <Figure label="The other" name="right"><Duration nanos={data.duration} /> <small>{count(data.spans)} spans, {localTime(toMillis(data.origin))}</small></Figure>
        <Figure label="Lines that differ" name="differing" help="Called on one side only, another number of calls, or failed on one side only.">{count(differing.length)} <small>of {count(lines.length)}</small></Figure>
        <span class="compare-tools">
          <label class="field check"><input type="checkbox" checked={!all} onChange={(event) => setAll(!event.currentTarget.checked)} />Only what differs</label>
          <Link to={href("trace", { view: "compare", with: trace.id }, other)}>Swap sides</Link>
          <Link to={href("trace", {}, other)}>Open the other</Link>
          <button type="button" class="button" onClick={() => set({ with: null })}>Another trace</button>
        </span>
      </div>
      {differing.length === 0 && <p class="quiet">Both traces called the same operations as often; only durations differ.</p>}
      <Lines lines={all ? lines : differing} longest={Math.max(1, ...lines.map((line) => Math.max(line.left.nanos, line.right.nanos)))} />
    </>
  );
}

const WORDS = { left: "only here", right: "only there", calls: "calls differ", errors: "failed on one side", same: "" };

function Lines(props: { lines: DiffRow[]; longest: number }): preact.JSX.Element {
  const columns: Column<DiffRow>[] = [
    {
      key: "call", label: "Call",
      cell: (row) => <span class="diff-call" style={{ paddingLeft: `${Math.min(row.depth, 20) * 14}px` }}>{row.service === "" ? <i class="quiet">missing parent</i> : <><Service name={row.service} /> {row.name}</>}</span>,
      title: (row) => `${row.service}: ${row.name}${row.kind ? ` (${row.kind})` : ""}`,
    },
    { key: "verdict", label: "", cell: (row) => WORDS[verdict(row)] && <span class={`badge diff-${verdict(row)}`}>{WORDS[verdict(row)]}</span> },
    { key: "leftCalls", label: "Calls", help: "In this trace.", number: true, cell: (row) => <Calls side={row.left} /> },
    { key: "leftTime", label: "Time here", help: "Sum of their durations in this trace.", number: true, cell: (row) => <Time side={row.left} longest={props.longest} /> },
    { key: "rightCalls", label: "Calls", help: "In the other trace.", number: true, cell: (row) => <Calls side={row.right} /> },
    { key: "rightTime", label: "Time there", help: "Sum of their durations in the other trace.", number: true, cell: (row) => <Time side={row.right} longest={props.longest} /> },
    { key: "change", label: "Difference", help: "Time here minus time there.", number: true, cell: (row) => <Change row={row} /> },
  ];
  return <Table name="diff" param="dsort" rows={props.lines} columns={columns} sort="" rowKey={(row) => row.key} most={500} />;
}

function Calls(props: { side: Side }): preact.JSX.Element {
  const { side } = props;
  if (side.calls === 0) return <span class="quiet" title="Not called.">–</span>;
  return <>{side.errors > 0 && <span class="error-text" title={`${grouped(side.errors)} failed`}><span class="mark-error" aria-hidden="true" /></span>}{grouped(side.calls)}</>;
}

function Time(props: { side: Side; longest: number }): preact.JSX.Element {
  const { side } = props;
  if (side.calls === 0) return <span class="quiet" title="Not called.">–</span>;
  return <><span class="share" aria-hidden="true"><i style={{ width: `${(side.nanos / props.longest) * 100}%` }} /></span><Duration nanos={side.nanos} /></>;
}

function Change(props: { row: DiffRow }): preact.JSX.Element {
  const nanos = props.row.left.nanos - props.row.right.nanos;
  return <span title={`${grouped(nanos)} ns`}>{nanos > 0 ? "+" : ""}{duration(nanos)}</span>;
}
