// Storage: dates of the table, when they expire, what a policy would remove, what is kept, and what was removed.
import { useState } from "preact/hooks";
import { AdminDialog } from "../parts/admin.tsx";
import { Figure } from "../parts/bits.tsx";
import { Empty, ErrorBox, Waiting } from "../parts/states.tsx";
import { useApp, useAsk } from "../state.tsx";
import { useStatus } from "../status.ts";
import { bytes, count, grouped, plural } from "../units.ts";
import { Deletion, Pins, Receipts } from "./storage/kept.tsx";
import { askPlan, askStorage, readDraft, type Partition, type Storage } from "./storage/model.ts";
import { goingBytes, PartitionTable, Strip } from "./storage/partitions.tsx";
import { Retention } from "./storage/policy.tsx";

export function StoragePage(): preact.JSX.Element {
  const { place, set } = useApp();
  const { data, error, loading } = useAsk("storage", askStorage);
  const draft = readDraft(place.params["draft"]);
  const plan = useAsk(draft ? `plan ${JSON.stringify(draft)}` : null, (signal) => askPlan(draft ?? {}, signal));
  if (error) return <ErrorBox error={error} what="Storage" />;
  if (!data) return loading ? <><Waiting height={44} /><Waiting height={130} /><Waiting rows={8} /></> : <Waiting rows={8} />;
  const goes = goingBytes(draft ? plan.data : null);
  const { partitions } = data;
  return (
    <>
      <Headline data={data} />
      <section class="section">
        <div class="section-head"><h2>Partitions</h2><span class="quiet">one a UTC day; height is bytes{goes.size > 0 && ", hatched what the plan would remove"}</span></div>
        {partitions.length === 0 ? <Empty title="Nothing is stored yet"><p>Spans appear here, day by day, as soon as the first are received.</p></Empty> : <Strip partitions={partitions} goes={goes} />}
      </section>
      <Retention policy={data.policy} draft={draft} plan={plan.data} error={plan.error} onDraft={(change) => set({ draft: change ? JSON.stringify(change) : null })} />
      {partitions.length > 0 && <PartitionTable partitions={partitions} goes={goes} />}
      <Pins pins={data.pins} />
      <Deletion />
      <Receipts receipts={data.receipts} />
    </>
  );
}

function Headline(props: { data: Storage }): preact.JSX.Element {
  const { partitions, policy, pins } = props.data;
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
      <Figure label="Size" name="bytes" title={`${grouped(size)} B`}>{bytes(size)}{policy.max_bytes !== null && <small> of {bytes(policy.max_bytes)}</small>}</Figure>
      <Figure label="A span" help="Bytes on disk a span.">{rows > 0 ? `${(size / rows).toFixed(1)} B` : "–"}</Figure>
      <Figure label="Files" name="files">{count(sum((one) => one.files))}</Figure>
      <Figure label="Write-ahead log">{bytes(status?.walBytes)}</Figure>
      <Figure label="Table version">{status?.tableVersion ?? "–"}</Figure>
      <Figure label="Kept for" name="ttl">{policy.ttl ?? "ever"}</Figure>
      <Figure label="Pinned" name="pins" help="Traces that no drop removes.">{count(pins.length)}</Figure>
      <button type="button" class="button" onClick={() => setDialog(true)}>Flush</button>
      {dialog && (
        <AdminDialog title="Flush" action={`Write ${plural(hot, "span")} to files`} method="POST" path="flush" body={null} onClose={() => setDialog(false)}>
          <p>{hot === 0 ? "Nothing waits for a flush." : `${grouped(hot)} spans are written to files and committed now instead of at the next flush.`}</p>
        </AdminDialog>
      )}
    </div>
  );
}
