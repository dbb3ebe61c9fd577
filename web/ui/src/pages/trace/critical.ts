// The critical path, as the server defines it (`critical_path` in SQL): from the root's end backwards, whoever was running
// kept the caller waiting.
import { apiPath, getPlainRows } from "../../api.ts";
import { numberOrZero } from "../../exact.ts";
import { nanosBetween, parseInstant } from "../../instant.ts";
import type { Fields, Trace } from "./model.ts";

/** Stretches of each row that lie on the path, by the row's index. */
export type Critical = ReadonlyMap<number, [number, number][]>;

export const NO_PATH: Critical = new Map();

export async function askCritical(trace: Trace, signal: AbortSignal): Promise<Critical> {
  const rows = await getPlainRows(apiPath(`traces/${encodeURIComponent(trace.id)}/critical-path`), signal);
  return readCritical(trace, rows);
}

/** Pieces of the answer as stretches of rows, both in nanoseconds from the start of the trace. */
export function readCritical(trace: Trace, pieces: readonly Fields[]): Critical {
  const rowsOf = indexRows(trace, new Set(pieces.map((piece) => String(piece["span_id"]))));
  const found = new Map<number, [number, number][]>();
  for (const piece of pieces) {
    const at = parseInstant(piece["start_time"]);
    const candidates = rowsOf.get(String(piece["span_id"])) ?? [];
    // Client and server may share one id: their names or durations tell which of them it is.
    const isIt = (index: number): boolean => {
      const span = trace.rows[index]?.span;
      return !!span && span.name === piece["name"] && span.service === piece["service"] && span.duration === numberOrZero(piece["duration_nano"]);
    };
    const index = candidates.find(isIt) ?? candidates[0];
    if (!at || index === undefined) continue;
    const from = nanosBetween(at, trace.origin);
    const stretch: [number, number] = [from, from + numberOrZero(piece["path_nano"])];
    const list = found.get(index);
    if (list) list.push(stretch);
    else found.set(index, [stretch]);
  }
  return found;
}

function indexRows(trace: Trace, wanted: ReadonlySet<string>): Map<string, number[]> {
  const found = new Map<string, number[]>();
  trace.rows.forEach(({ span }, index) => {
    if (!span || !wanted.has(span.id)) return;
    const list = found.get(span.id);
    if (list) list.push(index);
    else found.set(span.id, [index]);
  });
  return found;
}

/** Nanoseconds on the path. */
export function pathNanos(critical: Critical): number {
  let sum = 0;
  for (const stretches of critical.values()) for (const [from, to] of stretches) sum += to - from;
  return sum;
}
