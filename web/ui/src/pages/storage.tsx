// Storage: dates of the table, when they expire, what a rule would remove, and what was removed.
import { useState } from "preact/hooks";
import { apiPath, getJson, getRows, type Row } from "../api.ts";
import { numberOf, numberOrZero } from "../exact.ts";
import { localTime, parseInstant, toMillis, utcText } from "../instant.ts";
import { Badge, Figure, Link } from "../parts/bits.tsx";
import { AdminDialog } from "../parts/admin.tsx";
import { Empty, ErrorBox, Waiting } from "../parts/states.tsx";
import { Table, type Column } from "../parts/table.tsx";
import { useApp, useAsk } from "../state.tsx";
import { useStatus } from "../status.ts";
import { bytes, count, duration, grouped, plural } from "../units.ts";

interface Partition {
  date: string;
  rows: number;
  files: number;
  bytes: number;
  hot: number;
  expires: number | null;
}

interface Loss {
  dates: string[];
  rows: number;
  traces: number;
  files: number;
  bytes: number;
}

interface Receipt extends Loss {
  at: string;
  reason: string;
  version: number | null;
}

interface Rule {
  ttl: string | null;
  by_command: boolean;
}

interface Storage {
  partitions: Partition[];
  rule: Rule;
  receipts: Receipt[];
}

function readPartition(row: Row): Partition {
  const expires = parseInstant(row["expires"]);
  return {
    date: String(row["date"] ?? ""),
    rows: numberOrZero(row["rows"]),
    files: numberOrZero(row["files"]),
    bytes: numberOrZero(row["bytes"]),
    hot: numberOrZero(row["hot_rows"]),
    expires: expires ? toMillis(expires) : null,
  };
}

async function load(signal: AbortSignal): Promise<Storage> {
  const [partitions, rule, receipts] = await Promise.all([
    getRows(apiPath("partitions"), signal),
    getJson(apiPath("retention"), signal),
    getJson(apiPath("retention/receipts"), signal),
  ]);
  return { partitions: partitions.rows.map(readPartition), rule: rule as Rule, receipts: (receipts as Receipt[]).slice().reverse() };
}

export function StoragePage(): preact.JSX.Element {
  const { place, set } = useApp();
  const { data, error, loading } = useAsk("storage", load);
  const wanted = place.params["ttl"] ?? "";
  const plan = useAsk(wanted === "" ? null : `plan ${wanted}`, async (signal) => (await getJson(apiPath("retention/plan", { ttl: wanted }), signal)) as Loss);
  if (error) return <ErrorBox error={error} what="Storage" />;
  if (!data && loading) return <><Waiting height={44} /><Waiting height={130} /><Waiting rows={8} /></>;
  if (!data) return <Waiting rows={8} />;
  const goes = new Set(wanted === "" ? [] : (plan.data?.dates ?? []));
  return (
    <>
      <Headline data={data} />
      <section class="section">
        <div class="section-head"><h2>Partitions</h2><span class="quiet">one a UTC day; height is bytes</span></div>
        {data.partitions.length === 0 ? <Empty title="Nothing is stored yet"><p>Spans appear here, day by day, as soon as the first are received.</p></Empty> : <Strip partitions={data.partitions} goes={goes} />}
        {data.partitions.length > 0 && <PartitionTable partitions={data.partitions} goes={goes} />}
      </section>
      <Retention rule={data.rule} wanted={wanted} plan={plan.data} planError={plan.error} onPlan={(ttl) => set({ ttl })} />
      <Receipts receipts={data.receipts} />
    </>
  );
}

