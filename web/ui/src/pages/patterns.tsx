// Patterns: which kinds of request there are, how long each takes, what it costs, and one example of each.
import { useMemo } from "preact/hooks";
import { Errors, Figure, Notes, SameQuestion, Service } from "../parts/bits.tsx";
import { countColumn, durationColumn, errorColumn } from "../parts/columns.tsx";
import { ErrorBox, NoSpans, Waiting } from "../parts/states.tsx";
import { Table, type Column } from "../parts/table.tsx";
import { apiPath } from "../api.ts";
import { rangeBefore } from "../range.ts";
import { rangeArguments, rangeKey, rangeQuery } from "../rangequery.ts";
import { useApp, useAsk } from "../state.tsx";
import { bytes, count, duration, grouped, percent, ratio, significant } from "../units.ts";
import { askPatterns, withBefore, type Compared } from "./patterns/model.ts";
import { PatternPanel } from "./patterns/panel.tsx";
import { LatencyStrip, stripScale, type StripScale } from "./patterns/strip.tsx";

/** How many times as long the 95th percentile is; null where one side is missing. */
function factor(row: Compared): number | null {
  return row.p95 !== null && row.before?.p95 ? row.p95 / row.before.p95 : null;
}

function Change(props: { row: Compared }): preact.JSX.Element {
  const { row } = props;
  if (row.traces === 0) return <span class="badge" title={`${grouped(row.before?.traces ?? 0)} traces in the window before, none now.`}>gone</span>;
  const value = factor(row);
  if (value === null) return <span class="badge" title="No trace of this shape in the window before.">new</span>;
  const isBig = value >= 1.5 || value <= 1 / 1.5;
  return <span class={isBig ? "" : "quiet"} title={`p95 was ${duration(row.before?.p95)} over ${grouped(row.before?.traces ?? 0)} traces`}>{isBig && (value > 1 ? "▲ " : "▼ ")}{significant(value)}×</span>;
}

function Traces(props: { row: Compared }): preact.JSX.Element {
  const { row } = props;
  const isSampled = Math.abs(row.weighted - row.traces) > 0.5;
  return <>{count(row.traces)}{isSampled && <span class="quiet" title={`Estimated before sampling; standard error ${grouped(Math.round(row.weightedError))}`}> ≈ {count(row.weighted)}</span>}</>;
}

function columns(total: number, compared: boolean, scale: StripScale): Column<Compared>[] {
  const change: Column<Compared>[] = compared
    ? [{ key: "change", label: "p95 against before", help: "p95 of this window over p95 of the window before; shapes that are new or gone are marked.", number: true, value: (row) => (row.traces === 0 ? null : (factor(row) ?? Infinity)), cell: (row) => <Change row={row} /> }]
    : [];
  return [
    { key: "root", label: "Root operation", value: (row) => `${row.service} ${row.name}`, cell: (row) => <><Service name={row.service} /> {row.name}</>, title: (row) => row.shape, className: "pair pattern-root" },
    { key: "traces", label: "Traces", help: "Traces of this shape whose root starts in the range.", number: true, value: (row) => row.traces, cell: (row) => <Traces row={row} />, title: (row) => `${grouped(row.traces)}, ${percent(ratio(row.traces, total))} of all` },
    errorColumn("Share of traces whose root failed.", (row) => row.traces),
    { key: "p95", label: `p50, p95, max`, help: "From the median to the slowest, on one log scale for all rows; the mark is the 95th percentile.", value: (row) => row.p95, cell: (row) => <LatencyStrip pattern={row} scale={scale} /> },
    durationColumn("p50", "p50", (row) => row.p50, "Half of the traces took at most this long."),
    durationColumn("p95number", "p95", (row) => row.p95, "95 % took at most this long."),
    ...change,
    countColumn("spans", "Spans", (row) => row.spans, "Spans of a trace of this shape: the median."),
    countColumn("services", "Services", (row) => row.services),
    { key: "bytes", label: "Bytes", help: "Bytes of bodies that its calls moved, where a size was recorded.", number: true, value: (row) => row.bytes || null, cell: (row) => (row.bytes > 0 ? bytes(row.bytes) : <span class="quiet" title="No call recorded a body size.">–</span>) },
    {
      key: "top", label: "Most self time", help: "The operation that spends most of these traces' time itself, and its share.", value: (row) => row.topShare,
      cell: (row) => (row.topShare === null ? <span class="quiet" title="No time was measured.">–</span> : <>{percent(row.topShare)} <Service name={row.topService} /> {row.topName}</>), title: (row) => `${row.topService}: ${row.topName}`, className: "pair pattern-top",
    },
  ];
}

