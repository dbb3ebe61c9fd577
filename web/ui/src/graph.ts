// The map of dependencies: which nodes are in sight, where they stand, how their edges run.
import dagre from "@dagrejs/dagre";
import { layers } from "./layers.ts";

export interface Edge {
  caller: string;
  callee: string;
  kind: string;
  calls: number;
  errors: number;
  callerP50: number | null;
  callerP99: number | null;
  calleeP50: number | null;
  calleeP99: number | null;
  requestBytes: number | null;
  responseBytes: number | null;
  weighted: number;
  /** The same edge in the window before: null where it was not there; absent where nothing is compared. */
  before?: Before | null;
}

export interface Before {
  calls: number;
  errors: number;
  calleeP99: number | null;
}

export interface PlacedNode {
  name: string;
  x: number;
  y: number;
  external: boolean;
}

export interface PlacedEdge {
  edges: Edge[];
  caller: string;
  callee: string;
  calls: number;
  errors: number;
  path: string;
  /** True where the edge runs against the layers: part of a cycle. */
  back: boolean;
}

export interface Layout {
  nodes: PlacedNode[];
  edges: PlacedEdge[];
  width: number;
  height: number;
}

export const NODE_WIDTH = 168;
export const NODE_HEIGHT = 36;
/** More than this are not readable at once. */
export const MOST_NODES = 60;
/** Drawn around a focus at first. */
export const NODES_AROUND = 24;

/** Names that are only ever called as database or external: they have no spans of their own. */
export function externals(edges: readonly Edge[]): Set<string> {
  const found = new Set<string>();
  const inside = new Set<string>();
  for (const edge of edges) {
    inside.add(edge.caller);
    if (edge.kind === "database" || edge.kind === "external") found.add(edge.callee);
    else inside.add(edge.callee);
  }
  for (const name of inside) found.delete(name);
  return found;
}

/** Edges within `depth` steps of `focus`, upstream and downstream; all where there is no focus. */
export function focused(edges: readonly Edge[], focus: string, depth: number): Edge[] {
  if (focus === "") return [...edges];
  const near = new Set([focus]);
  for (const [from, to] of [["caller", "callee"], ["callee", "caller"]] as const) {
    let edge = new Set([focus]);
    for (let step = 0; step < depth && edge.size > 0; step += 1) {
      const next = new Set<string>();
      for (const one of edges) if (edge.has(one[from]) && !near.has(one[to])) next.add(one[to]);
      for (const name of next) near.add(name);
      edge = next;
    }
  }
  return edges.filter((edge) => near.has(edge.caller) && near.has(edge.callee) && (depth > 1 || edge.caller === focus || edge.callee === focus));
}

/** Calls in and out of each node, the busiest first. */
export function byCalls(edges: readonly Edge[]): [string, number][] {
  const calls = new Map<string, number>();
  for (const edge of edges) {
    calls.set(edge.caller, (calls.get(edge.caller) ?? 0) + edge.calls);
    calls.set(edge.callee, (calls.get(edge.callee) ?? 0) + edge.calls);
  }
  return [...calls].sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0]));
}

/** The busiest nodes, `focus` always among them, and how many are left out. */
export function busiest(edges: readonly Edge[], most: number, focus = ""): { edges: Edge[]; hidden: number } {
  const calls = new Map(byCalls(edges));
  if (calls.size <= most) return { edges: [...edges], hidden: 0 };
  const kept = new Set([...calls.keys()].filter((name) => name !== focus).slice(0, focus === "" ? most : most - 1));
  if (focus !== "") kept.add(focus);
  const left = edges.filter((edge) => kept.has(edge.caller) && kept.has(edge.callee));
  const shown = new Set(left.flatMap((edge) => [edge.caller, edge.callee]));
  return { edges: left, hidden: calls.size - shown.size };
}

