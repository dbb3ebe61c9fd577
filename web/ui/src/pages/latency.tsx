// Latency: how long traces took end to end, as a histogram and by root operation.
import { apiPath, getRows, type Row } from "../api.ts";
import { numberOf, numberOrZero } from "../exact.ts";
import { Duration, Errors, Figure, Notes, SameQuestion, Service, Link } from "../parts/bits.tsx";
import { Histogram } from "../parts/histogram.tsx";
import { ErrorBox, NoSpans, Waiting } from "../parts/states.tsx";
import { Table, type Column } from "../parts/table.tsx";
import { quantile, type Bucket } from "../quantile.ts";
import { rangeArguments, rangeKey, rangeQuery } from "../rangequery.ts";
import { useApp, useAsk } from "../state.tsx";
import { count, grouped } from "../units.ts";

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

function columns(): Column<Operation>[] {
  const nanos = (key: "p50" | "p90" | "p95" | "p99" | "max", help: string): Column<Operation> => ({
    key, label: key, help, number: true, value: (row) => row[key], cell: (row) => <Duration nanos={row[key]} />,
  });
  return [
    { key: "service", label: "Root service", value: (row) => row.service, cell: (row) => <Service name={row.service} /> },
    { key: "name", label: "Root operation", value: (row) => row.name, cell: (row) => row.name, title: (row) => row.name },
    { key: "traces", label: "Traces", number: true, value: (row) => row.traces, cell: (row) => count(row.traces), title: (row) => grouped(row.traces) },
    { key: "errors", label: "Errors", help: "Share of traces whose root failed or that hold a failed span, as the view counts them.", number: true, value: (row) => row.errors / Math.max(1, row.traces), cell: (row) => <Errors errors={row.errors} of={row.traces} /> },
    nanos("p50", "Half of the traces took at most this long."),
    nanos("p90", "90 % took at most this long."),
    nanos("p95", "95 % took at most this long."),
    nanos("p99", "99 % took at most this long."),
    nanos("max", "The slowest."),
    { key: "open", label: "", cell: (row) => <SlowLink row={row} /> },
  ];
}

function SlowLink(props: { row: Operation }): preact.JSX.Element {
  const { href } = useApp();
  return <Link to={href("traces", { root_service: props.row.service, root_name: props.row.name, order: "slowest" })}>Slowest</Link>;
}

export function LatencyPage(): preact.JSX.Element {
  const { place, range, set, open } = useApp();
  const service = place.params["root_service"] ?? "";
  const name = place.params["root_name"] ?? "";
  const key = JSON.stringify(["latency", rangeKey(place.params)]);
  const path = apiPath("latency", rangeQuery(range));
  const { data, error, loading } = useAsk(key, async (signal) => {
    const [table, histogram] = await Promise.all([getRows(path, signal), getRows(apiPath("latency/histogram", rangeQuery(range)), signal)]);
    return { operations: table.rows.map(readOperation), buckets: histogram.rows.map(readBucket), notes: table.notes };
  });
  if (error) return <ErrorBox error={error} what="Latency" />;
  if (!data && loading) return <><Waiting height={44} /><Waiting height={240} /><Waiting rows={8} /></>;
  if (!data || data.operations.length === 0) return <NoSpans what="traces" />;
  const chosen = service !== "" || name !== "";
  const match = (row: { service: string; name: string }): boolean => row.service === service && row.name === name;
  const operations = chosen ? data.operations.filter(match) : data.operations;
  const buckets = chosen ? data.buckets.filter(match) : data.buckets;
  const statement = `SELECT * FROM latency${rangeArguments(range)}\nORDER BY traces DESC`;
  return (
    <>
      <Headline operations={operations} buckets={buckets} notes={data.notes} chosen={chosen} onClear={() => set({ root_service: null, root_name: null })} />
      <Histogram
        buckets={buckets}
        noun="traces"
        onSelect={(low, high) => open("traces", { ...(chosen ? { root_service: service, root_name: name } : {}), min_duration: `${Math.floor(low)}ns`, max_duration: `${Math.ceil(high)}ns`, order: "slowest" })}
      />
      <section class="section">
        <div class="section-head">
          <h2>Root operations</h2>
          <span class="quiet">Click a row to see its histogram; drag in the histogram to see its traces</span>
        </div>
        <Table
          name="latency"
          rows={data.operations}
          columns={columns()}
          sort="-traces"
          rowKey={(row) => `${row.service}\n${row.name}`}
          selected={(row) => chosen && match(row)}
          onOpen={(row) => set(chosen && match(row) ? { root_service: null, root_name: null } : { root_service: row.service, root_name: row.name })}
        />
        <SameQuestion path={path} statement={statement} />
      </section>
    </>
  );
}

interface HeadlineProps {
  operations: Operation[];
  buckets: Bucket[];
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
      <Figure label="Errors" name="errors"><Errors errors={errors} of={total} /></Figure>
      {([["p50", 0.5], ["p95", 0.95], ["p99", 0.99]] as const).map(([key, share]) => (
        <Figure key={key} label={key} help="End to end, over the traces shown, within 1 %."><Duration nanos={value(key, share)} /></Figure>
      ))}
      <Figure label="Slowest" name="max"><Duration nanos={longest} /></Figure>
      <Notes notes={props.notes} />
      {props.chosen && <button type="button" class="button" onClick={props.onClear}>All root operations</button>}
    </div>
  );
}
