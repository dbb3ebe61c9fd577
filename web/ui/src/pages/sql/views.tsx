// What can be made of an answer: a chart, and the plan by which it came.
import { sql, type Row } from "../../api.ts";
import { numberOf } from "../../exact.ts";
import { localTime, parseInstant, toMillis } from "../../instant.ts";
import { niceStep, timeTicks, useWidth } from "../../parts/chart.tsx";
import { ErrorBox, Waiting, Empty } from "../../parts/states.tsx";
import { readPlan, type PlanLine } from "../../plan.ts";
import { Table, type Column } from "../../parts/table.tsx";
import { useAsk } from "../../state.tsx";
import { count, duration, grouped } from "../../units.ts";
import { plainText } from "../../exact.ts";

const MOST_BARS = 60;
const MOST_LINES = 5;
const HUES = [258, 27, 155, 70, 310];

export function QuickChart(props: { rows: readonly Row[] }): preact.JSX.Element {
  const { rows } = props;
  const names = Object.keys(rows[0] ?? {});
  const numbers = names.filter((name) => rows.some((row) => numberOf(row[name]) !== null) && rows.every((row) => row[name] === null || numberOf(row[name]) !== null));
  const time = names.find((name) => rows.every((row) => parseInstant(row[name]) !== null));
  const label = time ?? names.find((name) => !numbers.includes(name)) ?? names[0];
  const values = numbers.filter((name) => name !== label);
  if (!label || values.length === 0) return <Empty title="Nothing to draw"><p>A chart needs a column of numbers beside one of times or names.</p></Empty>;
  if (time) return <TimeLines rows={rows} time={time} values={values.slice(0, MOST_LINES)} />;
  // A bar is called by all that its row is grouped by: one of two names would not tell it from others.
  const labels = names.filter((name) => !numbers.includes(name));
  return <Bars rows={rows.slice(0, MOST_BARS)} of={rows.length} labels={labels.length > 0 ? labels : [label]} value={values[0] ?? ""} />;
}

/** A value as its column's name says it: nanoseconds as a duration. */
function print(name: string, value: number | null): string {
  return name.endsWith("_nano") ? duration(value) : count(value);
}

function Bars(props: { rows: readonly Row[]; of: number; labels: readonly string[]; value: string }): preact.JSX.Element {
  const { rows, labels, value } = props;
  const most = Math.max(...rows.map((row) => Math.abs(numberOf(row[value]) ?? 0)), Number.MIN_VALUE);
  const words = (row: Row): string => labels.map((name) => (row[name] === null ? "null" : plainText(row[name]))).join(" · ");
  return (
    <div class="bars" role="img" aria-label={`${value} by ${labels.join(", ")}`}>
      <p class="quiet">{value} by {labels.join(", ")}{props.of > rows.length && `, the first ${rows.length} of ${grouped(props.of)} rows`}</p>
      {rows.map((row, index) => {
        const size = numberOf(row[value]);
        return (
          <div key={index} title={`${words(row)}: ${size === null ? "null" : grouped(size)}`}>
            <span>{words(row)}</span>
            <i style={{ width: `${(Math.abs(size ?? 0) / most) * 100}%` }} />
            <b>{print(value, size)}</b>
          </div>
        );
      })}
    </div>
  );
}

const LEFT = 64;
const HEIGHT = 240;

