import assert from "node:assert/strict";
import { test } from "node:test";
import { layoutTree, selfTime, visibleRows, type Node, type Row } from "../src/tree.ts";

const span = (id: string, parent: string | null, start: number, duration: number, kind = "INTERNAL"): Node => ({ id, parent, start, duration, kind });
const layout = (spans: Node[], depths: number[], ...missing: string[]): Row<Node>[] => layoutTree(spans, depths, new Set(missing));
const drawn = (rows: Row<Node>[]): string[] => rows.map((row) => `${" ".repeat(row.depth)}${row.span ? row.id : `(${row.id})`}${row.cut ? "!" : ""}`);

test("rows stand where the server's depths put them, with their parents, children and sizes", () => {
  const rows = layout([span("a", null, 0, 10), span("b", "a", 1, 2), span("d", "b", 1, 1), span("c", "a", 5, 1), span("r", null, 7, 1)], [0, 1, 2, 1, 0]);
  assert.deepEqual(drawn(rows), ["a", " b", "  d", " c", "r"]);
  assert.deepEqual(rows.map((row) => [row.parent, row.children, row.size]), [[-1, 2, 3], [0, 1, 1], [1, 0, 0], [0, 0, 0], [-1, 0, 0]]);
});

test("orphans gather under their missing parent, where the first of them stood", () => {
  const rows = layout([span("a", null, 0, 10), span("x", "lost", 3, 2), span("o", "other", 4, 1), span("y", "lost", 7, 4), span("z", "y", 8, 1)], [0, 0, 0, 0, 1], "lost", "other");
  assert.deepEqual(drawn(rows), ["a", "(lost)", " x", " y", "  z", "(other)", " o"]);
  const missing = rows[1];
  assert.deepEqual([missing?.start, missing?.end, missing?.size, missing?.children], [3, 11, 3, 2]);
  assert.deepEqual(rows.map((row) => row.parent), [-1, -1, 1, 1, 3, -1, 5]);
});

test("where the server cut a circle, the row says so", () => {
  assert.deepEqual(drawn(layout([span("r", null, 0, 9), span("a", "b", 0, 1), span("b", "a", 1, 1), span("self", "self", 2, 1)], [0, 0, 1, 0])), ["r", "a!", " b", "self!"]);
});

test("a client and a server that share an id nest as the server says", () => {
  const rows = layout([span("s", null, 0, 10, "CLIENT"), span("s", null, 1, 8, "SERVER"), span("k", "s", 2, 1, "CLIENT")], [0, 1, 2]);
  assert.deepEqual(rows.map((row) => `${row.depth} ${row.id} ${row.span?.kind}`), ["0 s CLIENT", "1 s SERVER", "2 k CLIENT"]);
});

test("depths that cannot be are taken for the deepest that can", () => {
  assert.deepEqual(drawn(layout([span("a", null, 0, 1), span("b", "a", 0, 1), span("c", "b", 0, 1)], [3, 7])), ["a", " b", "c!"]);
});

test("a chain of a hundred thousand spans does not exhaust the stack", () => {
  const spans = Array.from({ length: 100_000 }, (_, index) => span(`s${index}`, index === 0 ? null : `s${index - 1}`, index, 1));
  const rows = layout(spans, spans.map((_, index) => index));
  assert.equal(rows.length, 100_000);
  assert.equal(rows[0]?.size, 99_999);
  assert.equal(rows[99_999]?.depth, 99_999);
});

test("folded subtrees are left out whole", () => {
  const rows = layout([span("a", null, 0, 10), span("b", "a", 1, 4), span("c", "b", 1, 2), span("d", "a", 6, 2)], [0, 1, 2, 1]);
  assert.deepEqual(visibleRows(rows, new Set([1])).map((index) => rows[index]?.id), ["a", "b", "d"]);
  assert.deepEqual(visibleRows(rows, new Set([0])).length, 1);
});

test("self time is what no child covers, overlaps counted once", () => {
  const rows = layout([span("a", null, 0, 10), span("b", "a", 1, 4), span("c", "a", 3, 4), span("late", "a", 9, 20)], [0, 1, 1, 1]);
  assert.deepEqual(selfTime(rows, 0), [[0, 1], [7, 9]]);
  assert.deepEqual(selfTime(rows, 1), [[1, 5]]);
});
