// Latency: how long traces took end to end, as a histogram and by root operation.
import { useEffect, useState } from "preact/hooks";
import { apiPath, getRows, sql, type Row } from "../api.ts";
import { numberOf, numberOrZero } from "../exact.ts";
import { Duration, Errors, Figure, Notes, SameQuestion, Link } from "../parts/bits.tsx";
import { Histogram } from "../parts/histogram.tsx";
import { Heatmap } from "../parts/heatmap.tsx";
import { countColumn, errorColumn, serviceColumn, textColumn } from "../parts/columns.tsx";
import { ErrorBox, NoSpans, Waiting } from "../parts/states.tsx";
import { Table, type Column } from "../parts/table.tsx";
import { askLatency, boxParams, FAILED_ROOT, type Box } from "../heat.ts";
import { localTime } from "../instant.ts";
import { BrushMenu } from "../parts/brush.tsx";
import { rangeBefore, type Range } from "../range.ts";
import { slowParams } from "./compare.tsx";
import { conditionsOf } from "./traces.tsx";
import { quantile, type Bucket } from "../quantile.ts";
import { rangeArguments, rangeKey, rangeQuery } from "../rangequery.ts";
import { useApp, useAsk } from "../state.tsx";
import { count, duration, grouped, significant } from "../units.ts";

interface Operation {
  service: string;
  name: string;
  traces: number;
  errors: number;
  p50: number | null;
  p90: number | null;
  p95: number | null;
  p99: number | null;
  max: number | null;
}

interface RootBucket extends Bucket {
  service: string;
  name: string;
}

function readOperation(row: Row): Operation {
  return {
    service: String(row["root_service"] ?? ""),
    name: String(row["root_name"] ?? ""),
    traces: numberOrZero(row["traces"]),
    errors: numberOrZero(row["errors"]),
    p50: numberOf(row["p50_nano"]),
    p90: numberOf(row["p90_nano"]),
    p95: numberOf(row["p95_nano"]),
    p99: numberOf(row["p99_nano"]),
    max: numberOf(row["max_nano"]),
  };
}

function readBucket(row: Row): RootBucket {
  return {
    service: String(row["root_service"] ?? ""),
    name: String(row["root_name"] ?? ""),
    low: numberOrZero(row["low_nano"]),
    high: numberOrZero(row["high_nano"]),
    count: numberOrZero(row["traces"]),
  };
}

/** An operation with the same in the window before. */
interface Compared extends Operation {
  before: Operation | null;
}

function columns(withBefore: boolean, exact: boolean): Column<Compared>[] {
  const how = exact ? " Nearest rank of all durations." : " Within 1 % of the nearest rank.";
  const change: Column<Compared>[] = withBefore
    ? [{ key: "change", label: "p95 against before", help: "p95 of this window over p95 of the window before: 2.0 is twice as long.", number: true, value: (row) => factor(row), cell: (row) => <Change row={row} /> }]
    : [];
  const nanos = (key: "p50" | "p90" | "p95" | "p99" | "max", help: string): Column<Compared> => ({
    key, label: key, help, number: true, value: (row) => row[key], cell: (row) => <Duration nanos={row[key]} />,
  });
  return [
    serviceColumn("service", "Root service", (row) => row.service),
    textColumn("name", "Root operation", (row) => row.name),
    countColumn("traces", "Traces", (row) => row.traces),
    errorColumn("Share of traces whose root failed.", (row) => row.traces),
    nanos("p50", `Half of the traces took at most this long.${how}`),
    nanos("p90", `90 % took at most this long.${how}`),
    nanos("p95", `95 % took at most this long.${how}`),
    nanos("p99", `99 % took at most this long.${how}`),
    nanos("max", "The slowest."),
    ...change,
    { key: "open", label: "", cell: (row) => <SlowLink row={row} /> },
  ];
}

/** How many times as long the 95th percentile is; null where the operation was not there before. */
function factor(row: Compared): number | null {
  return row.p95 !== null && row.before?.p95 ? row.p95 / row.before.p95 : null;
}

function Change(props: { row: Compared }): preact.JSX.Element {
  const value = factor(props.row);
  if (value === null) return <span class="quiet" title="No trace of this operation in the window before.">new</span>;
  const title = `p95 was ${duration(props.row.before?.p95)}, ${grouped(props.row.before?.traces ?? 0)} traces`;
  const big = value >= 1.5 || value <= 1 / 1.5;
  return <span title={title} class={big ? "" : "quiet"}>{big && (value > 1 ? "▲ " : "▼ ")}{significant(value)}×</span>;
}

function SlowLink(props: { row: Operation }): preact.JSX.Element {
  const { href } = useApp();
  const { service, name } = props.row;
  return (
    <>
      <Link to={href("traces", { root_service: service, root_name: name, order: "slowest" })}>Slowest</Link>{" "}
      <Link to={href("compare", slowParams(service, name))} title="What do the slow ones have in common?">Why?</Link>
    </>
  );
}

