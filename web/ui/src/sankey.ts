// Flows between nodes as bands in columns: senders left, receivers right, the width of a band is its size.

export interface Flow {
  from: string;
  to: string;
  size: number;
}

export interface SankeyNode {
  key: string;
  name: string;
  column: number;
  x: number;
  y: number;
  height: number;
  /** The larger of what goes in and what goes out. */
  size: number;
  /** A second place of a node that stands further left: a circle is drawn, not hidden. */
  again: boolean;
}

export interface Band {
  flow: Flow;
  from: SankeyNode;
  to: SankeyNode;
  fromY: number;
  toY: number;
  thick: number;
}

export interface Sankey {
  nodes: SankeyNode[];
  bands: Band[];
  columns: number;
}

interface Box {
  width: number;
  height: number;
}

export const SANKEY_NODE = 10;
const GAP = 14;
const THIN = 1.5;

/** Places flows within the box; larger flows first, so that a circle is cut where it is thinnest. */
export function layoutSankey(flows: readonly Flow[], box: Box): Sankey {
  const { edges, nodes } = untangle(flows);
  const columns = 1 + Math.max(0, ...nodes.map((node) => node.column));
  const scale = scaleOf(nodes, columns, box.height);
  for (const node of nodes) {
    node.height = Math.max(THIN, node.size * scale);
    node.x = columns === 1 ? 0 : (node.column / (columns - 1)) * (box.width - SANKEY_NODE);
  }
  place(nodes, edges, columns, box.height);
  return { nodes, bands: bandsOf(edges, scale), columns };
}

interface Edge {
  flow: Flow;
  from: SankeyNode;
  to: SankeyNode;
}

/** Nodes and edges without circles, each node one column right of whatever sends to it. */
function untangle(flows: readonly Flow[]): { edges: Edge[]; nodes: SankeyNode[] } {
  const nodes = new Map<string, SankeyNode>();
  const below = new Map<string, string[]>();
  const node = (key: string, name: string, again: boolean): SankeyNode => {
    const known = nodes.get(key);
    if (known) return known;
    const made: SankeyNode = { key, name, column: 0, x: 0, y: 0, height: 0, size: 0, again };
    nodes.set(key, made);
    return made;
  };
  const edges: Edge[] = [];
  for (const flow of [...flows].sort((a, b) => b.size - a.size)) {
    const isCircle = flow.from === flow.to || reaches(below, flow.to, flow.from);
    const to = isCircle ? `${flow.to}\nagain ${flow.from}` : flow.to;
    if (!isCircle) below.set(flow.from, [...(below.get(flow.from) ?? []), flow.to]);
    edges.push({ flow, from: node(flow.from, flow.from, false), to: node(to, flow.to, isCircle) });
  }
  columnise(edges);
  for (const one of nodes.values()) one.size = Math.max(sumOf(edges, (edge) => edge.from === one), sumOf(edges, (edge) => edge.to === one));
  return { edges, nodes: [...nodes.values()] };
}

function sumOf(edges: readonly Edge[], wanted: (edge: Edge) => boolean): number {
  return edges.reduce((sum, edge) => (wanted(edge) ? sum + edge.flow.size : sum), 0);
}

function reaches(below: ReadonlyMap<string, string[]>, from: string, to: string): boolean {
  const seen = new Set([from]);
  const stack = [from];
  for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
    if (at === to) return true;
    for (const next of below.get(at) ?? []) {
      if (seen.has(next)) continue;
      seen.add(next);
      stack.push(next);
    }
  }
  return false;
}

/** Longest way from a sender that nobody sends to; there are no circles any more. */
function columnise(edges: readonly Edge[]): void {
  for (let moved = true; moved; ) {
    moved = false;
    for (const { from, to } of edges) {
      if (to.column > from.column) continue;
      to.column = from.column + 1;
      moved = true;
    }
  }
}

function scaleOf(nodes: readonly SankeyNode[], columns: number, height: number): number {
  let scale = Infinity;
  for (let column = 0; column < columns; column += 1) {
    const here = nodes.filter((node) => node.column === column);
    const room = Math.max(height * 0.3, height - GAP * (here.length - 1));
    scale = Math.min(scale, room / Math.max(1, here.reduce((sum, node) => sum + node.size, 0)));
  }
  return Number.isFinite(scale) ? scale : 1;
}

/** Each column in the order of what its nodes are joined to, twice in either direction, then spread over the height. */
function place(nodes: readonly SankeyNode[], edges: readonly Edge[], columns: number, height: number): void {
  const lines = Array.from({ length: columns }, (_, column) => nodes.filter((node) => node.column === column).sort((a, b) => b.size - a.size));
  for (const line of lines) stack(line, height);
  for (let round = 0; round < 4; round += 1) {
    const order = round % 2 === 0 ? lines : [...lines].reverse();
    for (const line of order) {
      const middle = new Map(line.map((node) => [node, neighbour(node, edges, round % 2 === 0)]));
      line.sort((a, b) => (middle.get(a) ?? 0) - (middle.get(b) ?? 0));
      stack(line, height);
    }
  }
}

/** The middle of what a node gets from (or sends to), by size; its own where there is nothing. */
function neighbour(node: SankeyNode, edges: readonly Edge[], isLeft: boolean): number {
  let sum = 0;
  let size = 0;
  for (const { flow, from, to } of edges) {
    const other = isLeft ? (to === node ? from : null) : from === node ? to : null;
    if (!other) continue;
    sum += (other.y + other.height / 2) * flow.size;
    size += flow.size;
  }
  return size > 0 ? sum / size : node.y + node.height / 2;
}

function stack(line: readonly SankeyNode[], height: number): void {
  const used = line.reduce((sum, node) => sum + node.height, 0);
  const gap = line.length > 1 ? Math.min(GAP * 2, Math.max(2, (height - used) / (line.length - 1))) : 0;
  let y = Math.max(0, (height - used - gap * (line.length - 1)) / 2);
  for (const node of line) {
    node.y = y;
    y += node.height + gap;
  }
}

/** Bands leave and reach a node in the order of their other ends, so that they cross as little as they can. */
function bandsOf(edges: readonly Edge[], scale: number): Band[] {
  const bands = edges.map((edge): Band => ({ ...edge, fromY: 0, toY: 0, thick: Math.max(THIN, edge.flow.size * scale) }));
  const used = new Map<SankeyNode, number>();
  const next = (node: SankeyNode, thick: number): number => {
    const at = used.get(node) ?? 0;
    used.set(node, at + thick);
    return node.y + at + thick / 2;
  };
  for (const band of [...bands].sort((a, b) => a.to.y - b.to.y)) band.fromY = next(band.from, band.thick);
  used.clear();
  for (const band of [...bands].sort((a, b) => a.from.y - b.from.y)) band.toY = next(band.to, band.thick);
  return bands;
}
