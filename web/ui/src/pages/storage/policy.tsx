// The retention policy: what stays how long, a draft of another, and what that draft would take.
import { useState } from "preact/hooks";
import type { ApiError } from "../../api.ts";
import { AdminDialog } from "../../parts/admin.tsx";
import { countColumn, textColumn } from "../../parts/columns.tsx";
import { ErrorBox, Waiting } from "../../parts/states.tsx";
import { Table, type Column } from "../../parts/table.tsx";
import { localTime, parseInstant, toMillis } from "../../instant.ts";
import { useApp } from "../../state.tsx";
import { bytes, count, grouped, plural } from "../../units.ts";
import { changeOf, printSize, readSize, ruleWords, type Change, type Part, type Plan, type Policy, type Rule, type Stays } from "./model.ts";
import { RuleEditor } from "./rules.tsx";

interface RetentionProps {
  policy: Policy;
  draft: Change | null;
  plan: Plan | null;
  error: ApiError | null;
  onDraft: (change: Change | null) => void;
}

export function Retention(props: RetentionProps): preact.JSX.Element {
  const { policy, draft, plan } = props;
  const [dialog, setDialog] = useState(false);
  return (
    <section class="section" data-part="retention">
      <div class="section-head"><h2>Retention</h2><span class="quiet">{policyWords(policy)}</span></div>
      {policy.rules.length > 0 && !draft && <Rules rules={policy.rules} rest={policy.ttl} />}
      <PolicyForm key={JSON.stringify([policy, draft])} policy={policy} draft={draft} onDraft={props.onDraft} />
      {draft && props.error && <ErrorBox error={props.error} what="The plan" />}
      {draft && !plan && !props.error && <Waiting rows={4} />}
      {draft && plan && (
        <>
          <p data-figure="plan">{planWords(plan)}</p>
          <PlanTables plan={plan} />
          <p><button type="button" class="button primary" onClick={() => setDialog(true)}>Set this policy…</button></p>
        </>
      )}
      {dialog && draft && plan && (
        <AdminDialog title="Set the retention policy" action={plan.rows > 0 ? `Set it: ${plural(plan.dates.length, "partition")}, ${count(plan.rows)} spans go` : "Set it"} danger={plan.rows > 0} method="PUT" path="retention" body={draft} onClose={() => setDialog(false)} onDone={() => props.onDraft(null)}>
          <p>{planWords(plan)}</p>
        </AdminDialog>
      )}
    </section>
  );
}

function policyWords(policy: Policy): string {
  const words = [policy.ttl ? `Partitions leave ${policy.ttl} after their day has ended` : "Nothing expires"];
  if (policy.rules.length > 0) words.push(`${plural(policy.rules.length, "rule")} for classes of their own`);
  if (policy.max_bytes !== null) words.push(`the oldest go beyond ${bytes(policy.max_bytes)}`);
  if (policy.keep_latest > 0) words.push(`the latest ${grouped(policy.keep_latest)} traces of each root operation stay`);
  return `${words.join("; ")} (${policy.by_command || policy.rules_by_command ? "set by command" : "from the configuration"})`;
}

/** In the order in which they are tried; the first that any span of a trace matches decides for the whole trace. */
function Rules(props: { rules: Rule[]; rest: string | null }): preact.JSX.Element {
  const columns: Column<Rule>[] = [
    { key: "class", label: "Class", cell: (row) => <code>{row.class}</code> },
    { key: "when", label: "Traces with a span that is", help: "The first rule that a span of the trace matches decides for the whole trace.", cell: (row) => ruleWords(row), title: (row) => ruleWords(row) },
    { key: "ttl", label: "Kept for", cell: (row) => (row.ttl === "never" ? "ever" : row.ttl) },
  ];
  return (
    <>
      <Table name="rules" rows={props.rules} columns={columns} sort="" rowKey={(row, index) => `${index} ${row.class}`} />
      <p class="quiet">Everything else is kept for {props.rest ?? "ever"}.</p>
    </>
  );
}

