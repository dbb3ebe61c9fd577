// The lower half of the overview: what changed against the window before, and how the store is.
import { Fragment } from "preact";
import { sql, type Row } from "../../api.ts";
import { findChanges, type Change, type Operation } from "../../changes.ts";
import { numberOf, numberOrZero } from "../../exact.ts";
import { Figure, Link, Service } from "../../parts/bits.tsx";
import { ErrorBox, Waiting } from "../../parts/states.tsx";
import { isRelative, rangeBefore, type Range } from "../../range.ts";
import { useApp, useAsk } from "../../state.tsx";
import { useStatus, type Status } from "../../status.ts";
import { bytes, count, duration, grouped, percent, rate, significant } from "../../units.ts";
import { ENTRY, rangeCondition } from "../overview.tsx";

const MOST_CHANGES = 8;

function operationsStatement(range: Range): string {
  return `SELECT service, name, count(*) AS requests, sum(CASE WHEN status = 'ERROR' THEN 1 ELSE 0 END) AS errors, quantile(duration_nano, 0.95) AS p95_nano
FROM spans WHERE ${rangeCondition(range)}${ENTRY}
GROUP BY service, name ORDER BY requests DESC LIMIT 2000`;
}

function readOperation(row: Row): Operation {
  return { service: String(row["service"] ?? ""), name: String(row["name"] ?? ""), requests: numberOrZero(row["requests"]), errors: numberOrZero(row["errors"]), p95: numberOf(row["p95_nano"]) };
}

interface Windows {
  changes: Change[];
  /** Requests in the window before. */
  before: number;
}

async function askChanges(range: Range, before: Range, signal: AbortSignal): Promise<Windows> {
  const [now, then] = await Promise.all([sql(operationsStatement(range), signal), sql(operationsStatement(before), signal)]);
  const earlier = then.rows.map(readOperation);
  return { changes: earlier.length === 0 ? [] : findChanges(now.rows.map(readOperation), earlier, MOST_CHANGES), before: earlier.reduce((sum, one) => sum + one.requests, 0) };
}

export function Changes(): preact.JSX.Element | null {
  const { range, place, href } = useApp();
  const before = rangeBefore(range);
  const { data, error } = useAsk(before ? JSON.stringify(["changes", place.params["from"], place.params["to"]]) : null, (signal) => askChanges(range, before ?? range, signal));
  if (!before) return null;
  return (
    <section class="section" data-part="changes">
      <div class="section-head">
        <h2>Changed against the window before</h2>
        <span class="quiet">beyond what chance explains; first what got worse</span>
        {data && data.changes.length > 0 && <Link to={href("compare", { by: "before" })} title="What do the traces of this window have that those before had not?">What is different?</Link>}
      </div>
      {error && <ErrorBox error={error} what="The comparison" />}
      {!data && !error && <Waiting height={56} />}
      {data && data.before === 0 && <p class="quiet">There were no requests in the {duration(((range.to ?? 0) - (range.from ?? 0)) * 1e6)} before. <Shorter /></p>}
      {data && data.before > 0 && data.changes.length === 0 && <p class="quiet">Nothing stands out among {count(data.before)} requests then and those now. <Shorter /></p>}
      {data && data.changes.length > 0 && <ul class="changes">{data.changes.map((change) => <Line key={`${change.kind} ${change.now.service} ${change.now.name}`} change={change} />)}</ul>}
    </section>
  );
}

/** Windows in which trouble of minutes does not drown. */
const SHORTER = ["-5m", "-15m"];

/** What began a few minutes ago cannot be seen against hours of history, nor where there is none: leads to windows that show it. */
function Shorter(): preact.JSX.Element | null {
  const { range, rangeText, href } = useApp();
  const millis = (range.to ?? 0) - (range.from ?? 0);
  const offers = isRelative(rangeText) ? SHORTER.filter((from) => Number.parseInt(from.slice(1), 10) * 60_000 < millis) : [];
  if (offers.length === 0) return null;
  return <>Trouble of minutes shows in a short window: compare {offers.map((from, index) => <Fragment key={from}>{index > 0 && ", or "}<Link to={href("overview", { from, to: "now" })}>the last {from.slice(1, -1)} min with those before</Link></Fragment>)}.</>;
}

function Line(props: { change: Change }): preact.JSX.Element {
  const { change } = props;
  const { href } = useApp();
  const { service, name } = change.now;
  const more: Record<string, string> = change.kind === "errors" ? { status: "error" } : change.kind === "slower" ? { order: "slowest" } : {};
  return (
    <li data-change={change.kind}>
      <Link to={href("traces", { service, name, ...more })} title="Open its traces">
        <Service name={service} /> <span>{name}</span>
      </Link>{" "}
      <ChangeWords change={change} />
    </li>
  );
}