function Headline(props: { data: Storage }): preact.JSX.Element {
  const { partitions, rule } = props.data;
  const { data: status } = useStatus();
  const sum = (value: (one: Partition) => number): number => partitions.reduce((total, one) => total + value(one), 0);
  const rows = sum((one) => one.rows);
  const size = sum((one) => one.bytes);
  const [dialog, setDialog] = useState(false);
  const hot = sum((one) => one.hot);
  return (
    <div class="figures">
      <Figure label="Spans in files" name="rows" title={grouped(rows)}>{count(rows)}</Figure>
      <Figure label="Not yet in a file" name="hot" help="Spans that are durable in the write-ahead log and can be queried; the next flush writes them.">{count(hot)}</Figure>
      <Figure label="Size" name="bytes" title={`${grouped(size)} B`}>{bytes(size)}</Figure>
      <Figure label="A span" help="Bytes on disk a span.">{rows > 0 ? `${(size / rows).toFixed(1)} B` : "–"}</Figure>
      <Figure label="Files" name="files">{count(sum((one) => one.files))}</Figure>
      <Figure label="Write-ahead log">{bytes(status?.walBytes)}</Figure>
      <Figure label="Table version">{status?.tableVersion ?? "–"}</Figure>
      <Figure label="Kept for" name="ttl">{rule.ttl ?? "ever"}</Figure>
      <button type="button" class="button" onClick={() => setDialog(true)}>Flush</button>
      {dialog && (
        <AdminDialog title="Flush" action={`Write ${plural(hot, "span")} to files`} method="POST" path="flush" body={null} onClose={() => setDialog(false)}>
          <p>{hot === 0 ? "Nothing waits for a flush." : `${grouped(hot)} spans are written to files and committed now instead of at the next flush.`}</p>
        </AdminDialog>
      )}
    </div>
  );
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

function Strip(props: { partitions: Partition[]; goes: Set<string> }): preact.JSX.Element {
  const { place, set } = useApp();
  const most = Math.max(1, ...props.partitions.map((one) => one.bytes));
  const sorted = [...props.partitions].sort((a, b) => a.date.localeCompare(b.date)).slice(-400);
  return (
    <div class="strip">
      {sorted.map((one, index) => {
        const before = sorted[index - 1]?.date;
        const gap = before !== undefined && Date.parse(one.date) - Date.parse(before) > 86_400_000;
        const year = before === undefined || before.slice(0, 4) !== one.date.slice(0, 4);
        const month = index === 0 || one.date.slice(0, 7) !== sorted[index - 1]?.date.slice(0, 7);
        return (
          <button
            key={one.date}
            type="button"
            class={`strip-day ${gap ? "gap" : ""} ${props.goes.has(one.date) ? "goes" : ""} ${one.hot > 0 ? "hot" : ""}`}
            aria-pressed={place.params["date"] === one.date}
            title={`${one.date}: ${grouped(one.rows)} spans, ${bytes(one.bytes)} in ${plural(one.files, "file")}${one.hot > 0 ? `, ${grouped(one.hot)} not yet in a file` : ""}${props.goes.has(one.date) ? "; the rule would remove it" : ""}`}
            onClick={() => set({ date: place.params["date"] === one.date ? null : one.date }, true)}
          >
            <i style={{ height: `${Math.max(2, (one.bytes / most) * 76)}px` }} />
            <span>{one.date.slice(8)}</span>
            <span>{month ? MONTHS[Number(one.date.slice(5, 7)) - 1] : " "}</span>
            <span>{year ? one.date.slice(0, 4) : " "}</span>
          </button>
        );
      })}
    </div>
  );
}

function PartitionTable(props: { partitions: Partition[]; goes: Set<string> }): preact.JSX.Element {
  const { place, set } = useApp();
  const [drop, setDrop] = useState<Partition | null>(null);
  const columns: Column<Partition>[] = [
    { key: "date", label: "Date (UTC)", value: (row) => row.date, cell: (row) => <DateCell row={row} goes={props.goes.has(row.date)} /> },
    { key: "rows", label: "Spans", number: true, value: (row) => row.rows, cell: (row) => count(row.rows), title: (row) => grouped(row.rows) },
    { key: "hot", label: "Not yet in a file", number: true, value: (row) => row.hot, cell: (row) => (row.hot === 0 ? <span class="quiet">0</span> : count(row.hot)) },
    { key: "files", label: "Files", number: true, value: (row) => row.files, cell: (row) => count(row.files) },
    { key: "bytes", label: "Bytes", number: true, value: (row) => row.bytes, cell: (row) => bytes(row.bytes), title: (row) => `${grouped(row.bytes)} B` },
    { key: "each", label: "A span", number: true, value: (row) => (row.rows > 0 ? row.bytes / row.rows : null), cell: (row) => (row.rows > 0 ? `${(row.bytes / row.rows).toFixed(1)} B` : "–") },
    { key: "expires", label: "Expires", value: (row) => row.expires, cell: (row) => <Expiry at={row.expires} /> },
    { key: "drop", label: "", cell: (row) => <button type="button" class="link" onClick={() => setDrop(row)}>Drop…</button> },
  ];
  return (
    <>
      <Table name="partitions" rows={props.partitions} columns={columns} sort="-date" rowKey={(row) => row.date} selected={(row) => place.params["date"] === row.date} />
      {drop && (
        <AdminDialog title={`Drop ${drop.date}`} action={`Drop 1 partition, ${count(drop.rows + drop.hot)} spans`} danger method="POST" path="partitions/drop" body={{ dates: [drop.date] }} onClose={() => { setDrop(null); set({ date: null }, true); }}>
          <p>{grouped(drop.rows + drop.hot)} spans in {plural(drop.files, "file")} ({bytes(drop.bytes)}) leave the table in one commit. Traces that cross midnight lose the part of that day. This cannot be undone; a receipt is kept.</p>
        </AdminDialog>
      )}
    </>
  );
}

function DateCell(props: { row: Partition; goes: boolean }): preact.JSX.Element {
  const { href } = useApp();
  const from = Date.parse(`${props.row.date}T00:00:00Z`);
  return (
    <>
      <Link to={Number.isNaN(from) ? href("traces") : href("overview", { from: `${props.row.date}T00:00:00Z`, to: new Date(from + 86_400_000).toISOString() })}>{props.row.date}</Link>
      {props.goes && <Badge tone="warn" title="The planned rule would remove this partition.">would go</Badge>}
    </>
  );
}

function Expiry(props: { at: number | null }): preact.JSX.Element {
  if (props.at === null) return <span class="quiet">never</span>;
  const left = props.at - Date.now();
  return <span title={localTime(props.at, 0)}>{left <= 0 ? "at the next sweep" : `in ${duration(left * 1e6)}`}</span>;
}

interface RetentionProps {
  rule: Rule;
  wanted: string;
  plan: Loss | null;
  planError: import("../api.ts").ApiError | null;
  onPlan: (ttl: string | null) => void;
}

function Retention(props: RetentionProps): preact.JSX.Element {
  const { rule, wanted, plan } = props;
  const [text, setText] = useState(wanted || rule.ttl || "");
  const [dialog, setDialog] = useState(false);
  const submit = (event: Event): void => {
    event.preventDefault();
    props.onPlan(text.trim() === "" ? "never" : text.trim());
  };
  const ttl = wanted === "never" ? null : wanted;
  return (
    <section class="section">
      <div class="section-head">
        <h2>Retention</h2>
        <span class="quiet">
          {rule.ttl ? `Partitions leave ${rule.ttl} after their day has ended` : "Nothing expires"}, {rule.by_command ? "set by command" : "from the configuration"}
        </span>
      </div>
      <form class="filters" onSubmit={submit}>
        <label class="field narrow">Keep for<input value={text} placeholder="7d, 36h, never" spellcheck={false} onInput={(event) => setText(event.currentTarget.value)} /></label>
        <button type="submit" class="button">Plan</button>
        {wanted !== "" && plan && <button type="button" class="button primary" onClick={() => setDialog(true)}>Set…</button>}
        {wanted !== "" && <button type="button" class="button" onClick={() => props.onPlan(null)}>Discard</button>}
      </form>
      {wanted !== "" && props.planError && <ErrorBox error={props.planError} what="The plan" />}
      {wanted !== "" && plan && <p data-figure="plan">{planWords(wanted, plan)}</p>}
      {dialog && plan && (
        <AdminDialog title="Set retention" action={ttl === null ? "Keep everything" : plan.rows > 0 ? `Keep ${ttl}: ${plural(plan.dates.length, "partition")}, ${count(plan.rows)} spans go` : `Keep ${ttl}`} danger={plan.rows > 0} method="PUT" path="retention" body={{ ttl }} onClose={() => { setDialog(false); props.onPlan(null); }}>
          <p>{planWords(wanted, plan)}</p>
        </AdminDialog>
      )}
    </section>
  );
}

function planWords(ttl: string, plan: Loss): string {
  if (plan.dates.length === 0) return `With ${ttl === "never" ? "no limit" : ttl}, nothing would go now.`;
  return `With ${ttl}, ${plural(plan.dates.length, "partition")} would go at the next sweep: ${grouped(plan.rows)} spans of ${grouped(plan.traces)} traces, ${bytes(plan.bytes)} in ${plural(plan.files, "file")} (${plan.dates[0]}${plan.dates.length > 1 ? ` to ${plan.dates[plan.dates.length - 1]}` : ""}).`;
}

const RECEIPT_COLUMNS: Column<Receipt>[] = [
  { key: "at", label: "When", value: (row) => row.at, cell: (row) => localTime(toMillis(parseInstant(row.at) ?? { seconds: NaN, nanos: 0 }), 0), title: (row) => { const at = parseInstant(row.at); return at ? utcText(at) : ""; } },
  { key: "reason", label: "Why", value: (row) => row.reason, cell: (row) => (row.reason === "ttl" ? "expired" : row.reason) },
  { key: "dates", label: "Partitions", cell: (row) => row.dates.join(", "), title: (row) => row.dates.join(", ") },
  { key: "rows", label: "Spans", number: true, value: (row) => numberOrZero(row.rows), cell: (row) => count(numberOf(row.rows)), title: (row) => grouped(numberOrZero(row.rows)) },
  { key: "traces", label: "Traces", number: true, value: (row) => numberOrZero(row.traces), cell: (row) => count(numberOf(row.traces)) },
  { key: "bytes", label: "Bytes", number: true, value: (row) => numberOrZero(row.bytes), cell: (row) => bytes(numberOf(row.bytes)) },
  { key: "version", label: "Table version", number: true, cell: (row) => numberOf(row.version) ?? "–" },
];

function Receipts(props: { receipts: Receipt[] }): preact.JSX.Element {
  return (
    <section class="section">
      <div class="section-head"><h2>Receipts</h2><span class="quiet">{props.receipts.length === 0 ? "Nothing has been removed" : "what was removed, newest first"}</span></div>
      {props.receipts.length > 0 && <Table name="receipts" param="receipts" rows={props.receipts} columns={RECEIPT_COLUMNS} sort="-at" rowKey={(row, index) => `${row.at} ${index}`} />}
    </section>
  );
}
