// The dates of the table: a strip as high as their bytes, with what a plan would take, and a table.
import { useState } from "preact/hooks";
import { localTime } from "../../instant.ts";
import { AdminDialog } from "../../parts/admin.tsx";
import { Badge, Link } from "../../parts/bits.tsx";
import { countColumn } from "../../parts/columns.tsx";
import { Table, type Column } from "../../parts/table.tsx";
import { useApp } from "../../state.tsx";
import { bytes, count, duration, grouped, percent, plural } from "../../units.ts";
import type { Partition, Plan } from "./model.ts";

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const STRIP = 76;
/** More days than this are in the table only. */
const MOST_DAYS = 400;

/** Bytes of each date that the plan would take. */
export function goingBytes(plan: Plan | null): Map<string, number> {
  const found = new Map<string, number>();
  for (const part of plan?.parts ?? []) found.set(part.date, (found.get(part.date) ?? 0) + part.bytes);
  if (plan && !plan.parts) for (const date of plan.dates) found.set(date, Infinity);
  return found;
}

export function Strip(props: { partitions: Partition[]; goes: ReadonlyMap<string, number> }): preact.JSX.Element {
  const { place, set } = useApp();
  const most = Math.max(1, ...props.partitions.map((one) => one.bytes));
  const sorted = [...props.partitions].sort((a, b) => a.date.localeCompare(b.date)).slice(-MOST_DAYS);
  return (
    <div class="strip" data-part="strip">
      {sorted.map((one, index) => {
        const before = sorted[index - 1]?.date;
        const gap = before !== undefined && Date.parse(one.date) - Date.parse(before) > 86_400_000;
        const year = before === undefined || before.slice(0, 4) !== one.date.slice(0, 4);
        const month = index === 0 || one.date.slice(0, 7) !== before?.slice(0, 7);
        const high = Math.max(2, (one.bytes / most) * STRIP);
        const going = Math.min(1, (props.goes.get(one.date) ?? 0) / Math.max(1, one.bytes));
        return (
          <button
            key={one.date}
            type="button"
            class={`strip-day ${gap ? "gap" : ""} ${one.hot > 0 ? "hot" : ""}`}
            aria-pressed={place.params["date"] === one.date}
            title={stripWords(one, going)}
            onClick={() => set({ date: place.params["date"] === one.date ? null : one.date }, true)}
          >
            {going > 0 && <i class="goes" style={{ height: `${Math.max(2, high * going)}px` }} />}
            {going < 1 && <i style={{ height: `${high * (1 - going)}px` }} />}
            <span>{one.date.slice(8)}</span>
            <span>{month ? MONTHS[Number(one.date.slice(5, 7)) - 1] : " "}</span>
            <span>{year ? one.date.slice(0, 4) : " "}</span>
          </button>
        );
      })}
    </div>
  );
}

function stripWords(one: Partition, going: number): string {
  const words = [`${one.date}: ${grouped(one.rows)} spans, ${bytes(one.bytes)} in ${plural(one.files, "file")}`];
  if (one.hot > 0) words.push(`${grouped(one.hot)} not yet in a file`);
  if (one.classes !== "" && one.classes !== "default") words.push(`classes ${one.classes}`);
  if (going > 0) words.push(going >= 1 ? "all of it would go" : `${percent(going)} of its bytes would go`);
  return words.join("; ");
}

export function PartitionTable(props: { partitions: Partition[]; goes: ReadonlyMap<string, number> }): preact.JSX.Element {
  const { place, set } = useApp();
  const [drop, setDrop] = useState<Partition | null>(null);
  const hasClasses = props.partitions.some((one) => one.classes !== "" && one.classes !== "default");
  const columns: Column<Partition>[] = [
    { key: "date", label: "Date (UTC)", value: (row) => row.date, cell: (row) => <DateCell row={row} going={props.goes.get(row.date) ?? 0} /> },
    countColumn("rows", "Spans", (row) => row.rows),
    { key: "hot", label: "Not yet in a file", number: true, value: (row) => row.hot, cell: (row) => (row.hot === 0 ? <span class="quiet">0</span> : count(row.hot)) },
    countColumn("files", "Files", (row) => row.files),
    { key: "bytes", label: "Bytes", number: true, value: (row) => row.bytes, cell: (row) => bytes(row.bytes), title: (row) => `${grouped(row.bytes)} B` },
    { key: "each", label: "A span", number: true, value: (row) => (row.rows > 0 ? row.bytes / row.rows : null), cell: (row) => (row.rows > 0 ? `${(row.bytes / row.rows).toFixed(1)} B` : "–") },
    ...(hasClasses ? [{ key: "classes", label: "Classes", help: "Retention classes of its files: each stays as long as its rule says.", value: (row: Partition) => row.classes, cell: (row: Partition) => row.classes }] : []),
    { key: "expires", label: "Expires", help: "When the first of its files leave, by the policy in force.", value: (row) => row.expires, cell: (row) => <Expiry at={row.expires} /> },
    { key: "drop", label: "", cell: (row) => <button type="button" class="link" onClick={() => setDrop(row)}>Drop…</button> },
  ];
  return (
    <>
      <Table name="partitions" rows={props.partitions} columns={columns} sort="-date" rowKey={(row) => row.date} selected={(row) => place.params["date"] === row.date} />
      {drop && (
        <AdminDialog title={`Drop ${drop.date}`} action={`Drop 1 partition, ${count(drop.rows + drop.hot)} spans`} danger method="POST" path="partitions/drop" body={{ dates: [drop.date] }} onClose={() => { setDrop(null); set({ date: null }, true); }}>
          <p>{grouped(drop.rows + drop.hot)} spans in {plural(drop.files, "file")} ({bytes(drop.bytes)}) leave the table in one commit. Traces that cross midnight lose the part of that day; pinned traces stay. This cannot be undone; a receipt is kept.</p>
        </AdminDialog>
      )}
    </>
  );
}

function DateCell(props: { row: Partition; going: number }): preact.JSX.Element {
  const { href } = useApp();
  const { row, going } = props;
  const from = Date.parse(`${row.date}T00:00:00Z`);
  return (
    <>
      <Link to={Number.isNaN(from) ? href("traces") : href("overview", { from: `${row.date}T00:00:00Z`, to: new Date(from + 86_400_000).toISOString() })}>{row.date}</Link>
      {going > 0 && <Badge tone="warn" title={going >= row.bytes ? "The plan would remove this partition." : `The plan would remove ${bytes(going)} of it.`}>{going >= row.bytes ? "would go" : "part would go"}</Badge>}
    </>
  );
}

function Expiry(props: { at: number | null }): preact.JSX.Element {
  if (props.at === null) return <span class="quiet">never</span>;
  const left = props.at - Date.now();
  return <span title={localTime(props.at, 0)}>{left <= 0 ? "at the next sweep" : `in ${duration(left * 1e6)}`}</span>;
}
