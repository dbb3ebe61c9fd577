// The spans of one trace as rows in the order of a waterfall. Who stands below whom is the server's answer: it knows
// what to do with circles, shared ids and children that start before their parents. Here parents that never came get a
// row of their own.

/** What the tree needs of a span; times are nanoseconds from the start of the trace. */
export interface Node {
  id: string;
  parent: string | null;
  start: number;
  duration: number;
  kind?: string;
}

export interface Row<T extends Node> {
  /** Null for a parent that is named by its children but is not here. */
  span: T | null;
  /** The span's id, or the missing parent's. */
  id: string;
  depth: number;
  start: number;
  end: number;
  /** Rows below this one; they follow it directly. */
  size: number;
  /** Index of the row above in the tree, -1 for a root. */
  parent: number;
  children: number;
  /** True where a circle of parents had to be cut here. */
  cut: boolean;
}

/** Spans as rows: each stands right after what is above it, `depths` says how deep; `missing` are parents that are not here. */
export function layoutTree<T extends Node>(spans: readonly T[], depths: readonly number[], missing: ReadonlySet<string>): Row<T>[] {
  const rows: Row<T>[] = [];
  const orphans = missing.size === 0 ? null : orphansOf(spans, depths, missing);
  for (let from = 0; from < spans.length; ) {
    const to = endOf(depths, from, spans.length);
    const top = spans[from] as T;
    const together = top.parent !== null && missing.has(top.parent) ? orphans?.get(top.parent) : undefined;
    if (!together) place(rows, { spans, depths, from, to }, top.parent !== null);
    else if (together[0]?.[0] === from) placeOrphans(rows, { spans, depths, from, to }, together);
    from = to;
  }
  for (let index = rows.length - 1; index > 0; index -= 1) {
    const row = rows[index] as Row<T>;
    if (row.parent >= 0) (rows[row.parent] as Row<T>).size += row.size + 1;
  }
  return rows;
}

/** Where the subtree that starts at `from` ends. */
function endOf(depths: readonly number[], from: number, length: number): number {
  let to = from + 1;
  while (to < length && (depths[to] ?? 0) > 0) to += 1;
  return to;
}

/** Subtrees below each missing parent, the earliest first. */
function orphansOf<T extends Node>(spans: readonly T[], depths: readonly number[], missing: ReadonlySet<string>): Map<string, [number, number][]> {
  const found = new Map<string, [number, number][]>();
  for (let from = 0; from < spans.length; ) {
    const to = endOf(depths, from, spans.length);
    const parent = spans[from]?.parent ?? null;
    if (parent !== null && missing.has(parent)) {
      const list = found.get(parent);
      if (list) list.push([from, to]);
      else found.set(parent, [[from, to]]);
    }
    from = to;
  }
  return found;
}

interface Subtree<T extends Node> {
  spans: readonly T[];
  depths: readonly number[];
  from: number;
  to: number;
}

function place<T extends Node>(rows: Row<T>[], tree: Subtree<T>, cut: boolean): void {
  /** The row at each depth that what comes next may stand below. */
  const above: number[] = [];
  for (let index = tree.from; index < tree.to; index += 1) {
    const span = tree.spans[index] as T;
    const depth = Math.min(tree.depths[index] ?? 0, above.length);
    above.length = depth;
    const parent = depth > 0 ? (above[depth - 1] ?? -1) : -1;
    if (parent >= 0) (rows[parent] as Row<T>).children += 1;
    above.push(rows.length);
    rows.push({ span, id: span.id, depth, start: span.start, end: span.start + Math.max(0, span.duration), size: 0, parent, children: 0, cut: cut && index === tree.from });
  }
}

/** A row for the parent that is not here, from the first start to the last end of what names it, and those below it. */
function placeOrphans<T extends Node>(rows: Row<T>[], tree: Subtree<T>, together: readonly [number, number][]): void {
  const absent: Row<T> = { span: null, id: tree.spans[tree.from]?.parent ?? "", depth: 0, start: Infinity, end: -Infinity, size: 0, parent: -1, children: 0, cut: false };
  const at = rows.push(absent) - 1;
  for (const [from, to] of together) {
    const first = rows.length;
    const below: Row<T>[] = [];
    place(below, { ...tree, from, to }, false);
    for (const row of below) {
      row.depth += 1;
      row.parent = row.parent < 0 ? at : row.parent + first;
      rows.push(row);
    }
    const top = rows[first] as Row<T>;
    absent.children += 1;
    absent.start = Math.min(absent.start, top.start);
    absent.end = Math.max(absent.end, top.end);
  }
}

/** Indices of the rows to show while the subtrees of `collapsed` (row indices) are folded. */
export function visibleRows<T extends Node>(rows: readonly Row<T>[], collapsed: ReadonlySet<number>): number[] {
  const shown: number[] = [];
  for (let index = 0; index < rows.length; index += 1) {
    shown.push(index);
    if (collapsed.has(index)) index += rows[index]?.size ?? 0;
  }
  return shown;
}

/** Stretches of `row` in which none of its direct children ran: its own work. */
export function selfTime<T extends Node>(rows: readonly Row<T>[], index: number): [number, number][] {
  const row = rows[index];
  if (!row) return [];
  const own: [number, number][] = [];
  let at = row.start;
  const last = index + row.size;
  for (let child = index + 1; child <= last; child += (rows[child]?.size ?? 0) + 1) {
    const below = rows[child];
    if (!below) break;
    if (below.start > at && at < row.end) own.push([at, Math.min(below.start, row.end)]);
    at = Math.max(at, below.end);
  }
  if (at < row.end) own.push([at, row.end]);
  return own;
}
