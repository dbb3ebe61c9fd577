// Bytes by who moved them, finer than by service: by operation, and by edge.
import type { Answer, Row } from "../../api.ts";
import { numberOf, numberOrZero } from "../../exact.ts";
import { Figure, Link, Notes } from "../../parts/bits.tsx";
import { Bytes } from "../../parts/bytes.tsx";
import { countColumn, coverageColumn, serviceColumn, sizeColumn, textColumn } from "../../parts/columns.tsx";
import { Table, type Column } from "../../parts/table.tsx";
import { useApp } from "../../state.tsx";
import { percent, ratio } from "../../units.ts";

interface Operation {
  service: string;
  name: string;
  kind: string;
  bytesIn: number | null;
  bytesOut: number | null;
  spans: number;
  sized: number;
  coverage: number | null;
}

export function readOperation(row: Row): Operation {
  return {
    service: String(row["service"] ?? ""),
    name: String(row["name"] ?? ""),
    kind: String(row["kind"] ?? ""),
    bytesIn: numberOf(row["bytes_in"]),
    bytesOut: numberOf(row["bytes_out"]),
    spans: numberOrZero(row["spans"]),
    sized: numberOrZero(row["sized_spans"]),
    coverage: numberOf(row["coverage"]),
  };
}

/** Of the spans that carried a size: the others would make it look smaller than it is. */
export function bytesEach(row: Operation): number | null {
  return row.sized > 0 ? ((row.bytesIn ?? 0) + (row.bytesOut ?? 0)) / row.sized : null;
}

function OperationLink(props: { row: Operation }): preact.JSX.Element {
  const { href } = useApp();
  return <Link to={href("traces", { service: props.row.service, name: props.row.name, kind: props.row.kind })}>Traces</Link>;
}

const OPERATION_COLUMNS: Column<Operation>[] = [
  serviceColumn("service", "Service", (row) => row.service, { link: true }),
  textColumn("name", "Operation", (row) => row.name),
  { key: "kind", label: "Kind", help: "Of its spans: SERVER and CONSUMER are called, CLIENT and PRODUCER call.", value: (row) => row.kind, cell: (row) => row.kind.toLowerCase() },
  sizeColumn("bytesIn", "In", (row) => row.bytesIn, "Of a called span the request or message, of a calling one the response."),
  sizeColumn("bytesOut", "Out", (row) => row.bytesOut, "Of a called span the response, of a calling one the request or message."),
  { key: "each", label: "A span", help: "In and out of a span that carried a size, on average.", number: true, value: bytesEach, cell: (row) => <Bytes value={bytesEach(row)} coverage={row.coverage} /> },
  countColumn("spans", "Spans", (row) => row.spans),
  coverageColumn("Share of its spans that carried a size."),
  { key: "open", label: "", cell: (row) => <OperationLink row={row} /> },
];

export function OperationsTable(props: { answer: Answer }): preact.JSX.Element {
  const rows = props.answer.rows.map(readOperation);
  const sum = (value: (row: Operation) => number | null): number => rows.reduce((total, row) => total + (value(row) ?? 0), 0);
  const coverage = ratio(sum((row) => row.sized), sum((row) => row.spans));
  return (
    <>
      <Totals parts={[["In", sum((row) => row.bytesIn)], ["Out", sum((row) => row.bytesOut)]]} coverage={coverage} help="Share of the spans that call or are called that carried a size." notes={props.answer.notes} />
      <Table name="network-operations" rows={rows} columns={OPERATION_COLUMNS} sort="-bytesOut" rowKey={(row) => `${row.service}\n${row.name}\n${row.kind}`} />
    </>
  );
}

interface Moved {
  caller: string;
  callee: string;
  kind: string;
  calls: number;
  request: number | null;
  response: number | null;
  coverage: number | null;
}

function readMoved(row: Row): Moved {
  return {
    caller: String(row["caller"] ?? ""),
    callee: String(row["callee"] ?? ""),
    kind: String(row["kind"] ?? ""),
    calls: numberOrZero(row["calls"]),
    request: numberOf(row["request_bytes"]),
    response: numberOf(row["response_bytes"]),
    coverage: numberOf(row["coverage"]),
  };
}

const both = (row: Moved): number => (row.request ?? 0) + (row.response ?? 0);

const EDGE_COLUMNS: Column<Moved>[] = [
  serviceColumn("caller", "Caller", (row) => row.caller, { link: true }),
  serviceColumn("callee", "Callee", (row) => row.callee, { help: "A service, or a database, queue or address that sent no spans." }),
  textColumn("kind", "Kind", (row) => row.kind),
  sizeColumn("request", "Requests", (row) => row.request, "Bodies of requests and messages."),
  sizeColumn("response", "Responses", (row) => row.response, "Bodies of responses."),
  sizeColumn("bytes", "Both", (row) => both(row)),
  countColumn("calls", "Calls", (row) => row.calls),
  coverageColumn("Share of its calls that carried a size."),
];

export function EdgesTable(props: { answer: Answer }): preact.JSX.Element {
  const rows = props.answer.rows.map(readMoved);
  const sum = (value: (row: Moved) => number | null): number => rows.reduce((total, row) => total + (value(row) ?? 0), 0);
  const coverage = ratio(sum((row) => (row.coverage ?? 0) * row.calls), sum((row) => row.calls));
  return (
    <>
      <Totals parts={[["Requests", sum((row) => row.request)], ["Responses", sum((row) => row.response)]]} coverage={coverage} help="Share of the calls that carried a size." notes={props.answer.notes} />
      <Table name="network-edges" rows={rows} columns={EDGE_COLUMNS} sort="-bytes" rowKey={(row) => `${row.caller}\n${row.callee}\n${row.kind}`} />
    </>
  );
}

interface TotalsProps {
  parts: readonly [string, number][];
  coverage: number | null;
  /** What the coverage is a share of. */
  help: string;
  notes: Record<string, unknown>;
}

function Totals(props: TotalsProps): preact.JSX.Element {
  const { coverage, ...notes } = props.notes;
  return (
    <div class="figures">
      {props.parts.map(([label, value]) => <Figure key={label} label={label} name={label.toLowerCase()}><Bytes value={value} coverage={props.coverage} /></Figure>)}
      <Figure label="Coverage" name="coverage" help={props.help}>{percent(props.coverage)}</Figure>
      <Notes notes={notes} />
    </div>
  );
}