/** The edges of now with those of before beside them; edges that are gone stay, without calls. */
export function withBefore(now: readonly Edge[], before: readonly Edge[]): Edge[] {
  const key = (edge: Edge): string => JSON.stringify([edge.caller, edge.callee, edge.kind]);
  const earlier = new Map(before.map((edge) => [key(edge), edge]));
  const small = (edge: Edge | undefined): Before | null => (edge ? { calls: edge.calls, errors: edge.errors, calleeP99: edge.calleeP99 } : null);
  const present = new Set(now.map(key));
  const gone = before.filter((edge) => !present.has(key(edge))).map((edge): Edge => ({ ...edge, calls: 0, errors: 0, weighted: 0, callerP50: null, callerP99: null, calleeP50: null, calleeP99: null, requestBytes: null, responseBytes: null, before: small(edge) }));
  return [...now.map((edge) => ({ ...edge, before: small(earlier.get(key(edge))) })), ...gone];
}

/** Pairs up to which the exact layout is done in a fraction of a second. */
const MOST_EXACT = 100;

/** Layers from left to right, callers first; of a large map around `focus`, where there is one. */
export function layout(edges: readonly Edge[], focus = ""): Layout {
  const pairs = new Map<string, Edge[]>();
  for (const edge of edges) {
    const key = JSON.stringify([edge.caller, edge.callee]);
    const list = pairs.get(key);
    if (list) list.push(edge);
    else pairs.set(key, [edge]);
  }
  return pairs.size > MOST_EXACT ? layoutLarge(edges, pairs, focus) : layoutExact(edges, pairs);
}

const COLUMN = NODE_WIDTH + 150;
const ROW = NODE_HEIGHT + 14;
const MARGIN = 24;
/** A longer column is drawn as several side by side: nobody reads a map twenty times as high as wide. */
const MOST_ROWS = 28;
const LANE = NODE_WIDTH + 36;

function layoutLarge(edges: readonly Edge[], pairs: ReadonlyMap<string, Edge[]>, focus: string): Layout {
  const outside = externals(edges);
  const links = [...pairs.values()].flatMap(([first]) => (first ? [{ from: first.caller, to: first.callee }] : []));
  const { columns } = layers(callersFirst(edges), links, focus);
  const lanes = columns.map((column) => Math.ceil(column.length / MOST_ROWS));
  const most = columns.reduce((all, column, index) => Math.max(all, column.length / (lanes[index] ?? 1)), 1);
  let left = MARGIN + NODE_WIDTH / 2;
  const nodes = columns.flatMap((column, index) => {
    const beside = lanes[index] ?? 1;
    const from = left;
    left += (beside - 1) * LANE + COLUMN;
    return column.map((name, place): PlacedNode => ({ name, x: from + (place % beside) * LANE, y: MARGIN + ((place + 0.5) * most * ROW) / column.length, external: outside.has(name) }));
  });
  const at = new Map(nodes.map((node) => [node.name, node]));
  const placed = [...pairs.values()].flatMap((list) => placeEdge(list, at, () => []));
  return { nodes, edges: placed, width: left - COLUMN + NODE_WIDTH / 2 + MARGIN, height: 2 * MARGIN + most * ROW };
}

