// How the traces that match fall apart by service, operation and outcome: counts, and a click narrows the search.
import type { ComponentChildren } from "preact";
import { sql, type Row } from "../../api.ts";
import { numberOrZero } from "../../exact.ts";
import { millisToNanoText } from "../../instant.ts";
import { Service } from "../../parts/bits.tsx";
import type { Range } from "../../range.ts";
import { rangeArguments, rangeKey } from "../../rangequery.ts";
import { useApp, useAsk } from "../../state.tsx";
import { count, grouped, percent, ratio } from "../../units.ts";

interface FacetsProps {
  /** What the search asks of a trace, as conditions on the view `traces`. */
  conditions: readonly string[];
  /** Changes when they do. */
  name: string;
}

interface Group {
  service: string | null;
  operation: string | null;
  outcome: Outcome;
  traces: number;
}

/** How a trace ended: each has one of these. */
type Outcome = "root" | "below" | "none";

/** More groups than this are summed up as the rest. */
const MOST_GROUPS = 2000;
/** Lines of one facet. */
const MOST_LINES = 6;

const filter = (conditions: readonly string[]): string => (conditions.length === 0 ? "" : `\nWHERE ${conditions.join("\n  AND ")}`);

export function groupsStatement(range: Range, conditions: readonly string[]): string {
  return `SELECT root_service, root_name, CASE WHEN root_error THEN 'root' WHEN errors > 0 THEN 'below' ELSE 'none' END AS outcome, count(*) AS traces
FROM traces${rangeArguments(range)}${filter(conditions)}
GROUP BY root_service, root_name, outcome ORDER BY traces DESC, root_service, root_name LIMIT ${MOST_GROUPS}`;
}

/** Traces by the services of their spans: a trace counts with each of them. */
export function servicesStatement(range: Range, conditions: readonly string[]): string {
  const where = conditions.length === 0 ? [] : [`trace_id IN (SELECT trace_id FROM traces${rangeArguments(range)}${filter(conditions)})`];
  if (range.from !== null) where.push(`start_time_unix_nano >= ${millisToNanoText(range.from)}`);
  if (range.to !== null) where.push(`start_time_unix_nano < ${millisToNanoText(range.to)}`);
  return `SELECT service, count(DISTINCT trace_id) AS traces FROM spans${filter(where)}
GROUP BY service ORDER BY traces DESC, service LIMIT ${MOST_LINES + 1}`;
}

function readGroup(row: Row): Group {
  const text = (value: unknown): string | null => (typeof value === "string" ? value : null);
  return { service: text(row["root_service"]), operation: text(row["root_name"]), outcome: row["outcome"] === "root" || row["outcome"] === "below" ? row["outcome"] : "none", traces: numberOrZero(row["traces"]) };
}

interface Line {
  label: ComponentChildren;
  key: string;
  title: string;
  traces: number;
  /** Parameters of the URL that ask for it; null where nothing can. */
  params: Record<string, string> | null;
}

/** Sums by `keyOf`, the largest first. */
export function summed(groups: readonly Group[], keyOf: (group: Group) => string): [string, number, Group][] {
  const found = new Map<string, [string, number, Group]>();
  for (const group of groups) {
    const key = keyOf(group);
    const known = found.get(key);
    if (known) known[1] += group.traces;
    else found.set(key, [key, group.traces, group]);
  }
  return [...found.values()].sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0]));
}

export function Facets(props: FacetsProps): preact.JSX.Element | null {
  const { place, range, set } = useApp();
  const isOpen = place.params["facets"] !== "0";
  const key = `${rangeKey(place.params)} ${props.name}`;
  const { data, error } = useAsk(isOpen ? `facets ${key}` : null, async (signal) => (await sql(groupsStatement(range, props.conditions), signal)).rows.map(readGroup));
  const services = useAsk(isOpen && data ? `facet services ${key}` : null, async (signal) => (await sql(servicesStatement(range, props.conditions), signal)).rows).data;
  return (
    <details class="facets" open={isOpen} data-part="facets">
      <summary onClick={(event) => { event.preventDefault(); set({ facets: isOpen ? "0" : null }, true); }}>Narrow down</summary>
      {isOpen && (
        <div class="facet-columns">
          {error && <p class="error-text"><span class="mark-error" aria-hidden="true" />The counts failed: {error.message}</p>}
          {data && data.length > 0 && <Columns groups={data} services={services} />}
        </div>
      )}
    </details>
  );
}

