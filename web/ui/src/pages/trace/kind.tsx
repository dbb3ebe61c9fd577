// The pattern that a trace is of: a link to it, and the trace place by place beside all traces of the pattern.
import { apiPath, getRows } from "../../api.ts";
import { numberOf } from "../../exact.ts";
import { toMillis } from "../../instant.ts";
import { Duration, Figure, Link, Service } from "../../parts/bits.tsx";
import { durationColumn } from "../../parts/columns.tsx";
import { ErrorBox, Waiting } from "../../parts/states.tsx";
import { Table, type Column } from "../../parts/table.tsx";
import { absoluteRange, type Range } from "../../range.ts";
import { rangeQuery } from "../../rangequery.ts";
import { useApp, useAsk, type Asked } from "../../state.tsx";
import { count, duration, grouped, significant } from "../../units.ts";
import { askTree, readPattern, type Pattern, type Place } from "../patterns/model.ts";
import { callsWords } from "../patterns/panel.tsx";
import { deviations, type Deviation } from "./deviate.ts";
import type { Trace } from "./model.ts";

const HOUR = 3_600_000;

/** An hour to either side of the trace: what it is compared with. */
function around(trace: Trace): Range {
  const at = toMillis(trace.origin);
  return { from: at - HOUR, to: at + HOUR };
}

/** The pattern's id; asked for by itself, because the first picture does not need it. */
function useKind(trace: Trace): Asked<string | null> {
  return useAsk(`kind ${trace.id}`, async (signal) => {
    const { rows } = await getRows(apiPath(`traces/${encodeURIComponent(trace.id)}/pattern`), signal);
    const id = rows[0]?.["pattern"];
    return typeof id === "string" ? id : null;
  });
}

export function KindLink(props: { trace: Trace }): preact.JSX.Element | null {
  const { trace } = props;
  const { href } = useApp();
  const { data } = useKind(trace);
  if (!data) return null;
  const range = absoluteRange(around(trace).from ?? 0, around(trace).to ?? 0);
  return <Link to={href("patterns", { pattern: data, ...range })} title={`Traces of the same shape within an hour: pattern ${data}`}>Its pattern</Link>;
}

interface Kind {
  pattern: Pattern | null;
  places: Place[];
}

async function askKind(trace: Trace, id: string, signal: AbortSignal): Promise<Kind> {
  const { service = "", name = "" } = trace.root ?? {};
  const [patterns, places] = await Promise.all([
    getRows(apiPath("patterns", { ...rangeQuery(around(trace)), ...(trace.root ? { root_service: service, root_name: name } : {}) }), signal),
    askTree(id, around(trace), signal),
  ]);
  return { pattern: patterns.rows.map(readPattern).find((one) => one.id === id) ?? null, places };
}

/** The trace beside all others of its pattern. */
export function BesidePattern(props: { trace: Trace }): preact.JSX.Element {
  const { trace } = props;
  const { set, href } = useApp();
  const kind = useKind(trace);
  const id = kind.data;
  const { data, error } = useAsk(id ? `beside ${trace.id} ${id}` : null, (signal) => askKind(trace, id ?? "", signal));
  const failed = kind.error ?? error;
  if (failed) return <ErrorBox error={failed} what="The pattern" />;
  if (kind.data === null && !kind.loading) return <p class="quiet">This trace is too large for a pattern.</p>;
  if (!data) return <Waiting rows={10} />;
  const { pattern, places } = data;
  const lines = deviations(trace, places);
  const range = absoluteRange(around(trace).from ?? 0, around(trace).to ?? 0);
  return (
    <div data-part="beside">
      <div class="figures">
        <Figure label="This trace" name="left"><Duration nanos={trace.duration} /></Figure>
        {pattern && <Figure label="Traces of its pattern" name="kin" help="Of the same shape, within an hour of this one.">{count(pattern.traces)}</Figure>}
        {pattern && (["p50", "p95", "p99"] as const).map((key) => <Figure key={key} label={key} name={key}><Duration nanos={pattern[key]} /></Figure>)}
        <span class="compare-tools">
          <Link to={href("patterns", { pattern: id ?? "", ...range })}>Open the pattern</Link>
          {pattern && pattern.typical !== trace.id && <button type="button" class="button" onClick={() => set({ with: pattern.typical })}>Beside a typical trace</button>}
          <button type="button" class="button" onClick={() => set({ with: null })}>Another trace</button>
        </span>
      </div>
      {pattern?.traces === 1 && <p class="quiet">No other trace of this shape started within an hour of it: the columns know of this one alone. Compare it with another trace instead.</p>}
      <Places lines={lines} />
    </div>
  );
}

function Places(props: { lines: Deviation[] }): preact.JSX.Element {
  const columns: Column<Deviation>[] = [
    { key: "call", label: "Call", cell: (row) => <span class="diff-call" style={{ paddingLeft: `${Math.min(row.place.depth - 1, 20) * 14}px` }}><Service name={row.place.service} /> {row.place.name}</span>, title: (row) => `${row.place.service}: ${row.place.name}` },
    { key: "calls", label: "Calls", help: "In this trace.", number: true, value: (row) => row.calls, cell: (row) => (row.calls === 0 ? <span class="quiet" title="Not called.">–</span> : grouped(row.calls)) },
    { key: "usual", label: "Usual", help: "Calls at this place in traces of the pattern.", cell: (row) => <span class="quiet">{callsWords(row.place) || "×1"}</span> },
    durationColumn("longest", "Longest here", (row) => row.longest, "The longest of the calls at this place, in this trace."),
    durationColumn("p50", "p50", (row) => row.place.p50, "Of all calls at this place, in all traces of the pattern."),
    durationColumn("p95", "p95", (row) => row.place.p95, "Of all calls at this place, in all traces of the pattern."),
    { key: "more", label: "Beyond p50", help: "How much longer the longest call took than half of all calls at this place.", number: true, value: (row) => row.more, cell: (row) => <More row={row} /> },
    { key: "errors", label: "Failed", help: "In this trace.", number: true, value: (row) => row.errors, cell: (row) => (row.errors > 0 ? <span class="error-text"><span class="mark-error" aria-hidden="true" />{grouped(row.errors)}</span> : <span class="quiet">0</span>) },
  ];
  return <Table name="beside" param="bsort" rows={props.lines} columns={columns} sort="" rowKey={(row) => String(row.place.position)} most={500} />;
}

function More(props: { row: Deviation }): preact.JSX.Element {
  const { more, place, longest } = props.row;
  const half = numberOf(place.p50);
  if (more === null || longest === null || !half) return <span class="quiet">–</span>;
  const isRare = place.p95 !== null && longest > place.p95;
  return <span class={isRare ? "" : "quiet"} title={isRare ? "Longer than 95 % of the calls at this place." : "Within what 95 % of the calls at this place take."}>{isRare && "▲ "}{more > 0 ? "+" : ""}{duration(more)} <span class="quiet">{significant(longest / half)}×</span></span>;
}
