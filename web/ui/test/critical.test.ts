import assert from "node:assert/strict";
import { test } from "node:test";
import { criticalPath } from "../src/pages/trace/critical.ts";
import { nextMatch } from "../src/pages/trace/gestures.ts";
import { layoutTree, type Node } from "../src/tree.ts";

const span = (id: string, parent: string | null, start: number, end: number): Node => ({ id, parent, start, duration: end - start });

function path(spans: Node[]): [string, number, number][] {
  const rows = layoutTree(spans);
  return criticalPath(rows).map(([index, from, to]): [string, number, number] => [rows[index]?.id ?? "", from, to]).sort((a, b) => a[1] - b[1]);
}

test("the critical path of one root adds up to its duration", () => {
  const spans = [span("root", null, 0, 100), span("a", "root", 10, 40), span("b", "root", 20, 60), span("late", "root", 90, 200), span("deep", "b", 30, 50)];
  const found = path(spans);
  assert.deepEqual(found, [["root", 0, 20], ["b", 20, 30], ["deep", 30, 50], ["b", 50, 60], ["root", 60, 100]]);
  assert.equal(found.reduce((sum, [, from, to]) => sum + to - from, 0), 100);
});

test("of several roots, whoever ran last at each instant is on the path, gaps are on nobody's", () => {
  assert.deepEqual(path([span("first", null, 0, 30), span("second", null, 50, 90), span("inside", null, 55, 60), span("child", "second", 60, 80)]), [
    ["first", 0, 30], ["second", 50, 60], ["child", 60, 80], ["second", 80, 90],
  ]);
});

test("roots that overlap share the time at the start of the later one", () => {
  assert.deepEqual(path([span("long", null, 0, 80), span("tail", null, 60, 100), span("work", "long", 10, 50)]), [["long", 0, 10], ["work", 10, 50], ["long", 50, 60], ["tail", 60, 100]]);
});

test("spans without their root have a path through the parents that are missing", () => {
  assert.deepEqual(path([span("a", "gone", 5, 20), span("b", "gone", 30, 45)]).filter(([id]) => id !== "gone"), [["a", 5, 20], ["b", 30, 45]]);
});

test("matches are gone through in either direction, round the ends, from anywhere", () => {
  const matches = [3, 8, 20];
  assert.equal(nextMatch(matches, -1, 1), 3);
  assert.equal(nextMatch(matches, -1, -1), 20);
  assert.equal(nextMatch(matches, 8, 1), 20);
  assert.equal(nextMatch(matches, 20, 1), 3);
  assert.equal(nextMatch(matches, 3, -1), 20);
  assert.equal(nextMatch(matches, 10, -1), 8);
  assert.equal(nextMatch(matches, 30, 1), 3);
  assert.equal(nextMatch([], 4, 1), 4);
});
