// Overview: every service that was asked something, how often, how well, how fast; and how the store is.
import { apiPath, getRows, sql, type Row } from "../api.ts";
import { Changes, StoreState } from "./overview/sections.tsx";
import { Duration, Figure, SameQuestion } from "../parts/bits.tsx";
import { Bytes, measured } from "../parts/bytes.tsx";
import { Sparkline, TimeBars, type TimeBar } from "../parts/chart.tsx";
import { countColumn, errorColumn, serviceColumn } from "../parts/columns.tsx";
import { ErrorBox, NoSpans, Waiting } from "../parts/states.tsx";
import { Table, type Column } from "../parts/table.tsx";
import { numberOf, numberOrZero } from "../exact.ts";
import { millisToNanoText } from "../instant.ts";
import { absoluteRange, bucketSeconds, type Range } from "../range.ts";
import { rangeQuery } from "../rangequery.ts";
import { useApp, useAsk } from "../state.tsx";
import { count, duration, grouped, percent, rate, ratio } from "../units.ts";

/** A request: a span by which a service was entered. */
export const ENTRY = "(kind IN ('SERVER', 'CONSUMER') OR parent_span_id IS NULL)";

interface Figures {
  requests: number;
  errors: number;
  estimated: number;
  /** Of the estimate: 0 where nothing was sampled. */
  standardError: number;
  p50: number | null;
  p95: number | null;
  p99: number | null;
}

interface ServiceRow extends Figures {
  service: string;
  values: number[];
  failed: number[];
}

interface Overview extends Figures {
  services: ServiceRow[];
  bars: TimeBar[];
  from: number;
  to: number;
  step: number;
}

export function rangeCondition(range: Range): string {
  const parts = [];
  if (range.from !== null) parts.push(`start_time_unix_nano >= ${millisToNanoText(range.from)}`);
  if (range.to !== null) parts.push(`start_time_unix_nano < ${millisToNanoText(range.to)}`);
  return parts.length === 0 ? "" : `${parts.join(" AND ")} AND `;
}

const FIGURES = `count(*) AS requests, sum(CASE WHEN status = 'ERROR' THEN 1 ELSE 0 END) AS errors,
  sum(weight) AS estimated, sqrt(sum(weight * (weight - 1))) AS estimated_error, quantile(duration_nano, 0.5) AS p50_nano,
  quantile(duration_nano, 0.95) AS p95_nano, quantile(duration_nano, 0.99) AS p99_nano`;

function servicesStatement(range: Range): string {
  return `SELECT service, ${FIGURES}
FROM spans WHERE ${rangeCondition(range)}${ENTRY}
GROUP BY service ORDER BY requests DESC`;
}

function totalStatement(range: Range): string {
  return `SELECT ${FIGURES} FROM spans WHERE ${rangeCondition(range)}${ENTRY}`;
}

function minutesStatement(range: Range, seconds: number): string {
  return `SELECT service, start_time_unix_nano / ${seconds}000000000 AS slot, count(*) AS requests,
  sum(CASE WHEN status = 'ERROR' THEN 1 ELSE 0 END) AS errors
FROM spans WHERE ${rangeCondition(range)}${ENTRY}
GROUP BY service, slot`;
}

async function bounds(range: Range, signal: AbortSignal): Promise<{ from: number; to: number } | null> {
  if (range.from !== null && range.to !== null) return { from: range.from, to: range.to };
  const condition = rangeCondition(range).replace(/ AND $/, "");
  const where = condition === "" ? "" : ` WHERE ${condition}`;
  const answer = await sql(`SELECT min(start_time_unix_nano) AS first, max(start_time_unix_nano) AS last FROM spans${where}`, signal);
  const first = numberOf(answer.rows[0]?.["first"]);
  const last = numberOf(answer.rows[0]?.["last"]);
  if (first === null || last === null) return null;
  return { from: range.from ?? first / 1e6, to: range.to ?? last / 1e6 + 1 };
}

