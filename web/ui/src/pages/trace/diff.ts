// Two traces as one tree: calls of the same service and name below the same caller are one line, counted on each side.
import type { Row } from "../../tree.ts";
import type { Span, Trace } from "./model.ts";

export interface Side {
  calls: number;
  errors: number;
  /** Sum of the durations. */
  nanos: number;
}

export interface DiffRow {
  key: string;
  service: string;
  name: string;
  kind: string;
  depth: number;
  left: Side;
  right: Side;
}

interface Vertex extends Omit<DiffRow, "depth"> {
  children: Map<string, Vertex>;
  /** Of the first call, for the order. */
  start: number;
}

const none = (): Side => ({ calls: 0, errors: 0, nanos: 0 });

/** Lines from top to bottom; callers first, siblings in the order in which they were first called. */
export function diffTraces(left: Trace, right: Trace): DiffRow[] {
  const tops = new Map<string, Vertex>();
  merge(tops, left.rows, "left");
  merge(tops, right.rows, "right");
  const lines: DiffRow[] = [];
  const stack = inOrder(tops).map((vertex) => ({ vertex, depth: 0 })).reverse();
  while (stack.length > 0) {
    const { vertex, depth } = stack.pop() as { vertex: Vertex; depth: number };
    const { key, service, name, kind, left: a, right: b } = vertex;
    lines.push({ key, service, name, kind, depth, left: a, right: b });
    for (const child of inOrder(vertex.children).reverse()) stack.push({ vertex: child, depth: depth + 1 });
  }
  return lines;
}

function inOrder(vertices: Map<string, Vertex>): Vertex[] {
  return [...vertices.values()].sort((a, b) => a.start - b.start || a.key.localeCompare(b.key));
}

function merge(tops: Map<string, Vertex>, rows: readonly Row<Span>[], side: "left" | "right"): void {
  const vertexOf: Vertex[] = [];
  rows.forEach((row, index) => {
    const above = vertexOf[row.parent];
    const among = above ? above.children : tops;
    const own = row.span ? JSON.stringify([row.span.service, row.span.name, row.span.kind]) : "missing";
    let vertex = among.get(own);
    if (!vertex) {
      const { service, name, kind } = row.span ?? { service: "", name: "missing parent", kind: "" };
      vertex = { key: `${above?.key ?? ""}/${own}`, service, name, kind, left: none(), right: none(), children: new Map(), start: row.start };
      among.set(own, vertex);
    }
    vertexOf[index] = vertex;
    const sum = vertex[side];
    sum.calls += 1;
    sum.nanos += Math.max(0, row.end - row.start);
    if (row.span?.status === "ERROR") sum.errors += 1;
  });
}

/** What one can say of a line at a glance. */
export function verdict(row: DiffRow): "left" | "right" | "calls" | "errors" | "same" {
  if (row.right.calls === 0) return "left";
  if (row.left.calls === 0) return "right";
  if (row.left.errors > 0 !== row.right.errors > 0) return "errors";
  return row.left.calls === row.right.calls ? "same" : "calls";
}
