import assert from "node:assert/strict";
import { test } from "node:test";
import { pathNanos, readCritical } from "../src/pages/trace/critical.ts";
import { nextMatch } from "../src/pages/trace/gestures.ts";
import { readTraceAnswer } from "../src/pages/trace/model.ts";

const words = (texts: string[]): unknown => ({ words: texts, at: texts.map((_, index) => index) });
const piece = (id: string, name: string, at: string, path: number, duration: number): Record<string, unknown> => ({ span_id: id, service: "shop", name, start_time: `2026-11-22T04:00:${at}Z`, path_nano: path, duration_nano: duration });

test("pieces of the server's path lie on their rows, to the nanosecond", () => {
  const trace = readTraceAnswer({
    trace_id: "a".repeat(32),
    start_time: "2026-11-22T04:00:00.000000100Z",
    columns: { span_id: ["1", "2", "2"], parent_span_id: ["", "1", "2"], depth: [0, 1, 2], start_nano: [0, 10, 20], duration_nano: [100, 80, 50], name: words(["root", "call", "serve"]), service: words(["shop", "shop", "shop"]), kind: words(["SERVER", "CLIENT", "SERVER"]) },
  });
  const critical = readCritical(trace, [
    piece("1", "root", "00.000000100", 10, 100), piece("2", "call", "00.000000110", 10, 80), piece("2", "serve", "00.000000120", 50, 50), piece("2", "call", "00.000000170", 20, 80), piece("1", "root", "00.000000190", 10, 100), piece("9", "gone", "00.000000190", 10, 1),
  ]);
  assert.deepEqual([...critical], [[0, [[0, 10], [90, 100]]], [1, [[10, 20], [70, 90]]], [2, [[20, 70]]]]);
  assert.equal(pathNanos(critical), 100);
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