/** Failed roots; failed spans, those roots among them; no failed span at all. */
function outcomeLines(groups: readonly Group[]): Line[] {
  const of = (...outcomes: Outcome[]): number => groups.reduce((sum, group) => sum + (outcomes.includes(group.outcome) ? group.traces : 0), 0);
  const failed = (words: string): ComponentChildren => <span class="error-text"><span class="mark-error" aria-hidden="true" />{words}</span>;
  const lines: Line[] = [
    { key: "root", traces: of("root"), title: "Traces whose root failed.", label: failed("root failed"), params: { root_status: "error", status: "" } },
    { key: "span", traces: of("root", "below"), title: "Traces in which a span failed, whether the root did or not.", label: failed("any span failed"), params: { status: "error", root_status: "" } },
    { key: "none", traces: of("none"), title: "Traces in which no span failed.", label: "no span failed", params: null },
  ];
  return lines.filter((line) => line.traces > 0);
}

function Columns(props: { groups: readonly Group[]; services: readonly Row[] | null }): preact.JSX.Element {
  const { groups, services } = props;
  const total = groups.reduce((sum, group) => sum + group.traces, 0);
  const roots = summed(groups, (group) => group.service ?? "").map(([key, traces, { service }]): Line => ({ key, traces, title: service ?? "Traces whose root has not arrived.", label: service === null ? <i class="quiet">no root yet</i> : <Service name={service} />, params: service === null ? null : { root_service: service } }));
  const operations = summed(groups, (group) => `${group.service ?? ""}\n${group.operation ?? ""}`).map(([key, traces, { service, operation }]): Line => ({
    key, traces, title: `${service ?? ""}: ${operation ?? ""}`, label: operation ?? <i class="quiet">no root yet</i>, params: service === null || operation === null ? null : { root_service: service, root_name: operation },
  }));
  const outcomes = outcomeLines(groups);
  const any = (services ?? []).map((row): Line => ({ key: String(row["service"]), traces: numberOrZero(row["traces"]), title: "Traces with a span of this service.", label: <Service name={String(row["service"])} />, params: { service: String(row["service"]) } }));
  return (
    <>
      <Facet title="Root operation" name="root_name" lines={operations} total={total} />
      <Facet title="Root service" name="root_service" lines={roots} total={total} />
      <Facet title="Any span of" name="service" lines={any} total={total} />
      <Facet title="Outcome" name="outcome" lines={outcomes} total={total} />
    </>
  );
}

function Facet(props: { title: string; name: string; lines: readonly Line[]; total: number }): preact.JSX.Element {
  const { place, set } = useApp();
  const { lines, total } = props;
  const isOn = (line: Line): boolean => line.params !== null && Object.entries(line.params).every(([name, value]) => (place.params[name] ?? "") === value);
  const toggle = (line: Line): void => {
    if (!line.params) return;
    set({ ...(isOn(line) ? Object.fromEntries(Object.keys(line.params).map((name) => [name, null])) : line.params), cursor: null });
  };
  return (
    <section class="facet" data-facet={props.name}>
      <h3>{props.title} {lines.length > MOST_LINES && props.name !== "service" && <span class="quiet">{count(lines.length)}</span>}</h3>
      <ul>
        {lines.slice(0, MOST_LINES).map((line) => (
          <li key={line.key}>
            <button type="button" class={isOn(line) ? "facet-line on" : "facet-line"} aria-pressed={isOn(line)} disabled={line.params === null} title={`${line.title} ${grouped(line.traces)} traces, ${percent(ratio(line.traces, total))}.${isOn(line) ? " Click to ask for all again." : ""}`} onClick={() => toggle(line)}>
              <span class="facet-name">{line.label}</span>
              <i style={{ width: `${Math.min(1, line.traces / Math.max(1, total)) * 48}px` }} aria-hidden="true" />
              <span class="number">{count(line.traces)}</span>
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}