function ChangeWords(props: { change: Change }): preact.JSX.Element {
  const { kind, now, before } = props.change;
  const size = <span class="quiet">{count(now.requests)} requests</span>;
  switch (kind) {
    case "errors":
      return <span><span class="error-text" title={`${grouped(now.errors)} of ${grouped(now.requests)}`}><span class="mark-error" aria-hidden="true" />{percent(now.errors / now.requests)} fail</span>, were {percent(before.errors / Math.max(1, before.requests))} {size}</span>;
    case "slower":
    case "faster":
      return <span>p95 {duration(now.p95)}, was {duration(before.p95)}: {kind === "slower" ? "▲" : "▼"} {significant((now.p95 ?? 0) / (before.p95 ?? 1))}× {size}</span>;
    case "new":
      return <span>is new {size}</span>;
    case "gone":
      return <span>has stopped; had <span class="quiet">{count(before.requests)} requests</span></span>;
    case "more":
    case "fewer":
      return <span>{count(now.requests)} requests, were {count(before.requests)}</span>;
  }
}

/** Why spans are refused, and what a sender or an operator does about it. */
const REFUSALS: Record<string, string> = {
  in_flight: "The server handled as many bytes as it may at once; senders try again.",
  tenant_in_flight: "This tenant's requests held as many bytes as they may at once; senders try again.",
  spans_rate: "More spans a second than ingest.spans_per_second_max; senders try again.",
  bytes_rate: "More bytes a second than ingest.bytes_per_second_max; senders try again.",
  memory_full: "Spans came faster than files are written; senders try again.",
  log_full: "The log holds as much as it may until files are written; senders try again.",
  disk_full: "The disk is nearly full: free some space.",
  table_full: "The table is as large as ingest.table_bytes_max: shorten the TTL or drop days.",
  storage: "The log could not be written: see the server's own log.",
  interrupted: "The connection or the server ended within a request; senders try again.",
  stalled: "A sender paused too long within a request.",
  too_large: "A request was larger than the limit: lower the exporter's batch size.",
  too_old: "The span is older than the retention rule keeps.",
  in_the_future: "The sender's clock is ahead of this one's.",
  malformed: "The request could not be read as spans.",
  content_type: "The content type is none of those taken: see the exporter's protocol setting.",
  content_encoding: "The compression is none of those taken: gzip, zstd, deflate.",
};

export function StoreState(): preact.JSX.Element | null {
  const { data } = useStatus();
  const { href } = useApp();
  if (!data) return null;
  const refused = data.refused.reduce((sum, [, spans]) => sum + spans, 0);
  return (
    <section class="section" data-part="store">
      <div class="section-head">
        <h2>Ingest and storage</h2>
        {!data.ready && <span class="error-text"><span class="mark-error" aria-hidden="true" />{data.reason || "not ready"}</span>}
        <Link to={href("storage")}>Storage</Link>
      </div>
      <div class="figures small">
        <Figure label="Receiving" name="receiving" help="Spans per second over the last 15 s."><Receiving status={data} /></Figure>
        <Figure label="Received" name="received" help="Spans since the server started.">{count(data.spans)}</Figure>
        <Figure label="Refused" name="refused" help="Spans refused since the server started.">{refused > 0 ? <span class="error-text"><span class="mark-error" aria-hidden="true" />{count(refused)}</span> : "0"}</Figure>
        <Figure label="In files" name="stored">{count(data.rows)}</Figure>
        <Figure label="Not yet in a file" name="waiting" help="Durable in the write-ahead log, and found by every query.">{count(data.hotRows)}</Figure>
        <Figure label="Size" name="size">{bytes(data.bytes)} <small>in {count(data.files)} files</small></Figure>
        <Figure label="Write-ahead log" name="wal">{bytes(data.walBytes)}</Figure>
      </div>
      {data.refused.length > 0 && (
        <ul class="changes">
          {data.refused.map(([reason, spans]) => (
            <li key={reason}><span class="error-text"><span class="mark-error" aria-hidden="true" />{grouped(spans)}</span> {reason.replaceAll("_", " ")}: <span class="quiet">{REFUSALS[reason] ?? "The span breaks the rules of OTLP; the sender was told which."}</span></li>
          ))}
        </ul>
      )}
    </section>
  );
}

function Receiving(props: { status: Status }): preact.JSX.Element {
  const { spansPerSecond } = props.status;
  return spansPerSecond === null ? <span title="The server has been asked for less than 15 s.">–</span> : <>{rate(spansPerSecond)}</>;
}