interface Window {
  operations: Operation[];
  buckets: RootBucket[];
  notes: Record<string, unknown>;
}

async function askWindow(range: Range, exact: boolean, signal: AbortSignal): Promise<Window> {
  const [table, histogram] = await Promise.all([getRows(apiPath("latency", { ...rangeQuery(range), exact: exact ? "true" : null }), signal), getRows(apiPath("latency/histogram", rangeQuery(range)), signal)]);
  return { operations: table.rows.map(readOperation), buckets: histogram.rows.map(readBucket), notes: table.notes };
}

export function LatencyPage(): preact.JSX.Element {
  const { place, range, set } = useApp();
  const service = place.params["root_service"] ?? "";
  const name = place.params["root_name"] ?? "";
  const exact = place.params["exact"] === "1";
  const { data, error, loading } = useAsk(JSON.stringify(["latency", exact, rangeKey(place.params)]), (signal) => askWindow(range, exact, signal));
  const earlier = place.params["before"] === "off" ? null : rangeBefore(range);
  const before = useAsk(earlier ? JSON.stringify(["latency before", exact, rangeKey(place.params)]) : null, (signal) => askWindow(earlier ?? range, exact, signal)).data;
  if (error) return <ErrorBox error={error} what="Latency" />;
  if (!data && loading) return <><Waiting height={44} /><Waiting height={266} /><Waiting height={240} /><Waiting rows={8} /></>;
  if (!data || data.operations.length === 0) return <NoSpans what="traces" />;
  const chosen = service !== "" || name !== "";
  const match = (row: { service: string; name: string }): boolean => !chosen || (row.service === service && row.name === name);
  const rows = data.operations.map((row): Compared => ({ ...row, before: before?.operations.find((one) => one.service === row.service && one.name === row.name) ?? null }));
  const statement = `SELECT * FROM latency${rangeArguments(range, exact ? "exact" : undefined)}\nORDER BY traces DESC`;
  const filters: Filters = chosen ? { root_service: service, root_name: name } : {};
  return (
    <>
      <Headline operations={data.operations.filter(match)} buckets={data.buckets.filter(match)} before={before ? before.buckets.filter(match) : null} notes={data.notes} chosen={chosen} onClear={() => set({ root_service: null, root_name: null })} />
      <OverTime filters={filters} />
      <Spread buckets={data.buckets.filter(match)} before={before?.buckets.filter(match) ?? []} filters={filters} />
      <section class="section">
        <div class="section-head">
          <h2>Root operations</h2>
          <span class="quiet">Click a row to see only its traces above; drag above to compare or open traces</span>
          <label class="field check push"><input type="checkbox" checked={exact} onChange={() => set({ exact: exact ? null : "1" }, true)} />Exact quantiles</label>
        </div>
        <Table
          name="latency"
          rows={rows}
          columns={columns(before !== null, exact)}
          sort="-traces"
          rowKey={(row) => `${row.service}\n${row.name}`}
          selected={(row) => chosen && match(row)}
          onOpen={(row) => set(chosen && match(row) ? { root_service: null, root_name: null } : { root_service: row.service, root_name: row.name })}
        />
        <SameQuestion path={apiPath("latency", { ...rangeQuery(range), exact: exact ? "true" : null })} statement={statement} />
      </section>
    </>
  );
}

type Filters = Record<string, string>;

/** Every trace of the range by start and duration, with the quantiles as lines; the window before beside it where asked for. */
function OverTime(props: { filters: Filters }): preact.JSX.Element {
  const { place, range, open, set } = useApp();
  const { filters } = props;
  const key = JSON.stringify(["latency heat", rangeKey(place.params), filters]);
  const [box, setBox] = useState<Box | null>(null);
  useEffect(() => setBox(null), [key]);
  const earlier = rangeBefore(range);
  const isPair = place.params["side"] === "1" && earlier !== null;
  const { data, error, loading } = useAsk(key, (signal) => askLatency(range, filters, conditionsOf(filters, range), signal));
  const before = useAsk(isPair ? `${key} before` : null, (signal) => askLatency(earlier ?? range, filters, conditionsOf(filters, earlier ?? range), signal));
  if (error) return <ErrorBox error={error} what="The picture" />;
  if (!data) return loading ? <Waiting height={266} /> : <p class="quiet">No traces.</p>;
  const example = (id: string): void => open("trace", {}, id);
  return (
    <>
      {earlier && <label class="field check"><input type="checkbox" name="side" checked={isPair} onChange={() => set({ side: isPair ? null : "1" }, true)} />The window before beside it, on the same scales</label>}
      <div class={isPair ? "picture-pair" : ""}>
        {isPair && (
          <figure data-part="before">
            <figcaption class="quiet">Before, from {localTime(earlier.from ?? 0, 0)}</figcaption>
            {before.error && <ErrorBox error={before.error} what="The picture of the window before" />}
            {before.loading && !before.data && <Waiting height={266} />}
            {!before.loading && !before.error && !before.data?.cells.length && <p class="quiet">There were no traces in the window before.</p>}
            {before.data && before.data.cells.length > 0 && <Heatmap heat={before.data} beside={data} height={240} label="Drag a box to open its traces" onSelect={(chosen) => open("traces", { ...filters, ...boxParams(chosen), order: "slowest" })} onExample={example} />}
          </figure>
        )}
        <figure class="picture" data-part="now">
          {isPair && <figcaption class="quiet">Now, from {localTime(range.from ?? 0, 0)}</figcaption>}
          <Heatmap heat={data} beside={isPair ? before.data : null} box={box} height={240} label="Drag a box: what do its traces have in common?" onSelect={setBox} onExample={example} />
          {box && <BrushMenu box={box} filters={filters} onOnly={() => open("traces", { ...filters, ...boxParams(box), order: "slowest" })} onClose={() => setBox(null)} />}
        </figure>
      </div>
    </>
  );
}