async function load(range: Range, signal: AbortSignal): Promise<Overview | null> {
  const ends = await bounds(range, signal);
  if (!ends) return null;
  const seconds = bucketSeconds(ends, 90);
  const [services, minutes, total] = await Promise.all([
    sql(servicesStatement(range), signal),
    sql(minutesStatement(range, seconds), signal),
    sql(totalStatement(range), signal),
  ]);
  return collect(services.rows, minutes.rows, total.rows[0] ?? {}, { ...ends, seconds });
}

function collect(services: Row[], minutes: Row[], total: Row, ends: { from: number; to: number; seconds: number }): Overview {
  const step = ends.seconds * 1000;
  const firstSlot = Math.floor(ends.from / step);
  const slots = Math.max(1, Math.ceil(ends.to / step) - firstSlot);
  const rows = new Map<string, ServiceRow>();
  const zeros = (): number[] => new Array<number>(slots).fill(0);
  for (const row of services) {
    const name = String(row["service"]);
    rows.set(name, { service: name, ...figures(row), values: zeros(), failed: zeros() });
  }
  const bars: TimeBar[] = Array.from({ length: slots }, (_, index) => ({ at: (firstSlot + index) * step, value: 0, errors: 0 }));
  for (const row of minutes) addSlot(rows.get(String(row["service"])), row, bars, firstSlot);
  return { services: [...rows.values()], bars, from: firstSlot * step, to: (firstSlot + slots) * step, step, ...figures(total) };
}

function figures(row: Row): Figures {
  return {
    requests: numberOrZero(row["requests"]),
    errors: numberOrZero(row["errors"]),
    estimated: numberOrZero(row["estimated"]),
    standardError: numberOrZero(row["estimated_error"]),
    p50: numberOf(row["p50_nano"]),
    p95: numberOf(row["p95_nano"]),
    p99: numberOf(row["p99_nano"]),
  };
}

function addSlot(into: ServiceRow | undefined, row: Row, bars: TimeBar[], firstSlot: number): void {
  const index = numberOrZero(row["slot"]) - firstSlot;
  const bar = bars[index];
  if (!bar) return;
  const requests = numberOrZero(row["requests"]);
  const errors = numberOrZero(row["errors"]);
  bar.value += requests;
  bar.errors += errors;
  if (!into) return;
  into.values[index] = (into.values[index] ?? 0) + requests;
  into.failed[index] = (into.failed[index] ?? 0) + errors;
}

const RATE = "Requests per second over the range. A request is a span by which a service is entered: kind SERVER or CONSUMER, or without a parent.";
const QUANTILE = (share: string): string => `${share} of the requests took at most this long: nearest rank, exact.`;

/** Bytes of bodies that a service moved, as the view `network` sums them. */
interface Moved {
  in: number | null;
  out: number | null;
  coverage: number | null;
}

async function askMoved(range: Range, signal: AbortSignal): Promise<ReadonlyMap<string, Moved>> {
  const { rows } = await getRows(apiPath("network", rangeQuery(range)), signal);
  return new Map(rows.map((row): [string, Moved] => [String(row["service"]), { in: numberOf(row["bytes_in"]), out: numberOf(row["bytes_out"]), coverage: numberOf(row["coverage"]) }]));
}

const NOTHING: Moved = { in: null, out: null, coverage: null };

/** `moved` is null until it has been asked for: the rest of the page does not wait for it. */
function movedColumns(moved: ReadonlyMap<string, Moved> | null): Column<ServiceRow>[] {
  const part = (key: "in" | "out", label: string, help: string): Column<ServiceRow> => {
    const of = (row: ServiceRow): Moved => moved?.get(row.service) ?? NOTHING;
    return { key: `bytes-${key}`, label, help, number: true, value: (row) => measured(of(row)[key], of(row).coverage), cell: (row) => moved && <Bytes value={of(row)[key]} coverage={of(row).coverage} /> };
  };
  return [part("in", "In", "Bytes of bodies that came in: requests that it served, responses that it got."), part("out", "Out", "Bytes of bodies that went out: responses that it gave, requests that it made.")];
}

