// A trace beside its pattern: the same places, the way to each by service and name, as the view `pattern` has them.
import type { Place } from "../patterns/model.ts";
import type { Trace } from "./model.ts";

/** One place of the pattern, with what this trace did there. */
export interface Deviation {
  place: Place;
  calls: number;
  errors: number;
  /** Nanoseconds of the longest call; null without one. */
  longest: number | null;
  /** Longest minus the pattern's p50. */
  more: number | null;
}

/** A line a place, in the order of the pattern's tree; what the trace has besides is no part of the pattern and left out. */
export function deviations(trace: Trace, places: readonly Place[]): Deviation[] {
  const here = byWay(trace);
  const ways: string[] = [];
  return places.map((place) => {
    ways.length = Math.max(0, place.depth - 1);
    const way = step(ways[ways.length - 1] ?? "", place.service, place.name);
    ways.push(way);
    const { calls, errors, longest } = here.get(way) ?? { calls: 0, errors: 0, longest: null };
    return { place, calls, errors, longest, more: longest === null || place.p50 === null ? null : longest - place.p50 };
  });
}

interface Sum {
  calls: number;
  errors: number;
  longest: number | null;
}

function byWay(trace: Trace): Map<string, Sum> {
  const ways: string[] = [];
  const found = new Map<string, Sum>();
  trace.rows.forEach((row, index) => {
    const above = ways[row.parent] ?? "";
    // A parent that is missing is no place: those below it are tops.
    if (!row.span) return void (ways[index] = "");
    const way = step(above, row.span.service, row.span.name);
    ways[index] = way;
    const sum = found.get(way) ?? { calls: 0, errors: 0, longest: null };
    sum.calls += 1;
    if (row.span.status === "ERROR") sum.errors += 1;
    sum.longest = Math.max(sum.longest ?? 0, row.span.duration);
    found.set(way, sum);
  });
  return found;
}

function step(above: string, service: string, name: string): string {
  return `${above}\n${JSON.stringify([service, name])}`;
}
