import assert from "node:assert/strict";
import { test } from "node:test";
import { layoutTree, selfTime, visibleRows, type Node } from "../src/tree.ts";

const span = (id: string, parent: string | null, start: number, duration: number, kind = "INTERNAL"): Node => ({ id, parent, start, duration, kind });
const drawn = (spans: Node[]): string[] => layoutTree(spans).map((row) => `${" ".repeat(row.depth)}${row.span ? row.id : `(${row.id})`}${row.cut ? "!" : ""}`);

test("children stand below their parent by start", () => {
  assert.deepEqual(drawn([span("c", "a", 5, 1), span("a", null, 0, 10), span("b", "a", 1, 2), span("d", "b", 1, 1)]), ["a", " b", "  d", " c"]);
});

test("orphans gather under their missing parent", () => {
  const spans = [span("a", null, 0, 10), span("x", "lost", 3, 2), span("y", "lost", 7, 4), span("z", "y", 8, 1)];
  assert.deepEqual(drawn(spans), ["a", "(lost)", " x", " y", "  z"]);
  const [, missing] = layoutTree(spans);
  assert.deepEqual([missing?.start, missing?.end, missing?.size], [3, 11, 3]);
});

test("a circle is cut at its earliest span and every span is there once", () => {
  assert.deepEqual(drawn([span("a", "c", 4, 1), span("b", "a", 2, 1), span("c", "b", 3, 1)]), ["b!", " c", "  a"]);
  assert.deepEqual(drawn([span("self", "self", 0, 1)]), ["self!"]);
  const two = [span("a", "b", 0, 1), span("b", "a", 1, 1), span("r", null, 0, 9), span("c", "r", 1, 1)];
  assert.deepEqual(drawn(two), ["r", " c", "a!", " b"]);
});

test("a child that starts before its parent, by clock skew, stays its child", () => {
  assert.deepEqual(drawn([span("a", null, 100, 10), span("b", "a", 40, 5)]), ["a", " b"]);
});

test("a client and a server that share an id nest, the server's children below it", () => {
  const spans = [span("s", null, 0, 10, "CLIENT"), span("s", null, 1, 8, "SERVER"), span("k", "s", 2, 1, "CLIENT")];
  const rows = layoutTree(spans);
  assert.deepEqual(rows.map((row) => `${row.depth} ${row.id} ${row.span?.kind}`), ["0 s CLIENT", "1 s SERVER", "2 k CLIENT"]);
});

test("two spans of one id and kind are both shown", () => {
  assert.equal(layoutTree([span("a", null, 0, 1), span("a", null, 0, 1), span("b", "a", 0, 1)]).length, 3);
});

test("a chain of a hundred thousand spans does not exhaust the stack", () => {
  const spans = Array.from({ length: 100_000 }, (_, index) => span(`s${index}`, index === 0 ? null : `s${index - 1}`, index, 1));
  const rows = layoutTree(spans);
  assert.equal(rows.length, 100_000);
  assert.equal(rows[0]?.size, 99_999);
  assert.equal(rows[99_999]?.depth, 99_999);
});

test("folded subtrees are left out whole", () => {
  const rows = layoutTree([span("a", null, 0, 10), span("b", "a", 1, 4), span("c", "b", 1, 2), span("d", "a", 6, 2)]);
  assert.deepEqual(visibleRows(rows, new Set([1])).map((index) => rows[index]?.id), ["a", "b", "d"]);
  assert.deepEqual(visibleRows(rows, new Set([0])).length, 1);
});

test("self time is what no child covers, overlaps counted once", () => {
  const rows = layoutTree([span("a", null, 0, 10), span("b", "a", 1, 4), span("c", "a", 3, 4), span("late", "a", 9, 20)]);
  assert.deepEqual(selfTime(rows, 0), [[0, 1], [7, 9]]);
  assert.deepEqual(selfTime(rows, 1), [[1, 5]]);
});
