// Layers for maps that are too large for the exact layout: by distance from where one looks, in time that grows with the
// number of edges. The exact one breaks long edges into pieces and then puts these in order, which took minutes for 200
// nodes with 1,200 edges.

export interface Link {
  from: string;
  to: string;
}

/** Column and row of each node; columns count from 0, rows too, and are centred by whoever draws them. */
export interface Layered {
  columns: string[][];
}

const SWEEPS = 12;

/** Callers left of what they call, as far as that goes; nodes of a column where their neighbours are. */
export function layers(names: readonly string[], links: readonly Link[], focus: string): Layered {
  const out = neighbours(links, "from", "to");
  const into = neighbours(links, "to", "from");
  const column = focus !== "" && names.includes(focus) ? aroundFocus(names, focus, out, into) : fromEntries(names, out, into);
  const least = names.reduce((low, name) => Math.min(low, column.get(name) ?? 0), Infinity);
  const columns: string[][] = [];
  for (const name of names) {
    const at = (column.get(name) ?? 0) - least;
    (columns[at] ??= []).push(name);
  }
  // A column may be empty where nothing has just that distance.
  const filled = columns.filter((one) => one !== undefined && one.length > 0);
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) order(filled, out, into, sweep % 2 === 0);
  return { columns: filled };
}

type Neighbours = ReadonlyMap<string, readonly string[]>;

function neighbours(links: readonly Link[], of: "from" | "to", other: "from" | "to"): Neighbours {
  const found = new Map<string, string[]>();
  for (const link of links) {
    if (link.from === link.to) continue;
    const list = found.get(link[of]);
    if (list) list.push(link[other]);
    else found.set(link[of], [link[other]]);
  }
  return found;
}

/** Steps from any of `starts`, those first found staying. */
function steps(starts: readonly string[], next: Neighbours): Map<string, number> {
  const found = new Map(starts.map((name) => [name, 0]));
  let edge = starts;
  for (let step = 1; edge.length > 0; step += 1) {
    const further: string[] = [];
    for (const name of edge) {
      for (const one of next.get(name) ?? []) {
        if (found.has(one)) continue;
        found.set(one, step);
        further.push(one);
      }
    }
    edge = further;
  }
  return found;
}

/** What the focus calls stands to its right, what calls it to its left; what does neither, beside its nearest neighbour. */
function aroundFocus(names: readonly string[], focus: string, out: Neighbours, into: Neighbours): Map<string, number> {
  const down = steps([focus], out);
  const up = steps([focus], into);
  const column = new Map<string, number>();
  for (const name of names) {
    const below = down.get(name);
    const above = up.get(name);
    // In a circle with the focus: the shorter way says on which side.
    if (below !== undefined && (above === undefined || below <= above)) column.set(name, below);
    else if (above !== undefined) column.set(name, -above);
  }
  return spread(names, column, out, into);
}

/** Those whom nobody calls are the first column; where everybody is called, the one that calls most others. */
function fromEntries(names: readonly string[], out: Neighbours, into: Neighbours): Map<string, number> {
  const entries = names.filter((name) => !into.has(name) && out.has(name));
  const most = [...names].sort((a, b) => (out.get(b)?.length ?? 0) - (out.get(a)?.length ?? 0))[0];
  return spread(names, steps(entries.length > 0 || most === undefined ? entries : [most], out), out, into);
}

/** Columns for those that have none yet: one before what they call, one after what calls them. */
function spread(names: readonly string[], column: Map<string, number>, out: Neighbours, into: Neighbours): Map<string, number> {
  let left = names.filter((name) => !column.has(name));
  while (left.length > 0) {
    const still: string[] = [];
    for (const name of left) {
      const called = (out.get(name) ?? []).flatMap((one) => column.get(one) ?? []);
      const callers = (into.get(name) ?? []).flatMap((one) => column.get(one) ?? []);
      if (called.length > 0) column.set(name, Math.min(...called) - 1);
      else if (callers.length > 0) column.set(name, Math.max(...callers) + 1);
      else still.push(name);
    }
    // Nothing of what is left touches what has a column: a part of its own starts at 0.
    if (still.length === left.length && still[0] !== undefined) column.set(still[0], 0);
    left = still.filter((name) => !column.has(name));
  }
  return column;
}

/** One sweep: each node where the mean of its neighbours in the columns passed is. */
function order(columns: readonly string[][], out: Neighbours, into: Neighbours, forwards: boolean): void {
  const place = new Map<string, number>();
  for (const column of columns) column.forEach((name, index) => place.set(name, (index + 0.5) / column.length));
  const way = forwards ? columns : [...columns].reverse();
  for (const column of way) {
    const towards = new Map(
      column.map((name): [string, number] => {
        const near = [...(forwards ? into : out).get(name) ?? []].map((one) => place.get(one) ?? 0.5);
        return [name, near.length === 0 ? (place.get(name) ?? 0.5) : near.reduce((sum, at) => sum + at, 0) / near.length];
      }),
    );
    column.sort((a, b) => (towards.get(a) ?? 0) - (towards.get(b) ?? 0) || a.localeCompare(b));
    column.forEach((name, index) => place.set(name, (index + 0.5) / column.length));
  }
}
