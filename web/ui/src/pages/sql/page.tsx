// SQL: a statement, its rows, and the same rows as a file. The statement is in the URL.
import { useEffect, useRef, useState } from "preact/hooks";
import { request, saveFile, sql, type ApiError, type Answer, type Row } from "../../api.ts";
import { isExact, plainText, typeName } from "../../exact.ts";
import { Badge, Link, Notes } from "../../parts/bits.tsx";
import { Empty, ErrorBox, Waiting } from "../../parts/states.tsx";
import { Table, type Column } from "../../parts/table.tsx";
import { useApp, useAsk } from "../../state.tsx";
import { bytes, duration, grouped, plural } from "../../units.ts";
import { VIEWS } from "../../complete.ts";
import { Editor } from "./editor.tsx";
import { PlanView, QuickChart } from "./views.tsx";

const EXAMPLES: readonly [string, string][] = [
  ["Newest spans", "SELECT start_time, service, name, kind, duration_nano, status, trace_id\nFROM spans\nORDER BY start_time DESC\nLIMIT 50"],
  ["Slowest operations", "SELECT service, name, kind, spans, errors, p50_nano, p99_nano, max_nano\nFROM operations()\nORDER BY p99_nano DESC\nLIMIT 50"],
  ["Errors by message", "SELECT service, name, status_message, count(*) AS errors, max(start_time) AS last_seen\nFROM spans\nWHERE status = 'ERROR'\nGROUP BY service, name, status_message\nORDER BY errors DESC\nLIMIT 50"],
  ["By an attribute", "SELECT attributes['http.route'] AS route, count(*) AS spans, quantile(duration_nano, 0.95) AS p95_nano\nFROM spans\nWHERE kind = 'SERVER'\nGROUP BY route\nORDER BY spans DESC\nLIMIT 50"],
  ["Slowest traces", "SELECT *\nFROM traces('-1h', 'now')\nORDER BY duration_nano DESC\nLIMIT 20"],
  ["Repeated calls in one trace", "SELECT trace_id, service, name, count(*) AS times, sum(duration_nano) AS total_nano\nFROM spans\nWHERE kind = 'CLIENT'\nGROUP BY trace_id, service, name\nHAVING count(*) > 10\nORDER BY times DESC\nLIMIT 20"],
  ["Per minute", "SELECT date_trunc('minute', start_time) AS minute, count(*) AS spans,\n  sum(CASE WHEN status = 'ERROR' THEN 1 ELSE 0 END) AS errors\nFROM spans\nGROUP BY minute\nORDER BY minute"],
];

const FIRST = EXAMPLES[0]?.[1] ?? "";
/** Cells drawn for one answer at most; the file has everything. */
const ROWS_SHOWN = 500;

export function SqlPage(): preact.JSX.Element {
  const { place, set, refresh } = useApp();
  const asked = place.params["q"] ?? "";
  const [text, setText] = useState(asked || FIRST);
  useEffect(() => {
    if (asked) setText(asked);
  }, [asked]);
  const running = asked !== "" && place.params["run"] === "1";
  const [stopped, setStopped] = useState(false);
  const control = useRef<AbortController | null>(null);
  const { data, error, loading } = useAsk(running ? `sql ${asked}` : null, (signal) => {
    const own = new AbortController();
    control.current = own;
    setStopped(false);
    signal.addEventListener("abort", () => own.abort());
    own.signal.addEventListener("abort", () => !signal.aborted && setStopped(true));
    return sql(asked, own.signal);
  });
  const run = (): void => {
    if (text.trim() === "") return;
    if (text === asked && running) refresh();
    else set({ q: text, run: "1", sort: null });
  };
  return (
    <>
      <Editor text={text} onText={setText} onRun={run} />
      <div class="section-head">
        <button type="button" class="button primary" onClick={run} title="Ctrl and Enter">Run</button>
        {running && loading && !stopped && <button type="button" class="button" onClick={() => control.current?.abort()}>Cancel</button>}
        {data && <Facts answer={data} />}
        {data && <Downloads statement={asked} />}
      </div>
      {stopped ? <Empty title="Cancelled"><p>The work on the server was stopped.</p></Empty> : error && <ErrorBox error={error} what="The statement" />}
      {running && !data && !error && loading && !stopped && <Waiting rows={10} />}
      {data && <Answered answer={data} statement={asked} />}
      {!running && <Reference onChoose={(statement) => setText(statement)} />}
      {running && <Examples onChoose={(statement) => setText(statement)} />}
    </>
  );
}

function Facts(props: { answer: Answer }): preact.JSX.Element {
  const { answer } = props;
  return (
    <span class="quiet" data-figure="result">
      {plural(answer.rows.length, "row")} in {duration(answer.millis * 1e6)}, {bytes(answer.bytes)} <Notes notes={answer.notes} />
      {answer.rows.length > ROWS_SHOWN && <Badge title="The download has all rows.">{grouped(ROWS_SHOWN)} shown</Badge>}
    </span>
  );
}

const FORMATS: readonly [string, string, string][] = [
  ["csv", "CSV", "text/csv"],
  ["json", "JSON", "application/json"],
  ["parquet", "Parquet", "application/vnd.apache.parquet"],
  ["arrow", "Arrow", "application/vnd.apache.arrow.stream"],
];

