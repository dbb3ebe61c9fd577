// The spans of one trace as rows in the order of a waterfall. Bad traces are the normal case: parents that
// never came, circles, two spans with one id, children that start before their parents.

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

interface Vertex<T extends Node> {
  span: T | null;
  id: string;
  start: number;
  end: number;
  children: Vertex<T>[];
  parent: Vertex<T> | null;
  seen: boolean;
  cut: boolean;
}

/** Rows by depth first, siblings by start; every span is there once. */
export function layoutTree<T extends Node>(spans: readonly T[]): Row<T>[] {
  const vertices = spans.map(vertex);
  const roots = link(vertices);
  const rows: Row<T>[] = [];
  for (const root of roots.sort(byStart)) walk(root, rows);
  // What is left hangs in circles: cut each at its earliest span.
  for (const left of vertices.filter((one) => !one.seen).sort(byStart)) {
    if (left.seen) continue;
    left.cut = true;
    walk(left, rows);
  }
  return rows;
}

function vertex<T extends Node>(span: T): Vertex<T> {
  const end = span.start + Math.max(0, span.duration);
  return { span, id: span.id, start: span.start, end, children: [], parent: null, seen: false, cut: false };
}

/** Hangs children under their parents; returns the tops, with one made up for each missing parent. */
function link<T extends Node>(vertices: Vertex<T>[]): Vertex<T>[] {
  const first = new Map<string, Vertex<T>>();
  const host = new Map<string, Vertex<T>>();
  for (const one of vertices) {
    const before = first.get(one.id);
    if (!before) first.set(one.id, one);
    // Zipkin lets a client and its server share one id: the server's children are the ones below.
    if (!before || one.span?.kind === "SERVER") host.set(one.id, one);
  }
  const tops: Vertex<T>[] = [];
  const missing = new Map<string, Vertex<T>>();
  for (const one of vertices) {
    const shared = one.span?.kind === "SERVER" ? vertices.length > 1 && first.get(one.id) : undefined;
    const above = shared && shared !== one ? shared : one.span?.parent ? host.get(one.span.parent) : undefined;
    if (above && above !== one) hang(one, above);
    else if (!one.span?.parent) tops.push(one);
    else if (one.span.parent === one.id) {
      one.cut = true;
      tops.push(one);
    } else hang(one, absent(one.span.parent, missing, tops));
  }
  return tops;
}

function absent<T extends Node>(id: string, missing: Map<string, Vertex<T>>, tops: Vertex<T>[]): Vertex<T> {
  let one = missing.get(id);
  if (!one) {
    one = { span: null, id, start: Infinity, end: -Infinity, children: [], parent: null, seen: false, cut: false };
    missing.set(id, one);
    tops.push(one);
  }
  return one;
}

function hang<T extends Node>(child: Vertex<T>, above: Vertex<T>): void {
  child.parent = above;
  above.children.push(child);
  if (above.span === null) {
    above.start = Math.min(above.start, child.start);
    above.end = Math.max(above.end, child.end);
  }
}

function byStart<T extends Node>(a: Vertex<T>, b: Vertex<T>): number {
  return a.start - b.start || b.end - a.end;
}

/** Depth first without recursion: traces can be a hundred thousand deep. */
function walk<T extends Node>(root: Vertex<T>, rows: Row<T>[]): void {
  const stack: { vertex: Vertex<T>; depth: number; parent: number }[] = [{ vertex: root, depth: 0, parent: -1 }];
  const from = rows.length;
  while (stack.length > 0) {
    const next = stack.pop();
    if (!next || next.vertex.seen) continue;
    const { vertex: one, depth, parent } = next;
    one.seen = true;
    const index = rows.length;
    rows.push({ span: one.span, id: one.id, depth, start: one.start, end: one.end, size: 0, parent, children: 0, cut: one.cut });
    if (parent >= 0) (rows[parent] as Row<T>).children += 1;
    const below = one.children.filter((child) => !child.seen).sort(byStart);
    for (let child = below.length - 1; child >= 0; child -= 1) {
      stack.push({ vertex: below[child] as Vertex<T>, depth: depth + 1, parent: index });
    }
  }
  for (let index = rows.length - 1; index > from; index -= 1) {
    const row = rows[index] as Row<T>;
    if (row.parent >= 0) (rows[row.parent] as Row<T>).size += row.size + 1;
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
