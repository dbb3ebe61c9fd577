// The differences as two columns of shares; the first one also as a sentence.
import { duration, grouped, percent, plural, significant } from "../../units.ts";
import { Duration } from "../../parts/bits.tsx";
import { Panel } from "../../parts/panel.tsx";
import { Empty } from "../../parts/states.tsx";
import { Table, type Column } from "../../parts/table.tsx";
import { localTime } from "../../instant.ts";
import type { Comparison, Difference } from "./model.ts";

interface DifferencesProps {
  comparison: Comparison;
  isSpans: boolean;
  /** How the two sides are called in words: `the selection`, `the rest`. */
  selected: string;
  rest: string;
  onFilter: (difference: Difference) => void;
  /** Shows what else the same traces have. */
  onSame: (difference: Difference) => void;
}

/** Longer values are cut in a cell; the hover has them whole. */
const MOST_LETTERS = 160;
const BAR = 110;

export function Differences(props: DifferencesProps): preact.JSX.Element {
  const { comparison, selected, rest } = props;
  const { differences } = comparison;
  const first = differences[0];
  if (comparison.selection === 0) return <Empty title="Nothing is selected"><p>No trace of the range lies in {selected}. Draw another box, or choose another way to tell the two sides apart.</p></Empty>;
  if (comparison.baseline === 0) return <Empty title="There is no rest"><p>All traces of the range lie in {selected}: there is nothing to compare with. Make the selection smaller or the range longer.</p></Empty>;
  if (!first) return <Empty title="Nothing stands out"><p>No attribute is more frequent on one side than chance explains.</p></Empty>;
  return (
    <>
      <p class="sentence" data-part="sentence">
        {first.toldBy === "duration" ? (
          <>Spans with <Named row={first} /> take <b>{duration(first.selectionLeaf)}</b> in {selected} and <b>{duration(first.baselineLeaf)}</b> in {rest}, on average.</>
        ) : (
          <><Named row={first} /> is in <b>{percent(first.selectionShare)}</b> of {selected} and <b>{percent(first.baselineShare)}</b> of {rest}.</>
        )}
      </p>
      <Table name="differences" param="dsort" rows={differences} columns={columns(props)} sort="-evidence" rowKey={(row) => `${row.scope}\n${row.key}\n${row.value}`} onOpen={props.onFilter} most={50} />
      <p class="quiet">Click a row to open the selected traces that have it. {props.isSpans ? "" : "A trace has a value where any of its spans has it."}</p>
    </>
  );
}

function Named(props: { row: Difference }): preact.JSX.Element {
  const { row } = props;
  return <><code>{row.key}</code> = <code class="sentence-value" title={row.value}>{cut(valueWords(row))}</code></>;
}

function cut(text: string): string {
  return text.length > MOST_LETTERS ? `${text.slice(0, MOST_LETTERS)}…` : text;
}

function valueWords(row: Difference): string {
  return row.from !== null && row.to !== null ? `${localTime(row.from, 0)} – ${localTime(row.to, 0)}` : row.value;
}

const WHERE: Record<Difference["scope"], string> = { attribute: "Attribute of a span.", resource: "Attribute of the resource: the process that made the span.", field: "Field of a span.", time: "Start of the trace." };