/** Buckets a doubling: as fine as the histogram's bins. */
const FAILED_PER_DOUBLING = 16;

/** Durations of the traces whose root failed: what the view counts as errors, here and in the picture above. */
async function askFailed(conditions: readonly string[], range: Range, signal: AbortSignal): Promise<Bucket[]> {
  const answer = await sql(
    `SELECT CAST(floor(log2(greatest(duration_nano, 1)) * ${FAILED_PER_DOUBLING}) AS BIGINT) AS bin, count(*) AS traces
FROM traces${rangeArguments(range)}
WHERE ${[...conditions, "root_error"].join(" AND ")}
GROUP BY bin ORDER BY bin`,
    signal,
  );
  return answer.rows.map((row) => {
    const bin = numberOrZero(row["bin"]);
    return { low: 2 ** (bin / FAILED_PER_DOUBLING), high: 2 ** ((bin + 1) / FAILED_PER_DOUBLING), count: numberOrZero(row["traces"]) };
  });
}

/** The histogram, with failed traces at its foot and the window before as an outline. */
function Spread(props: { buckets: Bucket[]; before: Bucket[]; filters: Filters }): preact.JSX.Element {
  const { open, place, set, range } = useApp();
  const conditions = conditionsOf(props.filters, range);
  const failed = useAsk(JSON.stringify(["latency failed", rangeKey(place.params), props.filters]), (signal) => askFailed(conditions, range, signal)).data;
  const shown = place.params["before"] !== "off";
  return (
    <section class="section">
      <div class="section-head">
        <h2>End to end</h2>
        {rangeBefore(range) && (
          <label class="field check"><input type="checkbox" checked={shown} onChange={() => set({ before: shown ? "off" : null }, true)} />Outline: the window before, as if it had as many traces</label>
        )}
        {shown && rangeBefore(range) && props.before.length === 0 && <span class="quiet">no traces there</span>}
      </div>
      <Histogram
        buckets={props.buckets}
        before={props.before}
        failed={failed ?? []}
        failedWords={FAILED_ROOT}
        noun="traces"
        onSelect={(low, high) => open("traces", { ...props.filters, min_duration: `${Math.floor(low)}ns`, max_duration: `${Math.ceil(high)}ns`, order: "slowest" })}
      />
    </section>
  );
}

interface HeadlineProps {
  operations: Operation[];
  buckets: Bucket[];
  before: Bucket[] | null;
  notes: Record<string, unknown>;
  chosen: boolean;
  onClear: () => void;
}

function Headline(props: HeadlineProps): preact.JSX.Element {
  const { operations, buckets } = props;
  const total = operations.reduce((sum, row) => sum + row.traces, 0);
  const errors = operations.reduce((sum, row) => sum + row.errors, 0);
  const only = operations.length === 1 ? operations[0] : undefined;
  const value = (key: "p50" | "p95" | "p99", share: number): number | null => (only ? only[key] : quantile(buckets, share));
  const longest = operations.reduce<number | null>((most, row) => (row.max === null ? most : Math.max(most ?? 0, row.max)), null);
  return (
    <div class="figures">
      <Figure label="Traces" name="traces" title={grouped(total)}>{count(total)}</Figure>
      <Figure label="Errors" name="errors" help="Traces whose root failed."><Errors errors={errors} of={total} /></Figure>
      {([["p50", 0.5], ["p95", 0.95], ["p99", 0.99]] as const).map(([key, share]) => (
        <Figure key={key} label={key} help="End to end, over the traces shown, within 1 %."><Duration nanos={value(key, share)} />{props.before && props.before.length > 0 && <small title="In the window before, within 1 %."> was {duration(quantile(props.before, share))}</small>}</Figure>
      ))}
      <Figure label="Slowest" name="max"><Duration nanos={longest} /></Figure>
      <Notes notes={props.notes} />
      {props.chosen && <button type="button" class="button" onClick={props.onClear}>All root operations</button>}
    </div>
  );
}