function TimeLines(props: { rows: readonly Row[]; time: string; values: readonly string[] }): preact.JSX.Element {
  const [frame, width] = useWidth();
  const { time, values } = props;
  const at = (row: Row): number => toMillis(parseInstant(row[time]) ?? { seconds: 0, nanos: 0 });
  const rows = [...props.rows].sort((a, b) => at(a) - at(b));
  const from = at(rows[0] ?? {});
  const to = Math.max(from + 1, at(rows[rows.length - 1] ?? {}));
  const sizes = rows.flatMap((row) => values.map((name) => numberOf(row[name]) ?? 0));
  const low = Math.min(0, ...sizes);
  const step = niceStep(Math.max(...sizes, low + 1) - low, 4);
  const high = Math.ceil(Math.max(...sizes, low + Number.MIN_VALUE) / step) * step || 1;
  const inner = Math.max(1, width - LEFT - 8);
  const x = (millis: number): number => LEFT + ((millis - from) / (to - from)) * inner;
  const y = (value: number): number => 8 + (HEIGHT - 32) * (1 - (value - low) / (high - low));
  const colour = (index: number): string => `oklch(0.62 0.15 ${HUES[index % HUES.length] ?? 0})`;
  return (
    <div>
      <p class="heat-legend quiet">{values.map((name, index) => <span key={name}><svg width="14" height="10" aria-hidden="true"><rect y="4" width="14" height="3" fill={colour(index)} /></svg> {name}</span>)}</p>
      <div class="chart-frame" ref={frame} style={{ height: `${HEIGHT}px` }}>
        {width > 0 && (
          <svg class="chart" width={width} height={HEIGHT} role="img" aria-label={`${values.join(", ")} by ${time}`}>
            {Array.from({ length: Math.round((high - low) / step) + 1 }, (_, index) => low + index * step).map((value) => (
              <g key={value}>
                <line class="axis" x1={LEFT} x2={width - 8} y1={y(value)} y2={y(value)} />
                <text x={LEFT - 6} y={y(value) + 4} text-anchor="end">{print(values[0] ?? "", value)}</text>
              </g>
            ))}
            {timeTicks(from, to, inner / 90).map((tick) => <text key={tick.at} x={x(tick.at)} y={HEIGHT - 4} text-anchor="middle">{tick.label}</text>)}
            {values.map((name, index) => (
              <g key={name}>
                <polyline fill="none" stroke={colour(index)} stroke-width="1.6" points={rows.flatMap((row) => { const value = numberOf(row[name]); return value === null ? [] : [`${x(at(row)).toFixed(1)},${y(value).toFixed(1)}`]; }).join(" ")} />
                {rows.length <= 200 && rows.map((row, place) => { const value = numberOf(row[name]); return value === null ? null : <circle key={place} cx={x(at(row))} cy={y(value)} r="2.5" fill={colour(index)}><title>{`${localTime(at(row), 0)}: ${name} ${print(name, value)}`}</title></circle>; })}
              </g>
            ))}
          </svg>
        )}
      </div>
    </div>
  );
}

const PLAN_COLUMNS: Column<PlanLine>[] = [
  { key: "operator", label: "Step", help: "The last step first; what feeds it stands below, further in.", cell: (row) => <span style={{ paddingLeft: `${Math.min(row.depth, 30) * 14}px` }}>{row.operator}</span> },
  { key: "rows", label: "Rows out", number: true, cell: (row) => (row.rows === null ? "–" : count(row.rows)), title: (row) => (row.rows === null ? "not recorded" : grouped(row.rows)) },
  { key: "time", label: "Work", help: "Time of the processors, summed over all threads.", number: true, cell: (row) => (row.millis === null ? "–" : duration(row.millis * 1e6)) },
  { key: "detail", label: "Detail", cell: (row) => row.detail, title: (row) => `${row.detail}\n${row.metrics}` },
];

/** Runs the statement once more and shows what each step did. */
export function PlanView(props: { statement: string }): preact.JSX.Element {
  const statement = props.statement.replace(/^\s*explain(\s+analyze)?\s+/i, "").replace(/;\s*$/, "");
  const { data, error } = useAsk(`plan ${statement}`, (signal) => sql(`EXPLAIN ANALYZE ${statement}`, signal));
  if (error) return <ErrorBox error={error} what="The plan" />;
  if (!data) return <Waiting rows={8} />;
  const lines = data.rows.flatMap((row) => readPlan(String(row["plan"] ?? "")));
  return <div class="result"><Table name="plan" param="psort" rows={lines} columns={PLAN_COLUMNS} sort="" rowKey={(_, index) => String(index)} most={500} /></div>;
}