function PolicyForm(props: { policy: Policy; draft: Change | null; onDraft: (change: Change | null) => void }): preact.JSX.Element {
  const { policy, draft } = props;
  const [ttl, setTtl] = useState((draft && "ttl" in draft ? draft.ttl : policy.ttl) ?? "never");
  const [size, setSize] = useState(printSize(draft && "max_bytes" in draft ? (draft.max_bytes ?? null) : policy.max_bytes));
  const [latest, setLatest] = useState(String(draft?.keep_latest ?? policy.keep_latest));
  const [rules, setRules] = useState<Rule[]>(draft?.rules ?? policy.rules);
  const [editing, setEditing] = useState(draft?.rules !== undefined);
  const [words, setWords] = useState("");
  const submit = (event: Event): void => {
    event.preventDefault();
    const bytesMax = readSize(size);
    if (bytesMax === undefined) return setWords(`“${size}” is no size: 100 GiB, or nothing for no limit.`);
    if (!/^\d+$/.test(latest.trim())) return setWords(`“${latest}” is no number of traces.`);
    const change = changeOf(policy, { ttl: ttl.trim() === "" || ttl.trim() === "never" ? null : ttl.trim(), max_bytes: bytesMax, keep_latest: Number(latest), rules });
    setWords(change ? "" : "That is the policy in force.");
    props.onDraft(change);
  };
  return (
    <form class="policy" onSubmit={submit}>
      <div class="filters">
        <label class="field narrow">Keep for<input name="ttl" value={ttl} placeholder="7d, 36h, never" spellcheck={false} onInput={(event) => setTtl(event.currentTarget.value)} /></label>
        <label class="field narrow" title="Beyond it the oldest partitions go, never today's while something older is there.">At most<input name="max_bytes" value={size} placeholder="no limit" spellcheck={false} onInput={(event) => setSize(event.currentTarget.value)} /></label>
        <label class="field narrow" title="Of each root operation; they stay when their partition goes.">Latest traces kept<input name="keep_latest" value={latest} inputMode="numeric" onInput={(event) => setLatest(event.currentTarget.value)} /></label>
        <button type="button" class="button" aria-expanded={editing} onClick={() => setEditing(!editing)}>Rules{rules.length > 0 && ` (${rules.length})`}</button>
        <button type="submit" class="button" data-action="plan">Plan</button>
        {draft && <button type="button" class="button" onClick={() => props.onDraft(null)}>Discard</button>}
      </div>
      {editing && <RuleEditor rules={rules} onChange={setRules} />}
      {words !== "" && <p class="quiet" role="status">{words}</p>}
    </form>
  );
}

export function planWords(plan: Plan): string {
  const kept = plan.kept_traces ? ` ${plural(plan.kept_traces, "trace")} of them ${plan.kept_traces === 1 ? "is" : "are"} kept.` : "";
  if (plan.rows === 0 && plan.files === 0) return "With this policy nothing would go now.";
  const span = plan.dates.length === 0 ? "" : ` (${plan.dates[0]}${plan.dates.length > 1 ? ` to ${plan.dates[plan.dates.length - 1]}` : ""})`;
  return `With this policy ${plural(plan.dates.length, "partition")} would lose ${grouped(plan.rows)} spans of ${grouped(plan.traces)} traces at the next sweep, ${bytes(plan.bytes)} in ${plural(plan.files, "file")}${span}.${kept}`;
}

const sizes = <T extends Part | Stays>(): Column<T>[] => [
  countColumn("rows", "Spans", (row) => row.rows),
  { key: "bytes", label: "Bytes", number: true, value: (row) => row.bytes, cell: (row) => bytes(row.bytes) },
  countColumn("files", "Files", (row) => row.files),
];

const GOES: Column<Part>[] = [
  textColumn("date", "Would go", (row) => row.date),
  { key: "class", label: "Class", value: (row) => row.class, cell: (row) => <code>{row.class}</code> },
  ...sizes<Part>(),
  textColumn("reason", "Why", (row) => row.reason),
];

const STAYS: Column<Stays>[] = [
  textColumn("date", "Would stay", (row) => row.date),
  { key: "class", label: "Class", value: (row) => row.class, cell: (row) => <code>{row.class}</code> },
  ...sizes<Stays>(),
  { key: "expires", label: "Until", value: (row) => row.expires, cell: (row) => { const at = parseInstant(row.expires); return at ? localTime(toMillis(at), 0) : <span class="quiet">ever</span>; } },
  textColumn("why", "Why", (row) => row.why),
];

function PlanTables(props: { plan: Plan }): preact.JSX.Element | null {
  const { parts = [], stays = [] } = props.plan;
  const { place } = useApp();
  return (
    <div class="beside wide" key={place.params["draft"]}>
      {parts.length > 0 && <Table name="goes" param="gsort" rows={parts} columns={GOES} sort="date" rowKey={(row) => `${row.date} ${row.class}`} most={20} />}
      {stays.length > 0 && <Table name="stays" param="ssort" rows={stays} columns={STAYS} sort="-date" rowKey={(row) => `${row.date} ${row.class}`} most={20} />}
    </div>
  );
}