export function PatternsPage(): preact.JSX.Element {
  const { place, range, set } = useApp();
  const { params } = place;
  const path = apiPath("patterns", rangeQuery(range));
  const { data, error, loading } = useAsk(JSON.stringify(["patterns", rangeKey(params)]), (signal) => askPatterns(range, signal));
  const earlier = params["against"] === "before" ? rangeBefore(range) : null;
  const before = useAsk(earlier ? JSON.stringify(["patterns before", rangeKey(params)]) : null, (signal) => askPatterns(earlier ?? range, signal));
  const rows = useMemo((): Compared[] => (!data ? [] : earlier && before.data ? withBefore(data.patterns, before.data.patterns) : data.patterns.map((one) => ({ ...one, before: null }))), [data, before.data, earlier !== null]);
  const scale = useMemo(() => stripScale(rows), [rows]);
  if (error) return <ErrorBox error={error} what="The patterns" />;
  if (!data && loading) return <><Waiting height={44} /><Waiting rows={14} /></>;
  if (!data || data.patterns.length === 0) return <NoSpans what="traces" />;
  const total = data.patterns.reduce((sum, one) => sum + one.traces, 0);
  const chosen = rows.find((row) => row.id === params["pattern"]);
  return (
    <>
      <Headline rows={data.patterns.map((one) => ({ ...one, before: null }))} total={total} notes={data.notes} />
      <section class="section">
        <div class="section-head">
          <h2 class="helped" title="Traces that call the same operations below the same callers are one pattern. The order of calls, and whether there are 7 or 8 of one kind, make no other.">Kinds of request</h2>
          <span class="quiet">click one for its tree and examples</span>
          {rangeBefore(range) && <label class="field check push"><input type="checkbox" checked={earlier !== null} onChange={() => set({ against: earlier ? null : "before", sort: null }, true)} />Against the window before</label>}
          {earlier && before.loading && !before.data && <span class="quiet">Asking for the window before…</span>}
          {earlier && before.error && <span class="error-text">The window before failed: {before.error.message}</span>}
        </div>
        <Table
          name="patterns"
          rows={rows}
          columns={columns(total, earlier !== null && before.data !== null, scale)}
          sort="-traces"
          rowKey={(row) => row.id}
          selected={(row) => row.id === params["pattern"]}
          onOpen={(row) => set({ pattern: row.id === params["pattern"] ? null : row.id })}
          most={100}
        />
        <SameQuestion path={path} statement={`SELECT * FROM patterns${rangeArguments(range)}\nORDER BY traces DESC`} />
      </section>
      {chosen && <PatternPanel key={chosen.id} pattern={chosen} total={total} onClose={() => set({ pattern: null })} />}
    </>
  );
}

function Headline(props: { rows: Compared[]; total: number; notes: Record<string, unknown> }): preact.JSX.Element {
  const { rows, total } = props;
  const most = rows[0];
  const failed = rows.reduce((sum, row) => sum + row.errors, 0);
  return (
    <div class="figures">
      <Figure label="Kinds of request" name="patterns" title={grouped(rows.length)}>{count(rows.length)}</Figure>
      <Figure label="Traces" name="traces" title={grouped(total)}>{count(total)}</Figure>
      <Figure label="Errors" name="errors" help="Share of traces whose root failed."><Errors errors={failed} of={total} /></Figure>
      {most && <Figure label="In the most frequent" name="most" title={most.shape}>{percent(ratio(most.traces, total))} <small>{most.name}</small></Figure>}
      <Figure label="Seen once" name="once" help="Shapes with a single trace: rare paths, or traces of which parts are missing.">{count(rows.filter((row) => row.traces === 1).length)}</Figure>
      <Notes notes={props.notes} />
    </div>
  );
}