function layoutExact(edges: readonly Edge[], pairs: ReadonlyMap<string, Edge[]>): Layout {
  const graph = new dagre.graphlib.Graph();
  graph.setGraph({ rankdir: "LR", nodesep: 14, ranksep: edges.length > 40 ? 48 : 76, edgesep: 10, marginx: 24, marginy: 24 });
  graph.setDefaultEdgeLabel(() => ({}));
  const outside = externals(edges);
  // Cycles are cut where a walk from the first nodes meets itself: those that nobody calls come first.
  for (const name of callersFirst(edges)) graph.setNode(name, { width: NODE_WIDTH, height: NODE_HEIGHT });
  for (const list of pairs.values()) {
    const [first] = list;
    // Whole weights only: the ranking counts with them.
    if (first && first.caller !== first.callee) graph.setEdge(first.caller, first.callee, { weight: 1 + Math.round(Math.log10(1 + sum(list, (edge) => edge.calls))) });
  }
  dagre.layout(graph);
  const nodes = graph.nodes().map((name: string): PlacedNode => {
    const { x, y } = graph.node(name) as { x: number; y: number };
    return { name, x, y, external: outside.has(name) };
  });
  const at = new Map(nodes.map((node) => [node.name, node]));
  const bends = (edge: Edge): Point[] => {
    const label = edge.caller === edge.callee ? undefined : (graph.edge(edge.caller, edge.callee) as { points?: Point[] } | undefined);
    return label?.points?.slice(1, -1) ?? [];
  };
  const placed = [...pairs.values()].flatMap((list) => placeEdge(list, at, bends));
  const { width = 0, height = 0 } = graph.graph() as { width?: number; height?: number };
  return { nodes, edges: placed, width: Math.max(200, width), height: Math.max(80, height) };
}

function sum(edges: readonly Edge[], value: (edge: Edge) => number): number {
  return edges.reduce((total, edge) => total + value(edge), 0);
}

function callersFirst(edges: readonly Edge[]): string[] {
  const called = new Map<string, number>();
  for (const edge of edges) {
    if (!called.has(edge.caller)) called.set(edge.caller, 0);
    if (edge.caller !== edge.callee) called.set(edge.callee, (called.get(edge.callee) ?? 0) + edge.calls);
  }
  return [...called].sort((a, b) => a[1] - b[1] || a[0].localeCompare(b[0])).map(([name]) => name);
}

interface Point {
  x: number;
  y: number;
}

function placeEdge(list: Edge[], at: Map<string, PlacedNode>, bends: (edge: Edge) => Point[]): PlacedEdge[] {
  const [first] = list;
  const from = first && at.get(first.caller);
  const to = first && at.get(first.callee);
  if (!first || !from || !to) return [];
  const back = to.x <= from.x;
  return [{ edges: list, caller: first.caller, callee: first.callee, calls: sum(list, (edge) => edge.calls), errors: sum(list, (edge) => edge.errors), path: curve(from, to, bends(first)), back }];
}

/** Out of the right side, into the left, through the bends that keep it off other nodes; backwards below. */
function curve(from: PlacedNode, to: PlacedNode, bends: readonly Point[]): string {
  const half = NODE_WIDTH / 2;
  const x1 = from.x + half;
  const x2 = to.x - half;
  if (from === to) return `M${x1} ${from.y - 6} C${x1 + 34} ${from.y - 44} ${x1 - 40} ${from.y - 50} ${x1 - 34} ${from.y - NODE_HEIGHT / 2}`;
  if (to.x > from.x) {
    const inner = x2 - x1 < NODE_WIDTH ? [] : bends.filter((point) => point.x > x1 + 40 && point.x < x2 - 40);
    return through([{ x: x1, y: from.y }, ...inner, { x: x2, y: to.y }]);
  }
  const low = Math.max(from.y, to.y) + NODE_HEIGHT * 1.1;
  return `M${x1} ${from.y} C${x1 + 44} ${from.y} ${x1 + 44} ${low} ${(x1 + x2) / 2} ${low} S${x2 - 44} ${to.y} ${x2} ${to.y}`;
}

/** A curve that is level at each of the points, so that it never swings beyond them. */
function through(points: readonly Point[]): string {
  const [first] = points;
  if (!first) return "";
  let path = `M${first.x} ${first.y}`;
  points.forEach((point, index) => {
    const next = points[index + 1];
    if (!next) return;
    const reach = (next.x - point.x) / 2;
    path += ` C${point.x + reach} ${point.y} ${next.x - reach} ${next.y} ${next.x} ${next.y}`;
  });
  return path;
}