function Downloads(props: { statement: string }): preact.JSX.Element {
  const [busy, setBusy] = useState("");
  const [error, setError] = useState<ApiError | null>(null);
  const save = async (format: string, type: string): Promise<void> => {
    setBusy(format);
    setError(null);
    try {
      const response = await request(`/api/v1/sql?format=${format}`, { method: "POST", headers: { accept: type, "content-type": "text/plain" }, body: props.statement });
      saveFile(await response.blob(), `spans.${format}`);
    } catch (caught) {
      setError(caught as ApiError);
    }
    setBusy("");
  };
  return (
    <span class="exports push">
      <span class="quiet">Download</span>
      {FORMATS.map(([format, label, type]) => (
        <button key={format} type="button" class="link" disabled={busy !== ""} onClick={() => void save(format, type)}>{busy === format ? "…" : label}</button>
      ))}
      {error && <span class="error-text" role="alert"><span class="mark-error" aria-hidden="true" />{error.message}</span>}
    </span>
  );
}

const SHAPES = [
  ["table", "Table"],
  ["chart", "Chart"],
  ["plan", "Plan"],
] as const;

/** The answer as rows, as a picture, or how it came. */
function Answered(props: { answer: Answer; statement: string }): preact.JSX.Element {
  const { place, set } = useApp();
  const shape = SHAPES.find(([name]) => name === place.params["as"])?.[0] ?? "table";
  return (
    <>
      <span class="tabs" role="group" aria-label="Show as">
        {SHAPES.map(([name, label]) => <button key={name} type="button" class={shape === name ? "on" : ""} aria-pressed={shape === name} onClick={() => set({ as: name === "table" ? null : name }, true)}>{label}</button>)}
      </span>
      {shape === "table" && <Result answer={props.answer} />}
      {shape === "chart" && (props.answer.rows.length === 0 ? <Result answer={props.answer} /> : <QuickChart rows={props.answer.rows} />)}
      {shape === "plan" && <PlanView statement={props.statement} />}
    </>
  );
}

function Result(props: { answer: Answer }): preact.JSX.Element {
  const { rows } = props.answer;
  if (rows.length === 0) return <Empty title="No rows"><p>The statement ran; nothing matches.</p></Empty>;
  const names = [...new Set(rows.slice(0, 50).flatMap((row) => Object.keys(row)))];
  return (
    <div class="result">
      <Table name="result" rows={rows} columns={names.map((name) => column(name, rows))} sort="" rowKey={(_, index) => String(index)} most={ROWS_SHOWN} />
    </div>
  );
}

function column(name: string, rows: readonly Row[]): Column<Row> {
  const number = rows.slice(0, 20).every((row) => row[name] === null || typeof row[name] === "number" || isExact(row[name])) && rows.some((row) => row[name] !== null);
  return {
    key: name,
    label: name,
    number,
    value: (row) => (number ? sortable(row[name]) : row[name] === null ? null : plainText(row[name])),
    cell: (row) => <Cell name={name} value={row[name]} />,
    title: (row) => plainText(row[name]),
  };
}

function sortable(value: unknown): number | null {
  return value === null || value === undefined ? null : Number(isExact(value) ? value.$number : value);
}

function Cell(props: { name: string; value: unknown }): preact.JSX.Element {
  const { href } = useApp();
  const { name, value } = props;
  if (value === null || value === undefined) return <span class="quiet">null</span>;
  if (name.endsWith("trace_id") && typeof value === "string" && /^[0-9a-f]{32}$/.test(value)) return <Link to={href("trace", {}, value)}>{value}</Link>;
  const text = plainText(value);
  if (typeName(value) === "string" || text.length <= 200) return <>{text.length > 300 ? `${text.slice(0, 300)}…` : text}</>;
  return <>{text.slice(0, 200)}…</>;
}

function Examples(props: { onChoose: (statement: string) => void }): preact.JSX.Element {
  return (
    <div class="examples">
      <span class="quiet">Examples</span>
      {EXAMPLES.map(([label, statement]) => (
        <button key={label} type="button" class="link" onClick={() => props.onChoose(statement)}>{label}</button>
      ))}
    </div>
  );
}

function Reference(props: { onChoose: (statement: string) => void }): preact.JSX.Element {
  return (
    <>
      <Examples onChoose={props.onChoose} />
      <div class="box">
        <p>
          <b>spans</b> has one row a span: <code>trace_id, span_id, parent_span_id, service, name, kind, start_time, duration_nano, status, status_message, attributes, resource, events, links, weight</code> and more. Ids are
          lower-case hex, durations nanoseconds. <code>attributes['http.route']</code> and <code>resource['k8s.pod.name']</code> keep their types.
        </p>
        <p>Views take an optional range: <code>dependencies('-1h', 'now')</code>. <code>quantile(value, 0.95)</code> is the exact nearest rank.</p>
        <dl class="pairs">
          {VIEWS.map(([name, columns, example]) => (
            <>
              <dt key={name}><button type="button" class="link" onClick={() => props.onChoose(`SELECT *\nFROM ${name}(${example ?? "'-1h', 'now'"})\nLIMIT 100`)}>{name}()</button></dt>
              <dd>{columns}</dd>
            </>
          ))}
        </dl>
        <p class="quiet">Statements only read. They stop at the time and memory limits of the server.</p>
      </div>
    </>
  );
}
