import assert from "node:assert/strict";
import { test } from "node:test";
import { readPattern, treeStatement, withBefore } from "../src/pages/patterns/model.ts";
import { callsWords } from "../src/pages/patterns/panel.tsx";
import { stripScale } from "../src/pages/patterns/strip.tsx";

const pattern = (id: string, p50: number | null, max: number | null): ReturnType<typeof readPattern> => readPattern({ pattern: id, root_service: "web", root_name: "GET /", traces: 3, p50_nano: p50, p95_nano: max, max_nano: max });

test("patterns of two windows: new ones have no before, gone ones no traces", () => {
  const rows = withBefore([pattern("a", 1, 2), pattern("b", 1, 2)], [pattern("b", 5, 6), pattern("c", 7, 8)]);
  assert.deepEqual(rows.map((row) => [row.id, row.traces, row.before?.p50 ?? null]), [["a", 3, null], ["b", 3, 5], ["c", 0, 7]]);
});

test("calls in one trace are said as their class", () => {
  assert.equal(callsWords({ low: 1, high: 1 }), "");
  assert.equal(callsWords({ low: 2, high: 2 }), "×2");
  assert.equal(callsWords({ low: 6, high: 11 }), "×6 to 11");
});

test("one scale serves all rows, also when they are all alike", () => {
  assert.deepEqual(stripScale([pattern("a", 1e3, 1e6), pattern("b", 1e4, 1e9)]), { low: 3, high: 9 });
  assert.deepEqual(stripScale([pattern("a", 100, 100)]), { low: 0, high: 1 });
  assert.deepEqual(stripScale([]), { low: 0, high: 1 });
});

test("the tree of a pattern is asked in the range of the page", () => {
  assert.equal(treeStatement("0123456789abcdef", { from: null, to: null }), "SELECT * FROM pattern('0123456789abcdef')\nORDER BY position");
  assert.match(treeStatement("0123456789abcdef", { from: 0, to: 1000 }), /pattern\('0123456789abcdef', '1970-01-01T00:00:00.000Z', '1970-01-01T00:00:01.000Z'\)/);
});
