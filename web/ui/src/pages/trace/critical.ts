// The critical path: from the last end backwards, whoever was running kept the caller waiting.
import type { Node, Row } from "../../tree.ts";

/** A row and the stretch of it that lies on the path. */
export type Step = [index: number, from: number, to: number];

/** Of a trace with one root, what that root waited for; of several (or none), what ran last at each instant of the whole. */
export function criticalPath<T extends Node>(rows: readonly Row<T>[]): Step[] {
  const path: Step[] = [];
  const stack = topSteps(rows);
  for (let step = stack.pop(); step !== undefined; step = stack.pop()) {
    descend(rows, step[0], { from: step[1], to: step[2], path, stack });
  }
  return path;
}

function topsOf<T extends Node>(rows: readonly Row<T>[]): number[] {
  const tops: number[] = [];
  for (let index = 0; index < rows.length; index += (rows[index]?.size ?? 0) + 1) tops.push(index);
  return tops;
}

/** The tops that cover the trace from its end backwards: of those running then, the one that started first. */
function topSteps<T extends Node>(rows: readonly Row<T>[]): Step[] {
  const tops = topsOf(rows);
  const roots = tops.filter((index) => rows[index]?.span?.parent === null);
  const only = roots.length === 1 ? rows[roots[0] as number] : undefined;
  if (only) return [[roots[0] as number, only.start, only.end]];
  const byEnd = tops.map((index) => ({ index, start: rows[index]?.start ?? 0, end: rows[index]?.end ?? 0 })).filter((one) => one.end > one.start).sort((a, b) => b.end - a.end);
  const steps: Step[] = [];
  let at = byEnd[0]?.end ?? 0;
  for (let place = 0; place < byEnd.length; ) {
    let first = byEnd[place] as { index: number; start: number; end: number };
    at = Math.min(at, first.end);
    for (; place < byEnd.length && (byEnd[place]?.end ?? 0) >= at; place += 1) {
      const one = byEnd[place] as typeof first;
      if (one.start < first.start) first = one;
    }
    if (first.start >= at) continue;
    steps.push([first.index, first.start, at]);
    at = first.start;
  }
  return steps;
}

interface Walk {
  from: number;
  to: number;
  path: Step[];
  stack: Step[];
}

function descend<T extends Node>(rows: readonly Row<T>[], index: number, walk: Walk): void {
  const row = rows[index];
  if (!row) return;
  const below: number[] = [];
  for (let child = index + 1; child <= index + row.size; child += (rows[child]?.size ?? 0) + 1) below.push(child);
  below.sort((a, b) => (rows[b]?.end ?? 0) - (rows[a]?.end ?? 0));
  let at = walk.to;
  for (const child of below) {
    const one = rows[child];
    // What ended later than the work after it began did not hold that work up.
    if (!one || one.end > at || one.end <= walk.from || one.end <= one.start) continue;
    if (at > one.end) walk.path.push([index, one.end, at]);
    walk.stack.push([child, Math.max(one.start, walk.from), one.end]);
    at = Math.max(one.start, walk.from);
    if (at <= walk.from) break;
  }
  if (at > walk.from) walk.path.push([index, walk.from, at]);
}