function columns(seconds: number, moved: ReadonlyMap<string, Moved> | null): Column<ServiceRow>[] {
  const nanos = (key: "p50" | "p95" | "p99", share: string): Column<ServiceRow> => ({
    key, label: key, help: QUANTILE(share), number: true, value: (row) => row[key], cell: (row) => <Duration nanos={row[key]} />,
  });
  return [
    serviceColumn("service", "Service", (row) => row.service, { link: true }),
    countColumn("requests", "Requests", (row) => row.requests, "Requests in the range, as stored."),
    {
      key: "rate", label: "Rate", help: RATE, number: true, value: (row) => row.estimated,
      cell: (row) => <>{sampled(row) && "≈ "}{rate(row.estimated / seconds)}</>,
      title: (row) => rateWords(row, seconds),
    },
    errorColumn("Share of requests with status ERROR.", (row) => row.requests),
    nanos("p50", "Half"),
    nanos("p95", "95 %"),
    nanos("p99", "99 %"),
    ...movedColumns(moved),
    { key: "trend", label: "Requests over the range", cell: (row) => <Sparkline values={row.values} errors={row.failed} title={`${row.service}: requests over the range, ticks where some failed`} /> },
  ];
}

function sampled(row: { requests: number; estimated: number }): boolean {
  return Math.abs(row.estimated - row.requests) > 0.5;
}

function rateWords(row: Figures, seconds: number): string {
  if (!sampled(row)) return `${grouped(row.requests)} in ${duration(seconds * 1e9)}`;
  return `Estimated from ${grouped(row.requests)} sampled requests, each counted 1 / its probability; standard error ${rate(row.standardError / seconds)}`;
}

export function OverviewPage(): preact.JSX.Element {
  const { range, setRange, place } = useApp();
  const key = JSON.stringify(["overview", place.params["from"], place.params["to"]]);
  const { data, error, loading } = useAsk(key, (signal) => load(range, signal));
  const moved = useAsk(`${key} bytes`, (signal) => askMoved(range, signal)).data;
  if (error) return <ErrorBox error={error} what="The overview" />;
  if (!data && loading) return <><Waiting height={44} /><Waiting height={120} /><Waiting rows={10} /></>;
  if (!data || data.requests === 0) return <><NoSpans what="spans" /><StoreState /></>;
  const seconds = Math.max(1, ((range.to ?? data.to) - (range.from ?? data.from)) / 1000);
  return (
    <>
      <Headline data={data} seconds={seconds} />
      <TimeBars bars={data.bars} from={data.from} to={data.to} step={data.step} noun="requests" onSelect={(from, to) => setRange(absoluteRange(from, to))} />
      <Changes />
      <section class="section">
        <div class="section-head">
          <h2>Services</h2>
          <span class="quiet">{data.services.length}</span>
        </div>
        <Table name="services" rows={data.services} columns={columns(seconds, moved)} sort="-requests" rowKey={(row) => row.service} />
        <SameQuestion statement={servicesStatement(range)} />
      </section>
      <StoreState />
    </>
  );
}

function Headline(props: { data: Overview; seconds: number }): preact.JSX.Element {
  const { data, seconds } = props;
  const failing = data.services.filter((row) => row.errors > 0).length;
  return (
    <div class="figures">
      <Figure label="Requests" name="requests" help={RATE} title={grouped(data.requests)}>{count(data.requests)}</Figure>
      <Figure label="Rate" name="rate" title={rateWords(data, seconds)}>{sampled(data) && "≈ "}{rate(data.estimated / seconds)}</Figure>
      <Figure label="Errors" name="errors" title={`${grouped(data.errors)} requests`}>
        {data.errors > 0 ? <span class="error-text"><span class="mark-error" aria-hidden="true" />{percent(ratio(data.errors, data.requests))}</span> : "0"}
        {failing > 0 && <small> in {failing} of {data.services.length} services</small>}
      </Figure>
      {(["p50", "p95", "p99"] as const).map((label) => (
        <Figure key={label} label={label} help="Over the requests of all services: nearest rank, exact."><Duration nanos={data[label]} /></Figure>
      ))}
    </div>
  );
}