function columns(props: DifferencesProps): Column<Difference>[] {
  const { selected, rest } = props;
  return [
    { key: "key", label: "Attribute", value: (row) => row.key, cell: (row) => <code>{row.key}</code>, title: (row) => `${row.key}. ${WHERE[row.scope] ?? ""}` },
    { key: "value", label: "Value", value: (row) => row.value, cell: (row) => <Value row={row} onSame={() => props.onSame(row)} />, title: (row) => row.value, className: "difference-value" },
    { key: "selection", label: "Selection", help: `Share of ${selected} that has it.`, number: true, value: (row) => row.selectionShare, cell: (row) => percent(row.selectionShare), title: (row) => `${grouped(row.selection)} of ${grouped(props.comparison.selection)}` },
    { key: "pair", label: "", cell: (row) => <Pair row={row} /> },
    { key: "baseline", label: "Rest", help: `Share of ${rest} that has it.`, number: true, value: (row) => row.baselineShare, cell: (row) => percent(row.baselineShare), title: (row) => `${grouped(row.baseline)} of ${grouped(props.comparison.baseline)}` },
    { key: "lift", label: "Ratio", help: "Share in the selection over the share in the rest.", number: true, value: (row) => row.lift ?? Infinity, cell: (row) => (row.baseline === 0 || row.lift === null ? <span title="Nowhere in the rest.">only here</span> : row.selection === 0 ? <span title="Nowhere in the selection.">only there</span> : `${significant(row.lift)}×`) },
    ...(props.comparison.differences.some((one) => one.selectionLeaf !== null) ? [leafColumn(props)] : []),
    { key: "evidence", label: "Evidence", help: "How much better than chance it tells the two sides apart, by being there among traces of the same size or by how long its spans take: chi-squared, which grows with the counts. Values that chance explains are left out.", number: true, value: (row) => row.evidence, cell: (row) => <Evidence row={row} />, title: (row) => `corrected p ${row.pValue < 1e-12 ? "< 1e-12" : `= ${row.pValue.toPrecision(2)}`}` },
  ];
}

/** How long the spans that have it took themselves, on either side. */
function leafColumn(props: DifferencesProps): Column<Difference> {
  return {
    key: "leaf", label: "Its spans take", number: true, value: (row) => row.selectionLeaf,
    help: `What a span that has it takes in ${props.selected}, and in ${props.rest}, on average; only spans below others and without children, so that it is their own time.`,
    cell: (row) => (row.selectionLeaf === null && row.baselineLeaf === null ? <span class="quiet" title="No span without children has it.">–</span> : <span class={row.toldBy === "duration" ? "" : "quiet"}><Duration nanos={row.selectionLeaf} /> / <Duration nanos={row.baselineLeaf} /></span>),
  };
}

/** With a word where it is not the shares that tell. */
function Evidence(props: { row: Difference }): preact.JSX.Element {
  const { row } = props;
  return <>{row.toldBy === "duration" && <span class="quiet" title="How long its spans take tells the two sides apart.">time </span>}{significant(row.evidence)}</>;
}

function Value(props: { row: Difference; onSame: () => void }): preact.JSX.Element {
  const { row } = props;
  const { same } = row;
  const others = same.slice(0, 12).map((one) => `${one.key} = ${one.value}`).join("\n");
  return (
    <span class="value-line">
      {row.value === "" ? <i class="quiet">empty</i> : <code>{cut(valueWords(row))}</code>}
      {same.length > 0 && <button type="button" class="badge" title={`The very same have:\n${others}`} onClick={props.onSame}>and {plural(same.length, "other")}</button>}
    </span>
  );
}

/** What the very same traces (or spans) have: one finding in other words. */
export function SamePanel(props: { head: Difference; onFilter: (difference: Difference) => void; onClose: () => void }): preact.JSX.Element {
  const { head } = props;
  return (
    <Panel label="The same finding" title={`${plural(head.same.length + 1, "value")} of the very same`} over onClose={props.onClose}>
      <p class="quiet">Whatever has one of these has all of them: one finding, in other words. A click opens the selected traces that have it.</p>
      <dl class="pairs" data-part="same">
        {[head, ...head.same].map((one) => (
          <>
            <dt key={`${one.key}\n${one.value}`} title={WHERE[one.scope]}>{one.key}</dt>
            <dd><button type="button" class="link" onClick={() => props.onFilter(one)}>{cut(valueWords(one)) || "empty"}</button></dd>
          </>
        ))}
      </dl>
    </Panel>
  );
}

/** Two bars on one scale: the selection above, the rest below. */
function Pair(props: { row: Difference }): preact.JSX.Element {
  const wide = (share: number): string => `${share > 0 ? Math.max(1, share * BAR) : 0}px`;
  return (
    <span class="bar-pair" style={{ width: `${BAR}px` }} aria-hidden="true">
      <i style={{ width: wide(props.row.selectionShare) }} />
      <i class="rest" style={{ width: wide(props.row.baselineShare) }} />
    </span>
  );
}
