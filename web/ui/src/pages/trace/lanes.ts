// The graph of a trace: one line a span in the order of their starts, one lane for whatever runs beside the rest.
import type { Node, Row } from "../../tree.ts";

export interface Vertex {
  /** Index of the row in the trace. */
  index: number;
  lane: number;
  /** Line of the parent's vertex; -1 for a root. */
  parent: number;
  /** Runs on after its caller has ended, or took a message: nobody waits for it. */
  isAsync: boolean;
}

export interface Lanes {
  /** From top to bottom. */
  vertices: Vertex[];
  lanes: number;
}

/** Callers stand above and to the left of what they call; a lane is free again below the last of its vertex's calls. */
export function layoutLanes<T extends Node>(rows: readonly Row<T>[]): Lanes {
  const order = rows.map((_, index) => index).sort((a, b) => start(rows, a) - start(rows, b) || a - b);
  const lineOf = new Int32Array(rows.length);
  // A child whose clock runs ahead of its parent's still comes below it.
  const lines = parentsFirst(rows, order);
  lines.forEach((index, line) => (lineOf[index] = line));
  const lastBelow = new Int32Array(rows.length);
  lines.forEach((index, line) => {
    const parent = rows[index]?.parent ?? -1;
    if (parent >= 0) lastBelow[parent] = line;
  });
  const busyUntil: number[] = [];
  const laneOf = new Int32Array(rows.length);
  const vertices = lines.map((index, line): Vertex => {
    const row = rows[index] as Row<T>;
    let lane = row.parent >= 0 ? (laneOf[row.parent] ?? 0) : 0;
    // Straight below its caller where this is the last call; else beside it.
    if (row.parent >= 0 && lastBelow[row.parent] !== line) lane += 1;
    while ((busyUntil[lane] ?? -1) > line) lane += 1;
    busyUntil[lane] = Math.max(line + 1, lastBelow[index] ?? 0);
    laneOf[index] = lane;
    return { index, lane, parent: row.parent >= 0 ? (lineOf[row.parent] ?? -1) : -1, isAsync: isAsync(rows, row) };
  });
  return { vertices, lanes: busyUntil.length };
}

function start<T extends Node>(rows: readonly Row<T>[], index: number): number {
  return rows[index]?.start ?? 0;
}

function parentsFirst<T extends Node>(rows: readonly Row<T>[], order: readonly number[]): number[] {
  const placed = new Uint8Array(rows.length);
  const lines: number[] = [];
  for (const index of order) {
    const above: number[] = [];
    for (let up = index; up >= 0 && !placed[up]; up = rows[up]?.parent ?? -1) above.push(up);
    for (const one of above.reverse()) {
      placed[one] = 1;
      lines.push(one);
    }
  }
  return lines;
}

function isAsync<T extends Node>(rows: readonly Row<T>[], row: Row<T>): boolean {
  const parent = rows[row.parent];
  if (!parent?.span) return false;
  return row.span?.kind === "CONSUMER" || row.end > parent.end;
}
