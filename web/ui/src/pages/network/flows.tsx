// The picture beside the tables of the network page: which edges move the most bytes.
import { apiPath, getRows } from "../../api.ts";
import type { Edge } from "../../graph.ts";
import { Sankey } from "../../parts/sankey.tsx";
import { ErrorBox, Waiting } from "../../parts/states.tsx";
import { rangeKey, rangeQuery } from "../../rangequery.ts";
import type { Flow } from "../../sankey.ts";
import { useApp, useAsk } from "../../state.tsx";
import { bytes, count, grouped, plural } from "../../units.ts";
import { readEdge } from "../dependencies.tsx";

/** More bands than this cannot be told apart. */
const MOST_BANDS = 24;
/** Between the names of a root service and its operation; no service has it in its name. */
const BETWEEN = "\n";

interface EdgeFlow extends Flow {
  request: number | null;
  response: number | null;
  calls: number;
}

/** Edges between the same two, of all kinds, as one flow; those without any size are left out. */
export function flowsOf(edges: readonly Edge[]): EdgeFlow[] {
  const found = new Map<string, EdgeFlow>();
  const add = (sum: number | null, value: number | null): number | null => (value === null ? sum : (sum ?? 0) + value);
  for (const edge of edges) {
    const size = (edge.requestBytes ?? 0) + (edge.responseBytes ?? 0);
    if (size === 0) continue;
    const key = `${edge.caller}\n${edge.callee}`;
    const flow = found.get(key) ?? { from: edge.caller, to: edge.callee, size: 0, request: null, response: null, calls: 0 };
    flow.size += size;
    flow.request = add(flow.request, edge.requestBytes);
    flow.response = add(flow.response, edge.responseBytes);
    flow.calls += edge.calls;
    found.set(key, flow);
  }
  return [...found.values()].sort((a, b) => b.size - a.size);
}

function edgeWords(flow: EdgeFlow): string[] {
  return [`${flow.from} → ${flow.to}`, `requests ${bytes(flow.request)}, responses ${bytes(flow.response)}`, plural(flow.calls, "call")];
}

/** The largest edges of the range, whoever is called to the right of whoever calls. */
export function EdgeFlows(): preact.JSX.Element {
  const { place, range } = useApp();
  const { data, error } = useAsk(JSON.stringify(["network edges", rangeKey(place.params)]), async (signal) => (await getRows(apiPath("dependencies", rangeQuery(range)), signal)).rows.map(readEdge));
  if (error) return <ErrorBox error={error} what="The picture" />;
  if (!data) return <Waiting height={320} />;
  const flows = flowsOf(data);
  const pairs = new Set(data.map((edge) => `${edge.caller}\n${edge.callee}`)).size;
  const shown = flows.slice(0, MOST_BANDS);
  return (
    <section class="section" data-part="flows">
      <div class="section-head">
        <h2>Largest edges</h2>
        <span class="quiet">{shown.length < flows.length ? `${shown.length} of ${grouped(flows.length)} with a size` : plural(shown.length, "edge")}{pairs > flows.length ? `; ${grouped(pairs - flows.length)} recorded none` : ""}</span>
      </div>
      {shown.length === 0 ? <p class="quiet">No call between services recorded a body size, so there is nothing to draw.</p> : <Sankey flows={shown} label={`Bytes between services: the ${shown.length} largest edges`} words={edgeWords} print={bytes} />}
    </section>
  );
}

export interface CausedBytes {
  service: string;
  name: string;
  traces: number;
  bytes: number;
}

/** Whose requests move the bytes: root services to the left of their operations. */
export function CausedFlows(props: { rows: readonly CausedBytes[] }): preact.JSX.Element {
  const known = props.rows.filter((row) => row.bytes > 0).sort((a, b) => b.bytes - a.bytes);
  const flows = known.slice(0, MOST_BANDS).map((row) => ({ from: row.service, to: row.service + BETWEEN + row.name, size: row.bytes, traces: row.traces }));
  const nameOf = (key: string): string => (key === "" ? "no root yet" : key.slice(key.indexOf(BETWEEN) + 1));
  const words = (flow: Flow & { traces: number }): string[] => [`${flow.from === "" ? "no root yet" : flow.from}: ${nameOf(flow.to)}`, `${bytes(flow.size)} in ${count(flow.traces)} traces`];
  return (
    <section class="section" data-part="flows">
      <div class="section-head">
        <h2>Who causes the bytes</h2>
        <span class="quiet">{flows.length < known.length ? `the ${flows.length} largest of ${grouped(known.length)} root operations` : plural(flows.length, "root operation")}</span>
      </div>
      {flows.length === 0 ? <p class="quiet">No call in these traces recorded a body size, so there is nothing to draw.</p> : <Sankey flows={flows} label={`Bytes caused: the ${flows.length} largest root operations`} words={words} print={bytes} nameOf={nameOf} serviceOf={(key) => key.split(BETWEEN)[0] ?? ""} />}
    </section>
  );
}
